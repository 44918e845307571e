"""Held-out scores boiled down to a `Calibration`: quantiles and peaks of separate excursions. It makes no threshold."""

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from anomaly_api.calibration import MAX_FURTHER_PEAKS, MAX_PEAKS, Calibration, Quantile, RankedPeak

LEVELS: Final = (
    *(0.0, 0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.925, 0.95, 0.96, 0.97, 0.98, 0.985),
    *(0.99, 0.9925, 0.995, 0.9975, 0.999, 0.9995, 0.9999, 0.99999, 1.0),
)


def calibrate(
    window: str,
    scores: NDArray[np.float64],
    entities: NDArray[np.int64],
    times: NDArray[np.float64],
    apart: int,
    max_gap: float,
) -> Calibration:
    """The calibration of `scores` [n] of held-out windows of `entities` [n] that ended at `times` [n] (Unix seconds).

    `apart`: windows of an entity fewer than so many apart share readings and belong to one excursion. `max_gap`, in seconds: time
    between two windows of an entity beyond it was not covered.
    """
    order = np.lexsort((times, entities))
    scores, entities, times = scores[order], entities[order], times[order]
    steps = np.diff(times)
    found = peaks(scores, entities, apart)
    covered = steps[(np.diff(entities) == 0) & (steps <= max_gap)].sum()
    return Calibration(
        window=window,
        windows=len(scores),
        entity_seconds=float(covered),
        mean=float(scores.mean()),
        standard_deviation=float(scores.std()),
        maximum=float(scores.max()),
        quantiles=[
            Quantile(level=level, score=float(score)) for level, score in zip(LEVELS, np.quantile(scores, LEVELS), strict=True)
        ],
        entities=len(np.unique(entities)),
        peaks=found[:MAX_PEAKS].tolist(),
        further_peaks=_further(found) or None,
    )


def peaks(scores: NDArray[np.float64], entities: NDArray[np.int64], apart: int) -> NDArray[np.float64]:
    """The largest scores, falling, of which no two of an entity are closer than `apart` windows; in order of entity and time.

    Windows that overlap share their readings, so one odd reading lifts them all: only the highest counts. In each round every
    window is taken that is the highest of those near it, and those near it leave. That is what taking the highest of all, again
    and again, comes to, and as many rounds as there are peaks kept one by one make these exact.
    """
    entity = np.concatenate([[0], np.cumsum(entities[1:] != entities[:-1])])
    places = np.arange(len(scores)) + apart * entity  # no window of another entity is near
    rank = np.empty(len(scores), np.int64)
    rank[np.argsort(-scores, kind="stable")] = np.arange(len(scores), 0, -1)  # of equal scores the earlier one counts
    found: list[NDArray[np.int64]] = []
    left = np.arange(len(scores))
    for _ in range(MAX_PEAKS):
        if not len(left):
            break
        line = np.zeros(int(places[-1]) + 1, np.int64)
        line[places[left]] = rank[left]
        highest = _highest_near(line, apart)[places[left]] == rank[left]
        found.append(left[highest])
        line[:] = 0
        line[places[left[highest]]] = 1
        left = left[_highest_near(line, apart)[places[left]] == 0]
    return np.sort(scores[np.concatenate(found)])[::-1] if found else np.empty(0)


def _highest_near(line: NDArray[np.int64], apart: int) -> NDArray[np.int64]:
    """[n] The highest of the non-negative numbers that are fewer than `apart` places away."""
    wide = np.zeros(len(line) + 2 * (apart - 1), np.int64)
    wide[apart - 1 : apart - 1 + len(line)] = line
    reach, width = 1, 2 * apart - 1
    while reach < width:  # the highest of twice as many, from two that overlap
        step = min(reach, width - reach)
        wide = np.maximum(wide[:-step], wide[step:])
        reach += step
    return wide


def _further(found: NDArray[np.float64]) -> list[RankedPeak]:
    """Points of the peaks (falling) beyond those that are kept one by one, at ranks that grow by the same factor."""
    count = len(found)
    if count <= MAX_PEAKS:
        return []
    many = min(MAX_FURTHER_PEAKS, math.ceil(8 * math.log2(count / MAX_PEAKS)) + 1)
    ranks = sorted({round(rank) for rank in np.geomspace(MAX_PEAKS, count, many + 1)[1:].tolist()} - {MAX_PEAKS})
    return [RankedPeak(rank=rank, score=float(found[rank - 1])) for rank in ranks]
