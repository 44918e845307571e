"""What becomes of a feature's values before they are centred and scaled, and back: in numpy to fit by, in torch for the graph.

logarithm    sign(x) * log(1 + |x| / u)             u a tenth of the feature's median, so that its unit makes no difference
arc sine     asin(sqrt(x / w)), of 0 <= x / w <= 1  the angular transformation (Freeman, Tukey 1950): of a share of few events as
                                                    steady as of one of many; beyond the ends it goes on as a straight line
cut back     what lies below (or above) nearly all values learned from is as if it lay there, where nobody asks about it
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

_STEEPEST: Final = 60.0
"""Logarithms that are turned back are cut back to this."""
_FARTHEST: Final = 1e30
_UNIT: Final = 0.1
"""Of the logarithm, as a share of the median."""


@dataclass(frozen=True)
class Shape:
    """By feature; [features] each."""

    logarithm: NDArray[np.bool_]
    arc: NDArray[np.bool_]
    unit: NDArray[np.float64]
    """By which values are divided first: of the logarithm, or of a whole; 1 for others."""
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    """Where values are cut back, in their own units."""

    @property
    def plain(self) -> bool:
        """Whether nothing becomes of any value."""
        return not (self.logarithm.any() or self.arc.any() or np.isfinite(self.low).any() or np.isfinite(self.high).any())

    def of(self, values: NDArray[np.float64], feature: int) -> NDArray[np.float64]:
        """The values of one feature, shaped."""
        values = np.clip(values, self.low[feature], self.high[feature]) / self.unit[feature]
        if self.logarithm[feature]:
            return np.sign(values) * np.log1p(np.abs(values))
        if self.arc[feature]:
            inside = np.clip(values, 0.0, 1.0)
            return np.arcsin(np.sqrt(inside)) + (values - inside)
        return values


def logarithm_unit(values: NDArray[np.float64]) -> float:
    """The unit of the logarithm of these values.

    >>> logarithm_unit(np.array([20.0, 30.0, 900.0])), logarithm_unit(np.zeros(3))
    (3.0, 1.0)
    """
    usual = float(np.median(np.abs(values))) or float(np.mean(np.abs(values)))
    return usual * _UNIT if usual > 0 else 1.0


class Shaping(nn.Module):
    """Shapes flat windows [n, size * features], and turns shaped readings [n, features] back."""

    low: torch.Tensor
    high: torch.Tensor
    unit: torch.Tensor
    logarithm: torch.Tensor
    arc: torch.Tensor

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.features = len(shape.unit)
        self.logs, self.arcs = bool(shape.logarithm.any()), bool(shape.arc.any())
        for name in ("low", "high", "unit"):
            values = np.clip(getattr(shape, name), -_FARTHEST, _FARTHEST)
            self.register_buffer(name, torch.tensor(values, dtype=torch.float32))
        for name in ("logarithm", "arc"):
            self.register_buffer(name, torch.tensor(getattr(shape, name)))

    def forward(self, flat: torch.Tensor) -> torch.Tensor:
        """[n, k * features] Shaped."""
        times = flat.shape[1] // self.features
        values = torch.minimum(torch.maximum(flat, self.low.repeat(times)), self.high.repeat(times)) / self.unit.repeat(times)
        found = values
        if self.logs:
            # log1p has no operator of its own in ONNX
            found = torch.where(self.logarithm.repeat(times), values.sign() * (values.abs() + 1.0).log(), found)
        if self.arcs:
            inside = values.clamp(0.0, 1.0)
            found = torch.where(self.arc.repeat(times), inside.sqrt().asin() + (values - inside), found)
        return found

    def back(self, shaped: torch.Tensor) -> torch.Tensor:
        """[n, k * features] In the readings' own units."""
        times = shaped.shape[1] // self.features
        found = shaped
        if self.logs:
            grown = shaped.sign() * (shaped.abs().clamp_max(_STEEPEST).exp() - 1.0)
            found = torch.where(self.logarithm.repeat(times), grown, found)
        if self.arcs:
            inside = shaped.clamp(0.0, torch.pi / 2)
            found = torch.where(self.arc.repeat(times), inside.sin().square() + (shaped - inside), found)
        return found * self.unit.repeat(times)
