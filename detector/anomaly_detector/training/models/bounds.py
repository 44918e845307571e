"""Static bounds of features, as a model like any other: a reading on a bound has the score 1."""

from typing import Final

import numpy as np
import torch

from anomaly_api.kinds import Bounds
from anomaly_detector.training.models.kind import Data, Effort, Fitted, FittingError, Scorer
from anomaly_detector.training.models.scaling import Scaling

_OPEN: Final = 10.0
"""Standard deviations inside the one bound there is at which the score is 0."""

_FARTHEST: Final = 1e30
_LARGEST: Final = 1e6


class BoundsScorer(Scorer):
    """Score: the largest, over features, of the newest reading's distance from the middle, in half widths."""

    middle: torch.Tensor
    width: torch.Tensor
    side: torch.Tensor

    def __init__(self, size: int, scaling: Scaling, bounds: Bounds, names: tuple[str, ...]) -> None:
        super().__init__(size, scaling)
        middle, half, side = np.zeros(len(names)), np.full(len(names), np.inf), np.zeros(len(names))
        for bound in bounds.features:
            place = names.index(bound.name)
            low, high, reach = bound.min, bound.max, _OPEN * (scaling.scale if scaling.spread is None else scaling.spread)[place]
            side[place] = 0.0 if low is not None and high is not None else -1.0 if low is not None else 1.0
            low = high - 2 * reach if low is None and high is not None else low
            high = low + 2 * reach if high is None and low is not None else high
            assert low is not None and high is not None  # noqa: PT018 - one was given, the other follows from it
            middle[place], half[place] = (low + high) / 2, (high - low) / 2
        for name, values in (("middle", middle), ("width", half), ("side", side)):
            self.register_buffer(name, torch.tensor(values, dtype=torch.float32))

    def forward(self, windows: torch.Tensor) -> tuple[torch.Tensor, ...]:
        newest = windows[:, -1].clamp(-_FARTHEST, _FARTHEST)
        away = (newest - self.middle) / self.width
        out = torch.where(self.side == 0, away.abs(), torch.relu(away * self.side)).clamp_max(_LARGEST)
        return out.amax(dim=1), out * out, newest + (self.middle - newest) * (out > 1)


class BoundsKind:
    """Checks the names."""

    def fit(self, settings: Bounds, data: Data, effort: Effort) -> Fitted:
        """Raises FittingError when a bound is of no feature."""
        unknown = [bound.name for bound in settings.features if bound.name not in data.features]
        if unknown:
            raise FittingError(
                f"bounds names the feature {unknown[0]!r} and the detector has {', '.join(data.features)}: correct the name"
            )
        effort.progress(1.0)
        return Fitted(BoundsScorer(data.size, data.scaling(), settings, data.features).eval(), settings.document())
