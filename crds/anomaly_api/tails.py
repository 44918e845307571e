"""How rare scores are beyond those that were seen: a generalised Pareto distribution for the largest held-out peaks.

Both sides use it: thresholds are levels of it, and scores above a threshold are shown by how rare they are. Nothing here knows
about windows, models or budgets.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
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


_LIKELY_SHAPES: Final = (-0.25, 0.5)
_GOLDEN: Final = (math.sqrt(5) - 1) / 2
_GRID: Final = (*(-0.98 + 0.07 * step for step in range(14)), *(0.005 * 1.4**step for step in range(28)))


@lru_cache(maxsize=256)
def maximum_likelihood(excesses: tuple[float, ...]) -> tuple[float, float]:
    """Shape and scale of a generalised Pareto distribution for positive `excesses`, rising, by maximum likelihood.

    With theta = shape / scale the likelihood is greatest at shape = mean(log(1 + theta * excess)), which leaves one unknown
    (Grimshaw: Computing Maximum Likelihood Estimates for the Generalized Pareto Distribution, Technometrics 1993); it is searched
    for by golden section around the best of a grid. The shape is kept between -0.25 and 0.5, where the estimate behaves; fewer
    than ten excesses say nothing of it, and an exponential distribution one standard error wider than theirs is taken.

    >>> exponential = tuple(-math.log(1 - (rank + 0.5) / 200) for rank in range(200))
    >>> shape, scale = maximum_likelihood(exponential)
    >>> round(shape, 1), round(scale, 1)
    (-0.0, 1.0)
    """
    count, mean, largest = len(excesses), sum(excesses) / len(excesses), excesses[-1]
    if count < _FEWEST or largest <= 0:
        return 0.0, mean * (1 + 1 / math.sqrt(count))

    def shape_of(theta: float) -> float:
        return sum(math.log1p(theta * excess) for excess in excesses) / count

    def likelihood(theta: float) -> float:
        if abs(theta * mean) < 1e-9:
            return -math.log(mean) - 1
        shape = shape_of(theta)
        return -math.log(shape / theta) - shape - 1

    grid = sorted([step / largest if step < 0 else step / mean for step in _GRID])
    best = max(range(len(grid)), key=lambda place: likelihood(grid[place]))
    low, high = grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)]
    for _ in range(24):
        left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
        low, high = (low, right) if likelihood(left) >= likelihood(right) else (left, high)
    theta = (low + high) / 2
    shape = min(max(shape_of(theta), _LIKELY_SHAPES[0]), _LIKELY_SHAPES[1])
    if shape in _LIKELY_SHAPES or abs(theta * mean) < 1e-6:
        return shape, mean * (1 - shape)
    return shape, shape / theta
