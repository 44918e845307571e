"""Held-out scores boiled down to a `Calibration`: quantiles and peaks of separate excursions. It makes no threshold."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from anomaly_api.calibration import MAX_PEAKS, Calibration, Quantile

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
        peaks=peaks(scores, entities, apart),
    )


def peaks(scores: NDArray[np.float64], entities: NDArray[np.int64], apart: int) -> list[float]:
    """The largest scores, falling, of which no two of an entity are closer than `apart` windows; in order of entity and time.

    Windows that overlap share their readings, so one odd reading lifts them all: only the highest counts.
    """
    free = np.ones(len(scores), dtype=np.bool_)
    found: list[float] = []
    for index in np.argsort(-scores, kind="stable"):
        if not free[index]:
            continue
        found.append(float(scores[index]))
        if len(found) == MAX_PEAKS:
            break
        near = slice(max(index - apart + 1, 0), index + apart)
        free[near] &= entities[near] != entities[index]
    return found
