"""The autoencoder and what surrounds it in the graph: scaling, errors, score. Nothing here fits or exports it."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import torch
from torch import nn

from anomaly_detector.training.models.scaling import Scaling

INPUT_LIMIT: Final = 6.0
"""What the network is shown of a scaled value, on both sides; the error is taken from the whole value."""
_ERROR_LIMIT: Final = 1e9
"""Scaled values are cut back to this, so that squares of finite readings stay finite in float32."""
_LARGEST_LAYER: Final = 256
_PARAMETERS: Final = 200_000


def derived_layers(size: int, features: int, windows: int = 1) -> list[int]:
    """Widths from the first hidden layer to the bottleneck for windows of `size` readings of so many features.

    The input's width decides: the first layer grows with its square root and is a power of two, the next is half of it, the
    bottleneck grows with its logarithm, because many sensors still follow few causes. All `windows` networks together stay near
    200,000 parameters, which is what fits into a ConfigMap.

    >>> derived_layers(12, 6)
    [64, 32, 8]
    >>> derived_layers(12, 19)
    [64, 32, 10]
    >>> derived_layers(2, 1)
    [2, 1]
    """
    inputs = size * features
    first = min(_LARGEST_LAYER, 1 << int(math.log2(min(inputs, 8 * math.sqrt(inputs)))))
    bottleneck = round(1.3 * math.log2(inputs))
    while first > 8 and 2 * (first + bottleneck) * inputs + first * first > _PARAMETERS / windows:
        first //= 2
    bottleneck = max(1, min(bottleneck, first // 4))
    return [width for width in (first, first // 2) if width > bottleneck] + [bottleneck]


class Dense(nn.Module):
    """An autoencoder of fully connected layers, with a linear way around them into and out of the bottleneck.

    The linear way carries what a principal component analysis would find. Load levels beyond those seen in training then still
    come out right where the layers alone would have to guess, which is what most false alerts came from.
    """

    def __init__(self, width: int, layers: Sequence[int]) -> None:
        super().__init__()
        self.encoder, self.decoder = _stack([width, *layers]), _stack([*reversed(layers), width])
        self.into, self.out = nn.Linear(width, layers[-1], bias=False), nn.Linear(layers[-1], width, bias=False)

    def forward(self, flat: torch.Tensor) -> torch.Tensor:
        code = self.encoder(flat) + self.into(flat)
        rebuilt: torch.Tensor = self.decoder(code) + self.out(code)
        return rebuilt


def _stack(widths: Sequence[int]) -> nn.Sequential:
    steps: list[nn.Module] = []
    for entering, leaving in pairwise(widths):
        steps += [nn.Linear(entering, leaving), nn.SiLU()]
    return nn.Sequential(*steps[:-1])


class WindowScorer(nn.Module):
    """From windows in the readings' own units to score, feature errors and expected reading; see `core.artifact` for shapes."""

    center: torch.Tensor
    scale: torch.Tensor
    weight: torch.Tensor
    share: torch.Tensor
    pick: torch.Tensor

    def __init__(self, size: int, scaling: Scaling, layers: Sequence[int]) -> None:
        super().__init__()
        features = len(scaling.center)
        self.size, self.features = size, features
        self.register_buffer("center", torch.tensor(scaling.center, dtype=torch.float32))
        self.register_buffer("scale", torch.tensor(scaling.scale, dtype=torch.float32))
        self.register_buffer("weight", torch.ones(features))
        self.register_buffer("share", torch.full((features, 1), 1 / features))
        self.register_buffer("pick", torch.eye(features).repeat(size, 1))
        self.network = Dense(size * features, layers)

    def scaled(self, windows: torch.Tensor) -> torch.Tensor:
        """Windows [n, size, features] in units of each feature's range, flat: [n, size * features]."""
        # flat from the first step on: ONNX Runtime is ten times slower where a short row is broadcast
        center, scale = self.center.repeat(self.size), self.scale.repeat(self.size)
        return ((windows.flatten(1) - center) / scale).clamp(-_ERROR_LIMIT, _ERROR_LIMIT)

    def reconstruct(self, scaled: torch.Tensor) -> torch.Tensor:
        """What the network makes of flat scaled windows [n, size * features]."""
        rebuilt: torch.Tensor = self.network(scaled.clamp(-INPUT_LIMIT, INPUT_LIMIT))
        return rebuilt

    def forward(self, windows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        scaled = self.scaled(windows)
        rebuilt = self.reconstruct(scaled)
        error = scaled - rebuilt
        # means by MatMul: in ONNX Runtime ReduceMean's last bit would depend on the window's place in its batch
        feature_errors = (error * error) @ (self.pick * (self.weight / self.size))
        # one Gemm: where a short row is multiplied and added, ONNX Runtime takes three times as long
        units = self.pick[: self.features] * self.scale
        expected = nn.functional.linear(rebuilt[:, -self.features :], units, self.center)
        return (feature_errors @ self.share).squeeze(1), feature_errors, expected
