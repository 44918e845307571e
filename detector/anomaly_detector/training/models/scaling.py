"""Where each feature lies and how far it ranges, robustly. Arrays only; the network carries the result inside its graph."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

_TAIL: Final = 0.005
_MOST_WINDOWS: Final = 20_000
"""That are looked at; evenly chosen among all."""


@dataclass(frozen=True)
class Scaling:
    """`(value - center) / scale`, by feature; float64 [features] each."""

    center: NDArray[np.float64]
    scale: NDArray[np.float64]
    constant: NDArray[np.bool_]
    """Features that never changed; their scale is 1."""


def robust_scaling(windows: NDArray[np.float32], places: NDArray[np.int64] | None = None) -> Scaling:
    """Mean and standard deviation of each feature of `windows` [n, size, features], or of those at `places`, after the outer half
    percent on both sides is cut back.

    A few wild readings (a sensor that once sent 1e9) then move neither. Where cutting back leaves nothing but one value,
    as with a feature that is rarely anything but zero, all readings count.
    """
    places = np.arange(len(windows)) if places is None else places
    features = windows.shape[2]
    found = Scaling(np.empty(features), np.ones(features), np.empty(features, np.bool_))
    some = places[:: max(1, len(places) // _MOST_WINDOWS)]
    for feature in range(features):  # one after the other: all at once would take several times the windows' memory
        values = windows[some, :, feature].astype(np.float64).ravel()
        low, high = np.quantile(values, [_TAIL, 1 - _TAIL])
        cut = np.clip(values, low, high)
        center, scale = cut.mean(), cut.std()
        if _negligible(scale, center):
            every = windows[:, :, feature][places].astype(np.float64).ravel()
            center, scale = every.mean(), every.std()
            found.constant[feature] = every.max() == every.min()
            center = every[0] if found.constant[feature] else center
        else:
            found.constant[feature] = False
        found.center[feature] = center
        found.scale[feature] = 1.0 if found.constant[feature] or _negligible(scale, center) else scale
    return found


def _negligible(scale: float, center: float) -> bool:
    """Whether a spread is no more than the rounding of float32 at that level."""
    return bool(scale <= 1e-6 * max(abs(center), 1e-30))
