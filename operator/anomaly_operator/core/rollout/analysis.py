"""Whether a candidate is certainly outside a bound of `rollout.analysis`, judged on paired evidence at any moment.

Each measure has a confidence sequence (see `sequential`), so that a verdict may be drawn at every look: a candidate that
keeps all bounds is aborted with probability at most `errorRate`, however often the operator looks. The error rate is shared
equally by the measures (Bonferroni). Consecutive windows of an entity overlap, so agreement is judged on as many windows as
do not.
"""

from dataclasses import dataclass
from enum import Enum

from anomaly_api.rollout import Analysis, Measure, MeasureName, PairedCounts
from anomaly_operator.core.rollout.sequential import Interval, proportion, rate, ratio


class Verdict(Enum):
    """The outcome of one look."""

    KEPT = "Kept"
    VIOLATED = "Violated"


@dataclass(frozen=True)
class Judgement:
    """One measure: where it lies, and whether it is certainly out of bounds."""

    name: MeasureName
    estimate: float | None
    """None: there is nothing to estimate it from."""
    interval: Interval
    verdict: Verdict
    message: str
    """For people: the measure, its interval and its bound."""


def judge(analysis: Analysis, counts: PairedCounts, overlap: int, budget: float | None) -> list[Judgement]:
    """Returns the judgement of every measure.

    `overlap` is how many consecutive windows share readings (size / every); `budget` the accepted episodes per entity-second, or
    None when the threshold is no budget: FalseAlerts is not judged then.
    """
    alpha = analysis.error_rate / len(analysis.measures)
    found = []
    for measure in analysis.measures:
        if measure.name is MeasureName.FALSE_ALERTS and budget is None:
            continue
        found.append(_judged(measure, *_interval(measure.name, counts, overlap, budget or 0.0, alpha)))
    return found


def _interval(
    name: MeasureName, counts: PairedCounts, overlap: int, budget: float, alpha: float
) -> tuple[float | None, Interval]:
    if name is MeasureName.ALERT_RATIO:
        stable, candidate = counts.stable_episodes, counts.candidate_episodes
        return candidate / stable if stable else None, ratio(candidate, stable, alpha)
    if name is MeasureName.AGREEMENT:
        windows = counts.windows / overlap
        alike = (counts.both + counts.neither) / overlap
        return alike / windows if windows else None, proportion(alike, windows, alpha)
    exposure = counts.entity_seconds * budget
    return counts.candidate_episodes / exposure if exposure else None, rate(counts.candidate_episodes, exposure, alpha, prior=1.0)


def _judged(measure: Measure, estimate: float | None, interval: Interval) -> Judgement:
    above = measure.max is not None and interval.low > measure.max
    below = measure.min is not None and interval.high < measure.min
    bounds = [f"{word} {bound:g}" for word, bound in (("at least", measure.min), ("at most", measure.max)) if bound is not None]
    shown = "unknown" if estimate is None else f"{estimate:.3g}"
    message = f"{measure.name} is {shown} (between {interval.low:.3g} and {interval.high:.3g}; asked: {' and '.join(bounds)})"
    return Judgement(measure.name, estimate, interval, Verdict.VIOLATED if above or below else Verdict.KEPT, message)
