"""How rare scores are beyond those that were seen: a generalised Pareto distribution for the largest held-out peaks.

Both sides use it: thresholds are levels of it, and scores above a threshold are shown by how rare they are. Nothing here knows
about windows, models or budgets.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Final

from pydantic import Field

from anomaly_api.schema import Contract

_TAIL_SHARE: Final = 4
_FEWEST: Final = 10
_SHAPES: Final = (0.1, 0.5)


class Tail(Contract):
    """The rarity of scores above a threshold, so that a score says the same whatever the kind of model.

    A window is shown as -log of its probability, over what that is at the threshold: 1.0 is the threshold, 2.0 has the square of
    its probability. Of a score x above the threshold t that is 1 + log(1 + shape * (x - t) / scale) / (shape * rarity).
    """

    shape: Annotated[float, Field(ge=0, le=1)]
    """Shape of the generalised Pareto distribution; 0 is an exponential one."""
    scale: Annotated[float, Field(gt=0)]
    """Scale of it at the threshold, in the model's own unit."""
    rarity: Annotated[float, Field(gt=0)]
    """-log of the number of excursions above the threshold for each held-out window."""


@dataclass(frozen=True)
class PeaksTail:
    """The tail of `count` peaks above `base`.

    Peaks over threshold: the excesses of the largest quarter of the peaks over the next smaller one follow a generalised Pareto
    distribution, fitted by probability-weighted moments (Hosking and Wallis 1987, section 4). Who asks for few false alerts
    is hurt by a level too low, so what is uncertain is decided upwards:

    - the shape is kept between 0.1 and 0.5: squared errors have heavy tails, and none ends just above what was seen;
    - the scale is one standard error larger than estimated, which is much for few peaks and little for many;
    - yet excesses of more than five times the usual large one are cut back: they are anomalies in the history.

    Example: 256 peaks, the excesses of the largest 64 with mean 1 and shape 0.1, half of one tolerated: (128^0.1 - 1) / 0.1 = 6.2
    scales of 0.9 above the base, 7.0 scales with the standard error.
    """

    count: int
    base: float
    shape: float
    scale: float

    @classmethod
    def of(cls, peaks: Sequence[float]) -> "PeaksTail | None":
        """Of peaks, falling; None: there are too few."""
        count = min(len(peaks) - 1, max(len(peaks) // _TAIL_SHARE, _FEWEST))
        if count < 1:
            return None
        base = peaks[count]
        usual = peaks[count // 10] - base
        excesses = sorted(min(peak - base, 5 * usual) for peak in peaks[:count])
        shape, scale = _pareto(excesses)
        return cls(count, base, shape, scale * (1 + 1 / math.sqrt(count)))

    def level(self, tolerated: float) -> float:
        """The level above which `tolerated` of the peaks, fewer than `count`, are expected in as much data as they came from."""
        return self.base + self.scale * (math.pow(self.count / tolerated, self.shape) - 1) / self.shape

    def expected(self, level: float) -> float:
        """How many peaks are expected above `level` in as much data; below the base, as many as there are at it."""
        if level <= self.base or self.scale <= 0:
            return float(self.count)
        return self.count * math.pow(1 + self.shape * (level - self.base) / self.scale, -1 / self.shape)

    def at(self, level: float) -> tuple[float, float]:
        """Shape and scale of what is beyond `level`."""
        return self.shape, self.scale + self.shape * max(level - self.base, 0.0)


def _pareto(excesses: Sequence[float]) -> tuple[float, float]:
    """Shape and scale of a generalised Pareto distribution for `excesses`, rising; a positive shape is a heavy tail."""
    count = len(excesses)
    mean = sum(excesses) / count
    if count < _FEWEST or mean <= 0:  # too few for a shape
        return _SHAPES[0], mean
    weighted = sum((1 - (rank + 0.65) / count) * excess for rank, excess in enumerate(excesses)) / count
    shape = min(max(2 - mean / max(mean - 2 * weighted, 1e-12 * mean), _SHAPES[0]), _SHAPES[1])
    return shape, mean * (1 - shape)
