"""Which departures from its baseline count to the statistical scorer, by feature. Masks; it scores nothing."""

from collections.abc import Sequence

import numpy as np
from msgspec import Struct

from anomaly_api.preparation import Direction, Role
from anomaly_api.source import Feature
from anomaly_detector.core.columns import Float64, Mask


class Judged(Struct, frozen=True):
    """[features] each."""

    scored: Mask
    above: Mask
    """Whether what lies above the level counts."""
    below: Mask
    least: Float64
    """Deviation in the feature's own unit below which nothing counts."""

    @staticmethod
    def of(features: Sequence[Feature]) -> "Judged | None":
        """None: everything counts."""
        found = Judged(
            np.array([each.role is Role.SCORED for each in features]),
            np.array([each.direction is not Direction.BELOW for each in features]),
            np.array([each.direction is not Direction.ABOVE for each in features]),
            np.array([each.least_deviation or 0.0 for each in features]),
        )
        plain = found.scored.all() and found.above.all() and found.below.all() and not found.least.any()
        return None if plain else found

    def farther(self, above: Float64, below: Float64) -> Float64:
        """[n, features] The larger distance from the level, of those that count; 0 where none does."""
        far = np.maximum(np.where(self.above, above, 0.0), np.where(self.below, below, 0.0))
        return np.where(far < self.least, 0.0, far)
