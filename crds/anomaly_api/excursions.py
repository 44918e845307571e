"""Held-out excursions: how many are above a level, and which level so many are above. Counted, and beyond them by their tail."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from anomaly_api.calibration import MAX_FURTHER_PEAKS, MAX_PEAKS, Calibration, RankedPeak
from anomaly_api.tails import PeaksTail

REACH: Final = 10.0
"""A budget is honoured up to so many times the entity-time that was held out; rarer episodes cannot be known from it."""
_SMALLEST: Final = 1e-12


def excursions(calibration: Calibration) -> int:
    """Number of separate excursions that the held-out windows make."""
    return calibration.further_peaks[-1].rank if calibration.further_peaks else len(calibration.peaks)


def level_of_peaks(calibration: Calibration, tolerated: float) -> float:
    """The level that at most `tolerated` of the peaks (falling) are expected to exceed in as much data as they came from.

    Beyond the peaks that were seen their tail is extrapolated, see `tails`.
    """
    peaks = calibration.peaks
    tail = PeaksTail.of(peaks)
    if tail is None:
        return peaks[0] * 2 if peaks else 0.0  # one excursion says nothing about the next
    if tolerated >= tail.count:
        return ranked(calibration, math.ceil(tolerated) + 1)
    return tail.level(tolerated)


def exceeding(calibration: Calibration, level: float) -> float:
    """Number of excursions expected above `level` in as much data: counted, and beyond the highest ones by their tail."""
    fitted = PeaksTail.of(calibration.peaks)
    if fitted is not None and level > fitted.base:
        return fitted.expected(level)
    points = _points(calibration)
    if not points or level >= points[0].score:
        return 1 / REACH
    for high, low in pairwise(points):
        if level >= low.score:
            share = (high.score - level) / max(high.score - low.score, _SMALLEST)
            return high.rank * math.pow(low.rank / high.rank, min(share, 1.0))
    return float(points[-1].rank)


def ranked_peaks(heights: Sequence[float]) -> tuple[list[float], list[RankedPeak] | None]:
    """Heights, falling, as a calibration keeps them: the highest one by one, and points at growing ranks of the others."""
    ranks = list[int]()
    rank = MAX_PEAKS
    while rank < len(heights) and len(ranks) < MAX_FURTHER_PEAKS:
        rank = min(max(rank + 1, round(rank * 1.1)), len(heights))
        ranks.append(rank)
    return list(heights[:MAX_PEAKS]), [RankedPeak(rank=each, score=heights[each - 1]) for each in ranks] or None


def ranked(calibration: Calibration, rank: int) -> float:
    """Height of the excursion of this rank, the highest being the first; the lowest one where there are not so many."""
    peaks = calibration.peaks
    if rank <= len(peaks):
        return peaks[rank - 1]
    points = [RankedPeak(rank=len(peaks), score=peaks[-1]), *(calibration.further_peaks or [])]
    for high, low in pairwise(points):
        if rank <= low.rank:
            share = math.log(rank / high.rank) / math.log(low.rank / high.rank)  # tails are straight in the logarithm of the rank
            return high.score + share * (low.score - high.score)
    return points[-1].score


def _points(calibration: Calibration) -> list[RankedPeak]:
    """All that is known of excursions, by rank."""
    return [
        *(RankedPeak(rank=rank, score=score) for rank, score in enumerate(calibration.peaks, 1)),
        *(calibration.further_peaks or []),
    ]
