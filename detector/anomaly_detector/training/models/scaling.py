"""Where each feature lies and how far it ranges, robustly. Arrays only; the network carries the result inside its graph."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

_TAIL: Final = 0.005


@dataclass(frozen=True)
class Scaling:
    """`(value - center) / scale`, by feature; float64 [features] each."""

    center: NDArray[np.float64]
    scale: NDArray[np.float64]
    constant: NDArray[np.bool_]
    """Features that never changed; their scale is 1."""


def robust_scaling(rows: NDArray[np.float32]) -> Scaling:
    """Mean and standard deviation of each column of `rows` [n, features] after the outer half percent on both sides is cut back.

    A few wild readings (a sensor that once sent 1e9) then move neither. Where cutting back leaves nothing but one value,
    as with a feature that is rarely anything but zero, all readings count.
    """
    values = rows.astype(np.float64)
    low, high = np.quantile(values, [_TAIL, 1 - _TAIL], axis=0)
    cut = np.clip(values, low, high)
    center, scale = cut.mean(axis=0), cut.std(axis=0)
    rare = _negligible(scale, center)
    center[rare], scale[rare] = values[:, rare].mean(axis=0), values[:, rare].std(axis=0)
    constant = values.max(axis=0) == values.min(axis=0)
    center[constant] = values[0, constant]
    scale[constant | _negligible(scale, center)] = 1.0
    return Scaling(center=center, scale=scale, constant=constant)


def _negligible(scale: NDArray[np.float64], center: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether a spread is no more than the rounding of float32 at that level."""
    return scale <= 1e-6 * np.maximum(np.abs(center), 1e-30)
