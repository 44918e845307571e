"""Autoencoders that know that a window is a sequence of readings: convolutional, LSTM, temporal convolutional, transformer.

They are written with plain operations, so that every version of torch exports them alike.
"""

import math
from collections.abc import Sequence
from typing import Final

import torch
from torch import nn

from anomaly_detector.training.models.descent import Network

LONGEST_UNROLLED: Final = 128
"""Readings in a window of an LSTM: the graph has every step."""


class _Sequence(Network):
    """Windows as sequences of readings."""

    def __init__(self, size: int, features: int) -> None:
        super().__init__()
        self.size, self.features = size, features

    def readings(self, flat: torch.Tensor) -> torch.Tensor:
        """[n, size, features]"""
        return flat.reshape(-1, self.size, self.features)


class Convolutional(_Sequence):
    """Convolutions over time to half as many steps of few channels, and back."""

    def __init__(self, size: int, features: int, layers: Sequence[int]) -> None:
        super().__init__(size, features)
        channels, code = layers[0], layers[-1]
        self.encoder = nn.Sequential(
            nn.Conv1d(features, channels, 3, padding=1), nn.SiLU(), nn.Conv1d(channels, code, 3, stride=2, padding=1)
        )
        self.decoder = nn.Sequential(
            nn.ConvTranspose1d(code, channels, 4, stride=2, padding=1), nn.SiLU(), nn.Conv1d(channels, features, 3, padding=1)
        )

    def forward(self, flat: torch.Tensor) -> torch.Tensor:
        rebuilt: torch.Tensor = self.decoder(self.encoder(self.readings(flat).transpose(1, 2)))
        return rebuilt[:, :, : self.size].transpose(1, 2).flatten(1)


class Lstm(_Sequence):
    """The last state of one LSTM is all that another one gets to write the window down again (Malhotra et al. 2016)."""

    def __init__(self, size: int, features: int, layers: Sequence[int]) -> None:
        super().__init__(size, features)
        self.hidden = layers[-1]
        self.encoder, self.decoder = (nn.Linear(features + self.hidden, 4 * self.hidden) for _ in range(2))
        self.out = nn.Linear(self.hidden, features)

    def forward(self, flat: torch.Tensor) -> torch.Tensor:
        readings = self.readings(flat)
        state = torch.zeros_like(readings[:, 0, :1]).expand(-1, self.hidden)
        cell = state
        for place in range(self.size):
            state, cell = self._step(self.encoder, readings[:, place], state, cell)
        rebuilt = []
        for _ in range(self.size):  # from the newest reading back, as its inventors do
            rebuilt.append(self.out(state))
            state, cell = self._step(self.decoder, rebuilt[-1], state, cell)
        return torch.stack(rebuilt[::-1], dim=1).flatten(1)

    @staticmethod
    def _step(
        gates: nn.Module, reading: torch.Tensor, state: torch.Tensor, cell: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        enter, forget, give, new = gates(torch.cat([reading, state], dim=1)).chunk(4, dim=1)
        cell = torch.sigmoid(forget + 1) * cell + torch.sigmoid(enter) * torch.tanh(new)
        return torch.sigmoid(give) * torch.tanh(cell), cell


class Tcn(_Sequence):
    """Dilated causal convolutions (Bai et al. 2018) that foretell each reading from those before it in the window."""

    def __init__(self, size: int, features: int, layers: Sequence[int]) -> None:
        super().__init__(size, features)
        self.first = nn.Parameter(torch.zeros(1, features, 1))
        self.into = nn.Conv1d(features, layers[0], 1)
        depth = max(1, math.ceil(math.log2(max(size - 1, 2))))
        self.blocks = nn.ModuleList(nn.Conv1d(layers[0], layers[0], 2, dilation=1 << level) for level in range(depth))
        self.out = nn.Conv1d(layers[0], features, 1)

    def forward(self, flat: torch.Tensor) -> torch.Tensor:
        readings = self.readings(flat).transpose(1, 2)
        before = torch.cat([self.first.expand(readings.shape[0], -1, -1), readings[:, :, :-1]], dim=2)
        found = self.into(before)
        for level, block in enumerate(self.blocks):
            found = found + nn.functional.silu(block(nn.functional.pad(found, (1 << level, 0))))
        rebuilt: torch.Tensor = self.out(found) + before
        return rebuilt.transpose(1, 2).flatten(1)


class Transformer(_Sequence):
    """Readings attend to each other (Vaswani et al. 2017), then everything goes through a bottleneck."""

    def __init__(self, size: int, features: int, layers: Sequence[int]) -> None:
        super().__init__(size, features)
        width, code = layers[0], layers[-1]
        self.width = width
        self.into, self.place = nn.Linear(features, width), nn.Parameter(0.02 * torch.randn(1, size, width))
        self.asked, self.mixed = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.think = nn.Sequential(nn.Linear(width, 2 * width), nn.SiLU(), nn.Linear(2 * width, width))
        self.squeeze, self.spread = nn.Linear(size * width, code), nn.Linear(code, size * width)
        self.out = nn.Linear(width, features)

    def forward(self, flat: torch.Tensor) -> torch.Tensor:
        found = self.into(self.readings(flat)) + self.place
        query, key, value = self.asked(self.norms[0](found)).chunk(3, dim=2)
        weights = torch.softmax(query @ key.transpose(1, 2) / math.sqrt(self.width), dim=2)
        found = found + self.mixed(weights @ value)
        found = found + self.think(self.norms[1](found))
        spread = self.spread(self.squeeze(found.flatten(1)))
        rebuilt: torch.Tensor = self.out(nn.functional.silu(spread).reshape(-1, self.size, self.width) + self.place)
        return rebuilt.flatten(1)
