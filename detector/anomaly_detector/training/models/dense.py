"""Autoencoders of fully connected layers over the flat window: plain, denoising, sparse and variational."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import torch
from torch import nn

from anomaly_detector.training.models.descent import Network, squared_error
from anomaly_detector.training.models.kind import PARAMETERS

_LARGEST_LAYER: Final = 256
_NOISE: Final = 0.4
_BLANKED: Final = 0.2
"""Share of the values that a denoising autoencoder is not shown."""
_SPARSITY: Final = 1e-3
_DIVERGENCE: Final = 1e-3
"""Weight of the Kullback-Leibler divergence beside the error of a value."""


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
    while first > 8 and 2 * (first + bottleneck) * inputs + first * first > PARAMETERS / windows:
        first //= 2
    bottleneck = max(1, min(bottleneck, first // 4))
    return [width for width in (first, first // 2) if width > bottleneck] + [bottleneck]


class Dense(Network):
    """An autoencoder of fully connected layers beside a fixed linear way, the window's principal components.

        rebuilt = components(window) + decoder(encoder(window))

    The layers begin at nothing and learn what the components leave over, so the network reproduces windows at least as well as a
    principal component analysis. Load levels beyond those seen in training still come out right where layers alone would have to
    guess, which is what most false alerts came from.
    """

    def __init__(self, width: int, layers: Sequence[int]) -> None:
        super().__init__()
        self.encoder, self.decoder = _stack([width, *layers]), _stack([*reversed(layers), width])
        self.linear: nn.Module = nn.Identity()

    def begin(self, linear: nn.Module) -> None:
        """Sets the linear way; what the layers add to it is nothing at first."""
        self.linear = linear
        last = self.decoder[-1]
        assert isinstance(last, nn.Linear), "a stack ends with a linear layer"
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)

    def encode(self, flat: torch.Tensor) -> torch.Tensor:
        """[n, bottleneck]"""
        code: torch.Tensor = self.encoder(flat)
        return code

    def rebuild(self, flat: torch.Tensor, code: torch.Tensor) -> torch.Tensor:
        """[n, size * features] from the window as it is shown and its code."""
        rebuilt: torch.Tensor = self.linear(flat) + self.decoder(code)
        return rebuilt

    def forward(self, flat: torch.Tensor) -> torch.Tensor:
        return self.rebuild(flat, self.encode(flat))


class Denoising(Dense):
    """Is shown windows with more noise and without some of their values, and learns to restore them (Vincent et al. 2008)."""

    def loss(self, batch: torch.Tensor, chance: torch.Generator) -> torch.Tensor:
        shown = torch.rand(batch.shape, generator=chance, device=batch.device) >= _BLANKED
        noisy = (batch + _NOISE * torch.randn(batch.shape, generator=chance, device=batch.device)) * shown
        return squared_error(self(noisy), batch)


class Sparse(Dense):
    """A wide code of which little may be used at a time: an L1 penalty on it beside the error (Ng 2011)."""

    def loss(self, batch: torch.Tensor, chance: torch.Generator) -> torch.Tensor:
        noisy = batch + 0.5 * _NOISE * torch.randn(batch.shape, generator=chance, device=batch.device)
        code = self.encode(noisy)
        return squared_error(self.rebuild(noisy, code), batch) + _SPARSITY * code.abs().mean()


class Variational(Dense):
    """The code is a normal distribution near the standard one (Kingma and Welling 2014); windows are scored by its mean."""

    def __init__(self, width: int, layers: Sequence[int]) -> None:
        super().__init__(width, layers)
        self.spread = nn.Linear(width, layers[-1])

    def loss(self, batch: torch.Tensor, chance: torch.Generator) -> torch.Tensor:
        mean, spread = self.encode(batch), self.spread(batch).clamp(-8, 8)
        drawn = mean + (spread / 2).exp() * torch.randn(mean.shape, generator=chance, device=mean.device)
        divergence = (mean.square() + spread.exp() - 1 - spread).mean() / 2
        loss: torch.Tensor = squared_error(self.rebuild(batch, drawn), batch) + _DIVERGENCE * divergence
        return loss


def _stack(widths: Sequence[int]) -> nn.Sequential:
    steps: list[nn.Module] = []
    for entering, leaving in pairwise(widths):
        steps += [nn.Linear(entering, leaving), nn.SiLU()]
    return nn.Sequential(*steps[:-1])
