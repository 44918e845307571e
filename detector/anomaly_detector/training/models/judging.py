"""Which errors count: of features that are scored, in the direction that somebody asks about, and not too small to matter."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn


@dataclass(frozen=True)
class Judged:
    """By feature; [features] each."""

    scored: NDArray[np.bool_]
    direction: NDArray[np.float64]
    """1 where only values above what was expected count, -1 where only those below it do, 0 for both."""
    least: NDArray[np.float64]
    """Deviation below which no error counts, in the feature's own unit; 0 where every one does."""

    @property
    def plain(self) -> bool:
        """Whether all errors count."""
        return bool(self.scored.all() and not self.direction.any() and not self.least.any())


class Judging(nn.Module):
    """Makes nothing of errors that do not count."""

    scored: torch.Tensor
    direction: torch.Tensor
    least: torch.Tensor

    def __init__(self, judged: Judged) -> None:
        super().__init__()
        self.directed, self.bounded = bool(judged.direction.any()), bool(judged.least.any())
        self.register_buffer("scored", torch.tensor(judged.scored, dtype=torch.float32))
        self.register_buffer("direction", torch.tensor(judged.direction, dtype=torch.float32))
        self.register_buffer("least", torch.tensor(judged.least, dtype=torch.float32))

    @property
    def share(self) -> torch.Tensor:
        """[features, 1] Of each feature in the mean over them."""
        return (self.scored / self.scored.sum()).unsqueeze(1)

    def counted(self, error: torch.Tensor, deviation: torch.Tensor | None) -> torch.Tensor:
        """[n, k * features] The errors, 0 where one does not count; `deviation` is the same in the features' own units."""
        times = error.shape[1] // len(self.scored)
        found = error * self.scored.repeat(times)
        if self.directed:
            direction = self.direction.repeat(times)
            found = torch.where(direction == 0, found, torch.relu(found * direction))
        if self.bounded and deviation is not None:
            found = found * (deviation.abs() >= self.least.repeat(times))
        return found
