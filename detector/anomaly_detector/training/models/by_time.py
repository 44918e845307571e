"""What is usual for a feature at an hour and weekday, beside what its window shows: for kinds that reproduce windows.

    l_f = mean of the feature's scaled values over the window, less what is usual at that time
    t_f = l_f^2 / its own 99 % quantile in training, at least the floor
    e_f = the larger of t_f and the error of the reproduced window

A window that is sound in itself (all of it at a level that is known) is then unusual at three in the morning. What is usual is a
ridge regression on the inputs of the clock, fitted twice: the second time without what was far from the first.
"""

from typing import Final

import numpy as np
import torch
from torch import nn

from anomaly_api.kinds import TimeInputs
from anomaly_detector.training.models.clock import DAY, Clock, UnknownZoneError
from anomaly_detector.training.models.kind import INPUT_LIMIT, Data, FittingError, Scorer

_MOST_WINDOWS: Final = 20_000
_RIDGE: Final = 1e-3
"""As a share of the windows."""
_FAR: Final = 4.0
_USUAL: Final = 0.99
_CYCLES: Final = 2
_NEARLY: Final = 0.95
_FARTHEST: Final = 1e6


class ByTime(nn.Module):
    """Knows the usual levels."""

    levels: torch.Tensor
    usual: torch.Tensor

    def __init__(self, scorer: Scorer, data: Data, inputs: TimeInputs, floor: float) -> None:
        """Raises FittingError when the history has fewer than two of the cycles that are asked for."""
        super().__init__()
        times = data.times[data.train]
        _enough(float(times.max() - times.min()), inputs)
        try:
            self.clock = Clock(inputs, int(times.max()))
        except UnknownZoneError as error:
            raise FittingError(str(error)) from error
        some = data.train[:: max(1, len(data.train) // _MOST_WINDOWS)]
        with torch.no_grad():
            given = self.clock(torch.from_numpy(data.times[some])).double()
            level = torch.cat([_level(scorer, scorer.scaled(chunk)) for chunk in data.chunks(some)])
            wanted = level.clamp(-INPUT_LIMIT, INPUT_LIMIT).double()
            found = _ridge(given, wanted, torch.ones_like(wanted))
            away = (wanted - given @ found).abs()
            near = (away <= _FAR * 1.4826 * away.median(dim=0).values.clamp_min(1e-6)).double()
            self.register_buffer("levels", _ridge(given, wanted, near).float())
            self.register_buffer("usual", torch.ones(data.width))
            errors = self._errors(scorer, level, given.float() @ self.levels).numpy()
            self.usual.copy_(torch.from_numpy(np.quantile(errors, _USUAL, axis=0).astype(np.float32)).clamp_min(floor))

    def forward(self, scorer: Scorer, scaled: torch.Tensor, times: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """[n, features] Errors, and the levels that were expected, scaled."""
        expected = self.clock(times) @ self.levels
        return self._errors(scorer, _level(scorer, scaled), expected) / self.usual, expected

    def _errors(self, scorer: Scorer, level: torch.Tensor, expected: torch.Tensor) -> torch.Tensor:
        counted = scorer.counted(level, expected).clamp(-_FARTHEST, _FARTHEST)
        return counted * counted


def _level(scorer: Scorer, scaled: torch.Tensor) -> torch.Tensor:
    return scaled @ (scorer.pick / scorer.size)


def _ridge(given: torch.Tensor, wanted: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """[width, features] Weighted least squares, feature by feature; all inputs but the constant are held back."""
    held_back = torch.eye(given.shape[1], dtype=torch.float64) * _RIDGE * len(given)
    held_back[0, 0] = 1e-9 * len(given)
    columns = []
    for feature in range(wanted.shape[1]):
        weighted = given * weights[:, feature : feature + 1]
        columns.append(torch.linalg.solve(given.T @ weighted + held_back, weighted.T @ wanted[:, feature]))
    return torch.stack(columns, dim=1)


def _enough(covered: float, inputs: TimeInputs) -> None:
    name, cycle = ("weekday", 7 * DAY) if inputs.weekday else ("hour", DAY)
    if covered < _CYCLES * cycle * _NEARLY:
        raise FittingError(
            f"model.time.{name} needs a history of at least {_CYCLES * cycle // DAY} days to learn from and has "
            f"{covered / DAY:.2g}: give more data (training.data.topic.last), or leave it out until then"
        )
