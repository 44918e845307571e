"""Whether a candidate is certainly outside a bound of `rollout.analysis`, judged on paired evidence at any moment.

Each measure has a confidence sequence (see `sequential`), so that a verdict may be drawn at every look: a candidate that
keeps all bounds is aborted with probability at most `errorRate`, however often the operator looks. The error rate is shared
equally by the measures (Bonferroni). Consecutive windows of an entity overlap, so agreement is judged on as many windows as
do not.
"""

from dataclasses import dataclass
from enum import Enum
from math import inf

from anomaly_api.rollout import Analysis, Measure, MeasureName, PairedCounts
from anomaly_operator.core.rollout.sequential import Interval, distance, proportion, rate, ratio


@dataclass(frozen=True)
class Besides:
    """What is known of candidate and stable besides the paired counts."""

    shift: float | None = None
    """Greatest difference between the distributions of both scores on the same windows."""
    labelled: int = 0
    right: int = 0
    """Labelled alerts of the candidate, and how many of them were true."""
    slowdown: float | None = None
    """Time for a window, as a multiple of stable's."""
    memory: int | None = None
    """Bytes that it adds to the pod in which it adds most."""


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


def judge(
    analysis: Analysis, counts: PairedCounts, overlap: int, budget: float | None, besides: Besides | None = None
) -> list[Judgement]:
    """Returns the judgement of every measure that can be judged.

    `overlap` is how many consecutive windows share readings (size / every); `budget` the accepted episodes per entity-second, or
    None when the threshold is no budget: FalseAlerts is not judged then. Before `minimumWindows` no bound is violated.
    """
    alpha = analysis.error_rate / len(analysis.measures)
    early = counts.windows < analysis.minimum_windows
    found = []
    for measure in analysis.measures:
        if measure.name is MeasureName.FALSE_ALERTS and budget is None:
            continue
        estimate, interval = _interval(measure.name, counts, overlap, budget or 0.0, alpha, besides or Besides())
        found.append(_judged(measure, estimate, interval, early=early))
    return found


def _interval(
    name: MeasureName, counts: PairedCounts, overlap: int, budget: float, alpha: float, besides: Besides
) -> tuple[float | None, Interval]:
    windows = counts.windows / overlap
    match name:
        case MeasureName.ALERT_RATIO:
            stable, candidate = counts.stable_episodes, counts.candidate_episodes
            return candidate / stable if stable else None, ratio(candidate, stable, alpha)
        case MeasureName.AGREEMENT:
            return _share(counts.both + counts.neither, counts.windows, overlap, alpha)
        case MeasureName.ONLY_CANDIDATE:
            return _share(counts.only_candidate, counts.windows, overlap, alpha)
        case MeasureName.ONLY_STABLE:
            return _share(counts.only_stable, counts.windows, overlap, alpha)
        case MeasureName.PRECISION:
            return _share(besides.right, besides.labelled, 1, alpha)
        case MeasureName.SCORE_SHIFT:
            return besides.shift, distance(besides.shift, windows, alpha)
        case MeasureName.FALSE_ALERTS:
            exposure = counts.entity_seconds * budget
            estimate = counts.candidate_episodes / exposure if exposure else None
            return estimate, rate(counts.candidate_episodes, exposure, alpha, prior=1.0)
        case _:
            return _known({"Slowdown": besides.slowdown, "AddedMemory": besides.memory, "Errors": counts.errors}[name.value])


def _share(part: float, whole: float, overlap: int, alpha: float) -> tuple[float | None, Interval]:
    return part / whole if whole else None, proportion(part / overlap, whole / overlap, alpha)


def _known(value: float | None) -> tuple[float | None, Interval]:
    """What is no sample of anything: it is what it is."""
    return value, Interval(0.0, inf) if value is None else Interval(float(value), float(value))


def _judged(measure: Measure, estimate: float | None, interval: Interval, *, early: bool) -> Judgement:
    above = measure.max is not None and interval.low > measure.max
    below = measure.min is not None and interval.high < measure.min
    bounds = [f"{word} {bound:g}" for word, bound in (("at least", measure.min), ("at most", measure.max)) if bound is not None]
    shown = "unknown" if estimate is None else f"{estimate:.3g}"
    between = "" if interval.low == interval.high else f"between {interval.low:.3g} and {interval.high:.3g}; "
    message = f"{measure.name} is {shown} ({between}asked: {' and '.join(bounds)})"
    verdict = Verdict.VIOLATED if (above or below) and not early else Verdict.KEPT
    return Judgement(measure.name, estimate, interval, verdict, message)
