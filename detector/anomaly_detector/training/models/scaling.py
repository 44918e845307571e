"""Where each feature lies and how far it ranges, robustly. Arrays only; the network carries the result inside its graph."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from anomaly_api.preparation import Direction, Role, Scaler
from anomaly_api.source import Feature
from anomaly_detector.training.models.judging import Judged
from anomaly_detector.training.models.shaping import Shape, logarithm_unit

_TAIL: Final = 0.005
_MOST_WINDOWS: Final = 20_000
"""That are looked at; evenly chosen among all."""
_HARMLESS: Final = 0.05
"""Where only deviations to one side count, what lies beyond this share of the values on the other side is as if it lay there."""
_QUARTILES: Final = 1.349
"""Between the quartiles of a normal distribution, in standard deviations."""


@dataclass(frozen=True)
class Scaling:
    """`(shaped value - center) / scale`, by feature; float64 [features] each."""

    center: NDArray[np.float64]
    scale: NDArray[np.float64]
    constant: NDArray[np.bool_]
    """Features that never changed; their scale is 1."""
    shape: Shape | None = None
    """What becomes of values first; None: nothing."""
    judged: Judged | None = None
    """Which errors count; None: all."""
    spread: NDArray[np.float64] | None = None
    """Standard deviations in the features' own units, where they are shaped; None: `scale`."""

    def scaled(self, values: NDArray[np.float32]) -> NDArray[np.float64]:
        """[n, features] Readings in units of their range."""
        found = values.astype(np.float64)
        if self.shape is not None:
            found = np.stack([self.shape.of(found[:, place], place) for place in range(found.shape[1])], axis=1)
        return (found - self.center) / self.scale


def robust_scaling(
    windows: NDArray[np.float32], places: NDArray[np.int64] | None = None, asked: Sequence[Feature] = ()
) -> Scaling:
    """Centre and range of each feature of `windows` [n, size, features], or of those at `places`; `asked`: as the spec has them.

    Unless the spec asks for another scaler they are mean and standard deviation after the outer half percent on both sides is cut
    back: a few wild readings (a sensor that once sent 1e9) then move neither. Where cutting back leaves nothing but one value,
    as with a feature that is rarely anything but zero, all readings count.
    """
    places = np.arange(len(windows)) if places is None else places
    features = windows.shape[2]
    asked = asked or [Feature(name="plain")] * features
    found = Scaling(np.empty(features), np.ones(features), np.empty(features, np.bool_), spread=np.ones(features))
    assert found.spread is not None, "it was just given"
    some = places[:: max(1, len(places) // _MOST_WINDOWS)]
    bounds = np.full(features, -np.inf), np.full(features, np.inf)
    plain = np.zeros(features, np.bool_)
    shape = Shape(plain, plain.copy(), np.ones(features), *bounds)
    for feature, wanted in enumerate(asked):  # one after the other: all at once would take several times the windows' memory
        values = windows[some, :, feature].astype(np.float64).ravel()
        _settle(shape, feature, wanted, values)
        found.spread[feature] = _cut_back(values)[1] or 1.0
        center, scale = _ranges(shape.of(values, feature), wanted.scaling)
        if _negligible(scale, center):
            every = shape.of(windows[:, :, feature][places].astype(np.float64).ravel(), feature)
            center, scale = float(every.mean()), float(every.std())
            found.constant[feature] = every.max() == every.min()
            center = float(every[0]) if found.constant[feature] else center
        else:
            found.constant[feature] = False
        found.center[feature] = center
        found.scale[feature] = 1.0 if found.constant[feature] or _negligible(scale, center) else scale
    judged = _judged(asked)
    return Scaling(
        found.center,
        found.scale,
        found.constant,
        None if shape.plain else shape,
        None if judged.plain else judged,
        None if shape.plain else found.spread,
    )


def _settle(shape: Shape, feature: int, wanted: Feature, values: NDArray[np.float64]) -> None:
    """Fills in one feature of `shape`."""
    if wanted.scaling is Scaler.LOG1P:
        shape.logarithm[feature], shape.unit[feature] = True, logarithm_unit(values)
    elif wanted.scaling is Scaler.ARC_SINE:
        shape.arc[feature] = True
        shape.unit[feature] = wanted.whole or (1.0 if values.max(initial=0.0) <= 1.0 else 100.0)
    if wanted.direction is Direction.ABOVE:
        shape.low[feature] = np.quantile(values, _HARMLESS)
    elif wanted.direction is Direction.BELOW:
        shape.high[feature] = np.quantile(values, 1 - _HARMLESS)


def _ranges(values: NDArray[np.float64], scaler: Scaler) -> tuple[float, float]:
    """Centre and range, as the scaler has them; ranges are those of a standard deviation, for errors have floors in them."""
    if scaler is Scaler.ROBUST:
        low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
        return float(middle), float((high - low) / _QUARTILES)
    if scaler is Scaler.MIN_MAX:
        low, high = float(values.min()), float(values.max())
        return (low + high) / 2, (high - low) / 12**0.5  # of values that are everywhere between them alike
    return _cut_back(values)


def _cut_back(values: NDArray[np.float64]) -> tuple[float, float]:
    low, high = np.quantile(values, [_TAIL, 1 - _TAIL])
    cut = np.clip(values, low, high)
    return cut.mean(), cut.std()


def _judged(asked: Sequence[Feature]) -> Judged:
    signs = {Direction.ABOVE: 1.0, Direction.BELOW: -1.0, Direction.BOTH: 0.0}
    return Judged(
        np.array([each.role is Role.SCORED for each in asked]),
        np.array([signs[each.direction] for each in asked]),
        np.array([each.least_deviation or 0.0 for each in asked]),
    )


def _negligible(scale: float, center: float) -> bool:
    """Whether a spread is no more than the rounding of float32 at that level."""
    return bool(scale <= 1e-6 * max(abs(center), 1e-30))
