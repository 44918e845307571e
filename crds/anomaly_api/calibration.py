"""Held-out scores, boiled down to what a threshold needs; and the thresholds, computed from them.

Both sides use it: training writes the calibration, the operator computes thresholds from it, so that a new threshold
needs no new training. Nothing here knows about models or Kubernetes.
"""

import math
from collections.abc import Sequence
from enum import StrEnum
from itertools import pairwise
from typing import Annotated, Final

from pydantic import Field

from anomaly_api.policy import Budget, Threshold
from anomaly_api.schema import Contract, Duration, list_map, seconds
from anomaly_api.source import Name
from anomaly_api.tails import PeaksTail, Tail

MAX_PEAKS: Final = 256
"""Peaks that are kept one by one: enough to fit a tail to."""
MAX_FURTHER_PEAKS: Final = 64
REACH: Final = 10.0
"""A budget is honoured up to so many times the entity-time that was held out; rarer episodes cannot be known from it."""
_SMALLEST: Final = 1e-12
_LEAST_RARITY: Final = 1.0
_LEAST_SCALE: Final = 0.01
"""Of a tail, as a part of what it would be if the scores' whole distribution were exponential."""


class Quantile(Contract):
    """One point of the distribution of held-out scores."""

    level: float
    """Level of the quantile, between 0 and 1."""
    score: float
    """Score at this level, as the model computes it."""


class RankedPeak(Contract):
    """One point of the peaks beyond those that are kept one by one."""

    rank: int
    """Number of excursions that were at least as high."""
    score: float
    """Height of the lowest of these excursions."""


class Calibration(Contract):
    """What the held-out part of the data said about one window's scores."""

    window: Name
    """Name of the window that the figures are about."""
    windows: int
    """Number of windows that were held out."""
    entity_seconds: float
    """Event time that the held-out windows cover, in seconds, added up over entities."""
    mean: float
    """Mean of the scores of held-out windows."""
    standard_deviation: float
    """Standard deviation of the held-out scores."""
    maximum: float
    """Largest of the held-out scores."""
    quantiles: Annotated[list[Quantile], Field(min_length=2, max_length=64)]
    """Distribution of the held-out scores, by rising level from 0 to 1."""
    peaks: Annotated[list[float], Field(max_length=MAX_PEAKS)]
    """Largest score of each separate excursion of an entity, falling: what an episode would have been."""
    further_peaks: Annotated[list[RankedPeak], Field(max_length=MAX_FURTHER_PEAKS)] | None = None
    """Excursions lower than those in `peaks`, at growing ranks: where many entities are watched, a budget tolerates more than
    `peaks` holds. Unset: there are none."""


Calibrations = Annotated[list[Calibration], Field(min_length=1, max_length=8, json_schema_extra=list_map("window"))]


class ThresholdSource(StrEnum):
    """How a threshold came about."""

    BUDGET = "Budget"
    QUANTILE = "Quantile"
    STANDARD_DEVIATIONS = "StandardDeviations"
    VALUE = "Value"
    FALLBACK = "Fallback"


class WindowBaseline(Contract):
    """The trailing baseline of one window's scores."""

    over: Duration
    """Event time that it forgets over."""
    most: float
    """Greatest multiple of `usual` that counts."""
    usual: Annotated[float, Field(gt=0)]
    """Median of the held-out scores, as the model computes them."""


class WindowThreshold(Contract):
    """The threshold in force for one window."""

    window: Name
    """Name of the window."""
    value: float
    """Score, as the model computes it, that is shown as 1.0."""
    source: ThresholdSource
    """How it came about."""
    asked: str
    """What was asked for, for people: `1/1w`, `0.999`, `3`."""
    asked_episodes: float | None = None
    """False episodes an entity in the budget's `per` that were asked for. Unset where no budget was asked for."""
    expected_episodes: float | None = None
    """The same as they are to be expected at `value`. More than were asked for while the held-out part is too short to know
    what is rarer."""
    exposure_seconds: float | None = None
    """Event time that was held out, added up over entities: what the estimate stands on."""
    tail: Tail | None = None
    """How rare scores above it are, by which they are shown. Unset: they are shown as multiples of it."""
    baseline: WindowBaseline | None = None
    """What is forgiven of an entity's scores before they decide. Unset: nothing."""
    factor: float | None = None
    """By what labels have moved it. Unset: they have not."""


def window_threshold(asked: Threshold, calibration: Calibration) -> WindowThreshold:
    """The threshold that `asked` means for these held-out scores.

    Raises ValueError when the calibration is empty.
    """
    if not calibration.quantiles:
        raise ValueError(f"window {calibration.window} has no held-out scores: train again with more data")
    found = _asked(asked, calibration)
    if asked.baseline is None:
        return found
    usual = max(_quantile(calibration.quantiles, 0.5), _SMALLEST)
    trailing = WindowBaseline(over=asked.baseline.over, most=asked.baseline.most, usual=usual)
    return found.model_copy(update={"baseline": trailing})


def _asked(asked: Threshold, calibration: Calibration) -> WindowThreshold:
    """The threshold by whichever member of the union is set."""
    if asked.budget is not None:
        return _with_tail(_of_budget(asked.budget, calibration), calibration)
    if asked.quantile is not None:
        value, source, text = _quantile(calibration.quantiles, asked.quantile), ThresholdSource.QUANTILE, f"{asked.quantile:g}"
    elif asked.standard_deviations is not None:
        value = calibration.mean + asked.standard_deviations * calibration.standard_deviation
        source, text = ThresholdSource.STANDARD_DEVIATIONS, f"{asked.standard_deviations:g}"
    else:
        assert asked.value is not None, "the API server admits exactly one"
        value, source, text = asked.value, ThresholdSource.VALUE, f"{asked.value:g}"
    found = WindowThreshold(window=calibration.window, value=max(value, _SMALLEST), source=source, asked=text)
    return found if source is ThresholdSource.VALUE else _with_tail(found, calibration)


def with_factor(threshold: WindowThreshold, factor: float) -> WindowThreshold:
    """The threshold as labels move it: `factor` times what it was before any moved it.

    A tail that is generalised Pareto above one level is so above another one, of the same shape (Coles 2001, section 4.2.2).
    """
    before = threshold.factor or 1.0
    if factor == before:
        return threshold
    value = threshold.value * factor / before
    changes: dict[str, object] = {"value": value, "factor": None if factor == 1.0 else factor}
    if threshold.tail is not None:
        tail, further = threshold.tail, value - threshold.value
        scale = max(tail.scale + tail.shape * further, _LEAST_SCALE * tail.scale)
        rarer = math.log(scale / tail.scale) / tail.shape if tail.shape > _SMALLEST else further / tail.scale
        changes["tail"] = Tail(shape=tail.shape, scale=scale, rarity=max(tail.rarity + rarer, _LEAST_RARITY))
        if threshold.expected_episodes is not None:
            changes["expected_episodes"] = threshold.expected_episodes * math.exp(-rarer)
    return threshold.model_copy(update=changes)


def _with_tail(found: WindowThreshold, calibration: Calibration) -> WindowThreshold:
    """With the rarity of what is above it: excursions for each window that was held out."""
    fitted = PeaksTail.of(calibration.peaks)
    above = fitted.expected(found.value) if fitted else 1 / REACH
    rarity = max(math.log(max(calibration.windows, 1) / above), _LEAST_RARITY)
    usual = max(found.value - calibration.mean, _SMALLEST) / rarity  # of an exponential tail from the mean on
    shape, scale = fitted.at(found.value) if fitted else (0.0, 0.0)
    tail = Tail(shape=shape, scale=max(scale, _LEAST_SCALE * usual) if scale else usual, rarity=rarity)
    return found.model_copy(update={"tail": tail})


def _of_budget(budget: Budget, calibration: Calibration) -> WindowThreshold:
    """The level that false episodes exceed as often as `budget` tolerates, as far as the held-out part can tell.

    A week cannot be known from an hour: a level that is exceeded once in more than `REACH` times the entity-time seen would be a
    guess far above every score, and the detector would be deaf. Then the level is the one that is exceeded once in `REACH` times
    that time, and `expected_episodes` says how many that makes in the budget's period.

    Example: one episode a week and 8 entity-hours held out. 1/21 is tolerated in as much time, 1/10 is supported: the level is
    that of one episode in 80 hours, and 2.1 a week are expected. With 168 entity-hours 1 is tolerated: 1 a week is expected.

    All this holds while the stream goes on as it was when it was held out. `budget.margin` is for the rest: a load that rises a
    little lifts every score, and an alarm that a level just above the usual ones had opened would never end.
    """
    exposure, period = calibration.entity_seconds, seconds(budget.per)
    tolerated = budget.episodes * exposure / period
    supported = max(tolerated, 1 / REACH)
    value = budget.margin * max(_level_of_peaks(calibration, supported), calibration.mean)
    expected = supported * period / exposure if exposure > 0 else None
    return WindowThreshold(
        window=calibration.window,
        value=max(value, _SMALLEST),
        source=ThresholdSource.BUDGET,
        asked=f"{budget.episodes}/{budget.per}",
        asked_episodes=float(budget.episodes),
        expected_episodes=None if expected is None else float(f"{expected:.3g}"),
        exposure_seconds=exposure,
    )


def _quantile(points: Sequence[Quantile], level: float) -> float:
    """Linear between the two points around `level`."""
    for low, high in pairwise(points):
        if level <= high.level:
            share = (level - low.level) / max(high.level - low.level, 1e-12)
            return low.score + min(max(share, 0.0), 1.0) * (high.score - low.score)
    return points[-1].score


def _level_of_peaks(calibration: Calibration, tolerated: float) -> float:
    """The level that at most `tolerated` of the peaks (falling) are expected to exceed in as much data as they came from.

    Beyond the peaks that were seen their tail is extrapolated, see `tails`.
    """
    peaks = calibration.peaks
    tail = PeaksTail.of(peaks)
    if tail is None:
        return peaks[0] * 2 if peaks else 0.0  # one excursion says nothing about the next
    if tolerated >= tail.count:
        return _ranked(calibration, math.ceil(tolerated) + 1)
    return tail.level(tolerated)


def _ranked(calibration: Calibration, rank: int) -> float:
    """Height of the excursion of this rank, the highest being the first; the lowest one where there are not so many."""
    peaks = calibration.peaks
    if rank <= len(peaks):
        return peaks[rank - 1]
    points = [RankedPeak(rank=len(peaks), score=peaks[-1]), *(calibration.further_peaks or [])]
    for high, low in pairwise(points):
        if rank <= low.rank:
            share = math.log(rank / high.rank) / math.log(low.rank / high.rank)  # tails are straight in the logarithm of the rank
            return high.score + share * (low.score - high.score)
    return points[-1].score
