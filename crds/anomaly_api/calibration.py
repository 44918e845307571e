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

from anomaly_api.policy import Threshold
from anomaly_api.schema import Contract, list_map, seconds
from anomaly_api.source import Name

MAX_PEAKS: Final = 256
_TAIL_SHARE: Final = 4
_FEWEST: Final = 10
_SHAPES: Final = (0.1, 0.5)


class Quantile(Contract):
    """One point of the distribution of held-out scores."""

    level: float
    """Between 0 and 1."""
    score: float
    """Score at this level, as the model computes it."""


class Calibration(Contract):
    """What the held-out part of the data said about one window's scores."""

    window: Name
    """Name of the window."""
    windows: int
    """Held-out windows."""
    entity_seconds: float
    """Event time they cover, in seconds, added up over entities."""
    mean: float
    """Mean score."""
    standard_deviation: float
    """Standard deviation of the scores."""
    maximum: float
    """Largest score."""
    quantiles: Annotated[list[Quantile], Field(min_length=2, max_length=64)]
    """The distribution, by rising level from 0 to 1."""
    peaks: Annotated[list[float], Field(max_length=MAX_PEAKS)]
    """Largest score of each separate excursion of an entity, falling: what an episode would have been."""


Calibrations = Annotated[list[Calibration], Field(min_length=1, max_length=8, json_schema_extra=list_map("window"))]


class ThresholdSource(StrEnum):
    """How a threshold came about."""

    BUDGET = "Budget"
    QUANTILE = "Quantile"
    STANDARD_DEVIATIONS = "StandardDeviations"
    VALUE = "Value"
    FALLBACK = "Fallback"


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


def window_threshold(asked: Threshold, calibration: Calibration) -> WindowThreshold:
    """The threshold that `asked` means for these held-out scores.

    Raises ValueError when the calibration is empty.
    """
    if not calibration.quantiles:
        raise ValueError(f"window {calibration.window} has no held-out scores: train again with more data")
    if asked.budget is not None:
        tolerated = asked.budget.episodes * calibration.entity_seconds / seconds(asked.budget.per)
        value, source = max(_level_of_peaks(calibration.peaks, tolerated), calibration.mean), ThresholdSource.BUDGET
        text = f"{asked.budget.episodes}/{asked.budget.per}"
    elif asked.quantile is not None:
        value, source, text = _quantile(calibration.quantiles, asked.quantile), ThresholdSource.QUANTILE, f"{asked.quantile:g}"
    elif asked.standard_deviations is not None:
        value = calibration.mean + asked.standard_deviations * calibration.standard_deviation
        source, text = ThresholdSource.STANDARD_DEVIATIONS, f"{asked.standard_deviations:g}"
    else:
        assert asked.value is not None, "the API server admits exactly one"
        value, source, text = asked.value, ThresholdSource.VALUE, f"{asked.value:g}"
    return WindowThreshold(window=calibration.window, value=max(value, 1e-12), source=source, asked=text)


def _quantile(points: Sequence[Quantile], level: float) -> float:
    """Linear between the two points around `level`."""
    for low, high in pairwise(points):
        if level <= high.level:
            share = (level - low.level) / max(high.level - low.level, 1e-12)
            return low.score + min(max(share, 0.0), 1.0) * (high.score - low.score)
    return points[-1].score


def _level_of_peaks(peaks: Sequence[float], tolerated: float) -> float:
    """The level that at most `tolerated` of the `peaks` (falling) are expected to exceed in as much data as they came from.

    Peaks over threshold: the excesses of the largest quarter of the peaks over the next smaller one follow a generalised Pareto
    distribution, fitted by probability-weighted moments (Hosking and Wallis 1987, section 4). Who asks for few false alerts
    is hurt by a level too low, so what is uncertain is decided upwards:

    - the shape is kept between 0.1 and 0.5: squared errors have heavy tails, and none ends just above what was seen;
    - the scale is one standard error larger than estimated, which is much for few peaks and little for many;
    - yet excesses of more than five times the usual large one are cut back: they are anomalies in the history.

    Example: 256 peaks, the excesses of the largest 64 with mean 1 and shape 0.1, half of one tolerated: (128^0.1 - 1) / 0.1 = 6.2
    scales of 0.9 above the base, 7.0 scales with the standard error.
    """
    count = min(len(peaks) - 1, max(len(peaks) // _TAIL_SHARE, _FEWEST))
    if count < 1:
        return peaks[0] * 2 if peaks else 0.0  # one excursion says nothing about the next
    if tolerated >= count:
        return peaks[min(math.ceil(tolerated), len(peaks) - 1)]
    base = peaks[count]
    usual = peaks[count // 10] - base
    excesses = sorted(min(peak - base, 5 * usual) for peak in peaks[:count])
    shape, scale = _pareto(excesses)
    scale *= 1 + 1 / math.sqrt(count)
    ratio = count / tolerated
    return base + scale * (math.pow(ratio, shape) - 1) / shape


def _pareto(excesses: Sequence[float]) -> tuple[float, float]:
    """Shape and scale of a generalised Pareto distribution for `excesses`, rising; a positive shape is a heavy tail."""
    count = len(excesses)
    mean = sum(excesses) / count
    if count < _FEWEST or mean <= 0:  # too few for a shape
        return _SHAPES[0], mean
    weighted = sum((1 - (rank + 0.65) / count) * excess for rank, excess in enumerate(excesses)) / count
    shape = min(max(2 - mean / max(mean - 2 * weighted, 1e-12 * mean), _SHAPES[0]), _SHAPES[1])
    return shape, mean * (1 - shape)
