"""Thresholds, computed from held-out scores: what each member of `spec.threshold` means. Pure arithmetic, used by both sides.

Every member counts episodes, not windows, where it speaks of how often: windows that follow each other share their readings, and
the largest of them stands for all (`Calibration.peaks`). None goes further than the held-out part supports, see `REACH`.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from anomaly_api.calibration import (
    Calibration,
    Quantile,
    ThresholdSource,
    WindowBaseline,
    WindowFactors,
    WindowThreshold,
)
from anomaly_api.excursions import REACH, exceeding, excursions, level_of_peaks, ranked
from anomaly_api.policy import Budget, BudgetScope, Conformal, PeaksOverThreshold, Threshold
from anomaly_api.schema import seconds
from anomaly_api.tails import PeaksTail, Tail, maximum_likelihood

PER: Final = "1w"
"""Period that expected episodes refer to where the spec names none."""
_SMALLEST: Final = 1e-12
_LEAST_RARITY: Final = 1.0
_LEAST_SCALE: Final = 0.01
"""Of a tail, as a part of what it would be if the scores' whole distribution were exponential."""


def window_threshold(asked: Threshold, calibration: Calibration, entities: int | None = None) -> WindowThreshold:
    """The threshold that `asked` means for these held-out scores.

    `entities`: number in use, which a budget of the fleet is shared by; None: as many as were held out. Raises ValueError when
    the calibration is empty.
    """
    if not calibration.quantiles:
        raise ValueError(f"window {calibration.window} has no held-out scores: train again with more data")
    found = _asked(asked, calibration, entities or calibration.entities or 1)
    if asked.per_entity is not None:
        typical = max(_geometric_mean(calibration.quantiles), _SMALLEST)
        factors = WindowFactors(after=asked.per_entity.after, most=asked.per_entity.most, usual=typical)
        return found.model_copy(update={"per_entity": factors})
    if asked.baseline is None:
        return found
    usual = max(_quantile(calibration.quantiles, 0.5), _SMALLEST)
    trailing = WindowBaseline(over=asked.baseline.over, most=asked.baseline.most, usual=usual)
    return found.model_copy(update={"baseline": trailing})


def _asked(asked: Threshold, calibration: Calibration, entities: int) -> WindowThreshold:
    """The threshold by whichever member of the union is set."""
    if asked.budget is not None:
        return _with_tail(_of_budget(asked.budget, calibration, entities), calibration)
    if asked.peaks_over_threshold is not None:
        found = _of_peaks(asked.peaks_over_threshold, calibration)
    elif asked.conformal is not None:
        found = _conformal(asked.conformal, calibration)
    elif asked.quantile is not None:
        found = _of_quantile(asked.quantile, calibration)
    elif asked.standard_deviations is not None:
        value = calibration.mean + asked.standard_deviations * calibration.standard_deviation
        found = _found(calibration, value, ThresholdSource.STANDARD_DEVIATIONS, f"{asked.standard_deviations:g}")
    else:
        assert asked.value is not None, "the API server admits exactly one"
        return _found(calibration, asked.value, ThresholdSource.VALUE, f"{asked.value:g}")
    return _with_tail(found, calibration)


def with_factor(threshold: WindowThreshold, factor: float) -> WindowThreshold:
    """The threshold as labels move it: `factor` times what it was before any moved it."""
    before = threshold.factor or 1.0
    if factor == before:
        return threshold
    moved = scaled(threshold, factor / before)
    return moved.model_copy(update={"factor": None if factor == 1.0 else factor})


def scaled(threshold: WindowThreshold, times: float) -> WindowThreshold:
    """The threshold `times` as high, with what is to be expected of it.

    A tail that is generalised Pareto above one level is so above another one, of the same shape (Coles 2001, section 4.2.2).
    """
    value = threshold.value * times
    changes: dict[str, object] = {"value": value}
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


def _found(
    calibration: Calibration, value: float, source: ThresholdSource, asked: str, supported: str | None = None
) -> WindowThreshold:
    """A threshold that is no budget's, and how many episodes of an entity are to be expected of it in a week."""
    value, exposure = max(value, _SMALLEST), calibration.entity_seconds
    expected = exceeding(calibration, value) * seconds(PER) / exposure if exposure > 0 else None
    return WindowThreshold(
        window=calibration.window,
        value=value,
        source=source,
        asked=asked,
        supported=supported if supported != asked else None,
        expected_episodes=None if expected is None else _rounded(expected),
        exposure_seconds=exposure,
    )


def _of_budget(budget: Budget, calibration: Calibration, entities: int) -> WindowThreshold:
    """The level that false episodes exceed as often as `budget` tolerates, as far as the held-out part can tell.

    A week cannot be known from an hour: a level that is exceeded once in more than `REACH` times the entity-time seen would be a
    guess far above every score, and the detector would be deaf. Then the level is the one that is exceeded once in `REACH` times
    that time, and `expected_episodes` says how many that makes in the budget's period.

    Example: one episode a week and 8 entity-hours held out. 1/21 is tolerated in as much time, 1/10 is supported: the level is
    that of one episode in 80 hours, and 2.1 a week are expected. With 168 entity-hours 1 is tolerated: 1 a week is expected.

    A budget of the fleet is shared by its entities. Example: 5 a day of a fleet of 100 is .05 a day of each.

    All this holds while the stream goes on as it was when it was held out. `budget.margin` is for the rest: a load that rises a
    little lifts every score, and an alarm that a level just above the usual ones had opened would never end.
    """
    fleet = budget.of is BudgetScope.FLEET
    shared = entities if fleet else 1
    exposure, period = calibration.entity_seconds / shared, seconds(budget.per)
    tolerated = budget.episodes * exposure / period
    supported = max(tolerated, 1 / REACH)
    value = budget.margin * max(level_of_peaks(calibration, supported), calibration.mean)
    expected = _rounded(supported * period / exposure) if exposure > 0 else None
    return WindowThreshold(
        window=calibration.window,
        value=max(value, _SMALLEST),
        source=ThresholdSource.BUDGET,
        asked=asked_of(budget),
        supported=f"{expected:g}/{budget.per}" if expected is not None and supported > tolerated else None,
        asked_episodes=float(budget.episodes),
        expected_episodes=expected,
        exposure_seconds=calibration.entity_seconds,
        entities=entities if fleet else None,
    )


def asked_of(budget: Budget) -> str:
    """A budget for people: `1/1w`, `5/1d of the fleet`."""
    return f"{budget.episodes}/{budget.per}" + (" of the fleet" if budget.of is BudgetScope.FLEET else "")


def _of_quantile(level: float, calibration: Calibration) -> WindowThreshold:
    """A quantile of the windows. Beyond the largest one there is nothing to know: `supported` says so."""
    supported = min(level, 1 - 1 / max(calibration.windows, 2))
    value = _quantile(calibration.quantiles, level)
    return _found(calibration, value, ThresholdSource.QUANTILE, f"{level:g}", f"{supported:g}")


def _of_peaks(asked: PeaksOverThreshold, calibration: Calibration) -> WindowThreshold:
    """The level that excursions exceed with probability `risk` a window, as SPOT sets it (Siffer, Fouque, Termier, Largouet:
    Anomaly Detection in Streams with Extreme Value Theory, KDD 2017, section 4.1).

    Peaks beyond the quantile `level`, t, follow a generalised Pareto distribution, fitted by maximum likelihood. With n windows,
    of which N excursions are beyond t, the threshold is t + scale / shape * ((risk * n / N) ** -shape - 1). There, excesses are
    windows; here they are excursions, since scores are autocorrelated.

    Example: 10,000 windows, 200 excursions beyond t = 2 with scale 1 and shape 0.2, risk .0001: 2 + (200 ** 0.2 - 1) / 0.2 = 11.4
    """
    base = _quantile(calibration.quantiles, asked.level)
    beyond = [peak - base for peak in calibration.peaks if peak > base]
    if len(beyond) == len(calibration.peaks) and calibration.further_peaks:  # further ones may be beyond it, too
        base = calibration.peaks[-1]
        beyond = [peak - base for peak in calibration.peaks if peak > base]
    windows = max(calibration.windows, 1)
    tolerated = max(asked.risk * windows, 1 / REACH)
    if len(beyond) < 2:
        value = level_of_peaks(calibration, tolerated)
    elif tolerated >= len(beyond):
        value = ranked(calibration, math.ceil(tolerated) + 1)
    else:
        shape, scale = maximum_likelihood(tuple(sorted(beyond)))
        rarer = math.log(len(beyond) / tolerated)
        value = base + (scale * math.expm1(shape * rarer) / shape if abs(shape) > _SMALLEST else scale * rarer)
    return _found(
        calibration, value, ThresholdSource.PEAKS_OVER_THRESHOLD, f"{asked.risk:g}", f"{_rounded(tolerated / windows):g}"
    )


def _conformal(asked: Conformal, calibration: Calibration) -> WindowThreshold:
    """The lowest score whose conformal p-value is at most `significance` (Laxhammar, Falkman, 2014; Vovk et al. 2005).

    The p-value of a score is (1 + number of held-out excursions at least as high) / (1 + number of held-out excursions). It is
    valid where a normal excursion is exchangeable with them, which windows that overlap are not. Nothing is extrapolated: of m
    excursions the smallest p-value is 1 / (m + 1).

    Example: 999 excursions and a significance of .01: a score above the 10th highest has at most 9 at least as high, and a
    p-value of at most 10 / 1000.
    """
    count = excursions(calibration)
    rank = max(1, math.floor(asked.significance * (count + 1) + _SMALLEST))
    value = ranked(calibration, rank) if count else calibration.maximum
    supported = max(asked.significance, _rounded(1 / (count + 1)))
    return _found(calibration, value, ThresholdSource.CONFORMAL, f"{asked.significance:g}", f"{supported:g}")


def _quantile(points: Sequence[Quantile], level: float) -> float:
    """Linear between the two points around `level`."""
    for low, high in pairwise(points):
        if level <= high.level:
            share = (level - low.level) / max(high.level - low.level, 1e-12)
            return low.score + min(max(share, 0.0), 1.0) * (high.score - low.score)
    return points[-1].score


def _geometric_mean(points: Sequence[Quantile]) -> float:
    """Of the distribution that these quantiles are of."""
    logs = [math.log(max(point.score, _SMALLEST)) for point in points]
    parts = zip(pairwise(points), pairwise(logs), strict=True)
    return math.exp(sum((high.level - low.level) * (first + last) / 2 for (low, high), (first, last) in parts))


def _rounded(value: float) -> float:
    return float(f"{value:.3g}")
