"""Counts become a verdict: exact tests, paired where faults are the same for both. Pure."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from anomaly_api.gate import Gate, GateReport, Rival, RivalName, Verdict

FEWEST_WINDOWS: Final = 50
"""Newest held-out windows; of fewer nothing is concluded."""
FEWEST_FAULTS: Final = 30
_OF_ANOTHER_KIND: Final = 2.0
"""Margins that a model may be behind a PCA: somebody asked for another kind, and not because of such faults alone."""


@dataclass(frozen=True)
class Record:
    """How a model did."""

    found: NDArray[np.bool_]
    """[faults] Which it found."""
    false_episodes: int
    tolerated: float
    """False episodes that its threshold is to let through in as much time."""
    model: str | None = None
    """Name of the AnomalyModel, where it is one."""


@dataclass(frozen=True)
class Judged:
    """What the verdict is drawn from."""

    candidate: Record
    rivals: Mapping[RivalName, Record]
    windows: int
    """Held-out windows without faults."""
    notes: list[str] = field(default_factory=list)
    """What could not be compared and why, for people."""


def verdict(judged: Judged, gate: Gate) -> GateReport:
    """The candidate is rejected when a rival is better by more than chance explains and the margin allows.

    - It misses more faults: an exact McNemar test (McNemar 1947) over the faults that only one of the two found, and its recall
      is lower by more than the margin.
    - It has more false episodes: more than its threshold is to let through (Poisson), and more than the rival had on the same
      windows (binomial, equal chances).

    `significance` is divided among all tests (Bonferroni), so that a model as good as its rivals is rejected by chance no more
    often than that. Without rivals there is nothing to be worse than.
    """
    candidate = judged.candidate
    if judged.windows < FEWEST_WINDOWS or len(candidate.found) < FEWEST_FAULTS:
        few = f"{judged.windows} held-out windows and {len(candidate.found)} put-in faults are too few to judge by"
        return _report(judged, Verdict.NOT_JUDGED, "TooLittleData", few, {})
    level = gate.significance / max(1, 2 * len(judged.rivals))
    rivals = {name: _rival(name, candidate, record) for name, record in judged.rivals.items()}
    reasons = []
    for name, record in judged.rivals.items():
        behind = (int(record.found.sum()) - int(candidate.found.sum())) / len(candidate.found)
        margin = gate.margin_percent / 100 * (_OF_ANOTHER_KIND if name is RivalName.PCA else 1)
        if behind > margin and rivals[name].p_value <= level:
            reasons.append(("MissesFaults", f"misses faults that {_called(rivals[name])} finds"))
        beyond = poisson_tail(candidate.false_episodes, candidate.tolerated) <= level
        more = binomial_tail(candidate.false_episodes, candidate.false_episodes + record.false_episodes) <= level
        if beyond and more:
            reasons.append(("FalseEpisodes", f"has false episodes where {_called(rivals[name])} has none or fewer"))
    if reasons:
        said = " and ".join(dict.fromkeys(sentence for _, sentence in reasons))
        return _report(judged, Verdict.REJECTED, reasons[0][0], f"it {said}: {_figures(judged, rivals)}", rivals)
    reason = "NotWorse" if rivals else "NothingToCompareWith"
    return _report(judged, Verdict.ACCEPTED, reason, f"it {_figures(judged, rivals).removeprefix('it ')}", rivals)


def binomial_tail(least: int, count: int) -> float:
    """Probability of `least` or more heads in `count` tosses.

    >>> binomial_tail(9, 10), binomial_tail(0, 10)
    (0.0107421875, 1.0)
    """
    if least <= 0:
        return 1.0
    logs = [_log_choose(count, heads) - count * math.log(2) for heads in range(least, count + 1)]
    return min(1.0, math.fsum(math.exp(each) for each in logs))


def poisson_tail(least: int, mean: float) -> float:
    """Probability of `least` or more events where `mean` are expected.

    >>> round(poisson_tail(3, 1.0), 4), poisson_tail(0, 1.0)
    (0.0803, 1.0)
    """
    if least <= 0:
        return 1.0
    if mean <= 0:
        return 0.0
    below = math.fsum(math.exp(events * math.log(mean) - mean - math.lgamma(events + 1)) for events in range(least))
    return max(0.0, 1.0 - below)


def _rival(name: RivalName, candidate: Record, record: Record) -> Rival:
    only_rival = int((record.found & ~candidate.found).sum())
    only_candidate = int((candidate.found & ~record.found).sum())
    return Rival(
        name=name,
        model=record.model,
        found=int(record.found.sum()),
        only_rival=only_rival,
        only_candidate=only_candidate,
        false_episodes=record.false_episodes,
        p_value=float(f"{binomial_tail(only_rival, only_rival + only_candidate):.3g}"),
    )


def _report(judged: Judged, found: Verdict, reason: str, message: str, rivals: Mapping[RivalName, Rival]) -> GateReport:
    candidate = judged.candidate
    return GateReport(
        verdict=found,
        reason=reason,
        message="; ".join([message, *judged.notes]),
        faults=len(candidate.found),
        found=int(candidate.found.sum()),
        windows=judged.windows,
        false_episodes=candidate.false_episodes,
        tolerated_episodes=float(f"{candidate.tolerated:.3g}"),
        rivals=list(rivals.values()) or None,
    )


def _figures(judged: Judged, rivals: Mapping[RivalName, Rival]) -> str:
    """For example: it finds 120 of 300 put-in faults, with 2 false episodes where 0.5 are tolerated; a PCA 270, with 0."""
    candidate = judged.candidate
    own = (
        f"it finds {int(candidate.found.sum())} of {len(candidate.found)} put-in faults, with {candidate.false_episodes} false "
        f"episodes in {judged.windows} held-out windows where {candidate.tolerated:.2g} are tolerated"
    )
    others = [f"{_called(each)} {each.found}, with {each.false_episodes}" for each in rivals.values()]
    return "; ".join([own, *others])


def _called(rival: Rival) -> str:
    return f"AnomalyModel {rival.model}" if rival.model else "a PCA of the same data"


def _log_choose(count: int, chosen: int) -> float:
    return math.lgamma(count + 1) - math.lgamma(chosen + 1) - math.lgamma(count - chosen + 1)
