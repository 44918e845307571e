"""Robust seasonal statistics: how far the newest reading is from what is usual at this time of the cycle.

Level is the median of a part of the cycle, scale the median distance from it over all parts near it, so that a part with few
readings has a scale as well. The graph has the windows' times as a second input.
"""

from typing import Final

import numpy as np
import torch

from anomaly_api.kinds import Seasonal
from anomaly_api.schema import seconds
from anomaly_detector.core.columns import MICROSECONDS
from anomaly_detector.training.models.kind import Data, Effort, Fitted, FittingError, Scorer
from anomaly_detector.training.models.scaling import Scaling

_NORMAL: Final = 1.4826
"""Standard deviation over median absolute deviation of a normal distribution."""
_FLOOR: Final = 0.05
"""Of a scale, in standard deviations of the feature over the whole cycle."""
_FEWEST_CYCLES: Final = 2
_FARTHEST: Final = 1e6


class SeasonalScorer(Scorer):
    """Looks up level and scale by time."""

    level: torch.Tensor
    spreads: torch.Tensor
    timed = True

    def __init__(self, size: int, scaling: Scaling, period: int, level: torch.Tensor, spread: torch.Tensor) -> None:
        """`period` in microseconds; `level` and `spread` [bins, features], scaled."""
        super().__init__(size, scaling)
        self.period = period
        self.register_buffer("level", level)
        self.register_buffer("spreads", spread)

    def forward(self, windows: torch.Tensor, times: torch.Tensor) -> tuple[torch.Tensor, ...]:
        newest = self.scaled(windows)[:, -self.features :]
        part = (times % self.period) * self.level.shape[0] // self.period
        distance = (self.counted(newest, self.level[part]).abs() / self.spreads[part]).clamp_max(_FARTHEST)
        return distance.amax(dim=1), distance * distance, self.own(self.level[part])


class SeasonalKind:
    """Fits medians."""

    def fit(self, settings: Seasonal, data: Data, effort: Effort) -> Fitted:
        """Raises FittingError when the history has fewer than two cycles."""
        period = round(seconds(settings.period) * MICROSECONDS)
        times = data.times[data.train]
        covered = (times.max() - times.min()) / period
        if covered < _FEWEST_CYCLES * 0.95:
            raise FittingError(
                f"seasonal with a period of {settings.period} needs a history of at least {_FEWEST_CYCLES} periods to learn "
                f"from and has {covered:.2g}: give more data (training.data.topic.last) or choose another kind until then"
            )
        scaling = data.scaling()
        bins = settings.bins
        newest = scaling.scaled(data.values[data.train, -1])
        parts = (times % period) * bins // period
        level = np.zeros((bins, data.width))
        for part in range(bins):
            near = newest[parts == part]
            level[part] = np.median(near, axis=0) if len(near) else np.nan
        filled = np.flatnonzero(~np.isnan(level[:, 0]))
        cycle = np.concatenate([filled - bins, filled, filled + bins])
        for feature in range(data.width):
            level[:, feature] = np.interp(np.arange(bins), cycle, np.tile(level[filled, feature], 3))
        away = np.abs(newest - level[parts])
        spread = np.empty_like(level)
        for part in range(bins):
            beside = np.abs((parts - part + bins // 2) % bins - bins // 2) <= max(1, bins // 12)
            spread[part] = _NORMAL * np.median(away[beside], axis=0) if beside.any() else np.inf
        spread = np.where(np.isfinite(spread), spread, np.nanmax(np.where(np.isfinite(spread), spread, np.nan), axis=0))
        tensors = [torch.tensor(table, dtype=torch.float32) for table in (level, np.maximum(spread, _FLOOR))]
        effort.progress(1.0)
        return Fitted(SeasonalScorer(data.size, scaling, period, *tensors).eval(), {"period": settings.period, "bins": bins})
