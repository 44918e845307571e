"""Robust running estimates of a feature, learned in blocks of a few readings: level, scale, typical step, rare excursions.

A block is always the same readings of an entity, however the stream is cut, and its estimates are rounded to float32 after
each block: so they are a function of the entity's own readings alone. Nothing is scored here.
"""

from typing import Final

import numpy as np

from anomaly_detector.core.columns import Float32, Float64, Mask

BLOCK: Final = 8
"""Readings that are learned from together. Fewer cost more time for each reading; more take more memory of each entity."""
COUNT, LEVEL, LEVEL_REST, SCALE, EXCURSION, RISE, STANDSTILL = range(7)
"""Rows of the estimates by which windows are scored, levels and distances in its own units.

COUNT: readings that had a value.
LEVEL + LEVEL_REST: where readings are; two float32, as a counter of a thousand millions moves by ones.
SCALE: robust standard deviation, at least the typical step of the feature; never 0.
EXCURSION: a distance from the level that has come three times, and is not rare.
RISE: how much a feature that next to never falls usually rises from reading to reading; of others not a number.
STANDSTILL: how long the feature has stood still, over the longest that can be chance.
"""
PUBLIC: Final = 7
SPREAD, STEPS, LOG_STEP, MOVING, FALLING, STILL, LONGEST, LAST, INSIDE, FIRST, SECOND = range(PUBLIC, PUBLIC + 11)
ROWS: Final = PUBLIC + 11
_CLIP: Final = 4.0
"""A reading moves level and spread no more than one at so many spreads would (Huber 1981, section 6)."""
_NORMAL: Final = 1.2533141373155003
"""Standard deviation over mean absolute deviation of a normal distribution: sqrt(pi / 2)."""
_LEAST_MEMORY: Final = 4 * BLOCK
"""Readings that the level forgets over at the least: a block must not outweigh what was known before."""
_SPREAD_MEMORY: Final = 5
"""The spread forgets over so many times the readings of the level."""
_STEP_MEMORY: Final = 64.0
"""The typical step forgets over so many steps."""
_HALF_LIFE: Final = 200
"""Half of an excursion is forgotten after so many times `memory` readings."""
_FAR: Final = 4.0
"""An excursion goes on while readings are farther from the level than so many scales."""
_MARGIN: Final = 1.5
"""How much farther or longer than what is not rare a rare thing is."""
_RELATIVE: Final = 0.01
"""A feature that has not varied yet is believed to vary by this part of its level, or by its last decimal place."""
_DECIMALS: Final = 6
_UNSURE: Final = 10.0
"""After n readings, a scale is taken for larger by this part of it over n."""
_CHANCE: Final = 13.8
"""-log of a probability that is no chance: one in a million."""
_FLAT: Final = 30.0
"""Readings without which neither a standstill nor a counter is one."""
_MOST: Final = 0.99
"""No feature is believed to move at more than so many of its readings."""
_FALLS: Final = 0.02
"""A feature that falls in fewer of its moves rises: it counts, and falls when the counter is set back."""
_LARGEST: Final = 3e38
_SMALLEST: Final = 1e-37


def learned(estimates: Float32, values: Float32, warmup: int) -> Float32:
    """[n, ROWS, features] The estimates after one more block of readings.

    `values` [n, BLOCK, features], not a number where there is none. The level forgets over `warmup` readings.
    """
    memory = float(max(warmup, _LEAST_MEMORY))
    rows = np.ascontiguousarray(estimates.transpose(1, 0, 2), np.float64)
    block = np.ascontiguousarray(values.transpose(1, 0, 2), np.float64)
    lacking = np.isnan(block)
    known = ~lacking if lacking.any() else None
    count = np.full(block.shape[1:], float(BLOCK)) if known is None else known.sum(axis=0, dtype=np.float64)
    fresh = (rows[COUNT] == 0) & (count > 0)
    step = _step(rows, block, known, memory)
    if fresh.any():
        _begin(rows, block, fresh)
    _move(rows, block, known, count, step, fresh, memory)
    rows[COUNT] = np.minimum(rows[COUNT] + count, 1e6)
    _conclude(rows, step)
    np.clip(rows, -_LARGEST, _LARGEST, out=rows)
    found: Float32 = np.ascontiguousarray(rows.transpose(1, 0, 2), np.float32)
    return found


def _step(rows: Float64, block: Float64, known: Mask | None, memory: float) -> Float64:
    """How often the feature moves from one reading to the next, how often down, how far: returns the geometric mean of that."""
    last = np.where(rows[COUNT] > 0, rows[LAST], np.nan)
    steps = np.empty_like(block)
    if known is None:
        steps[0] = block[0] - last
        np.subtract(block[1:], block[:-1], out=steps[1:])
        last = block[-1]
    else:
        for place in range(BLOCK):
            steps[place] = block[place] - last
            last = np.where(known[place], block[place], last)
    rows[LAST] = np.nan_to_num(last)
    size = np.abs(steps)
    moved = size > 0
    moves, taken = moved.sum(axis=0, dtype=np.float64), BLOCK - np.isnan(size).sum(axis=0, dtype=np.float64)
    total = rows[STEPS] + moves
    rows[LOG_STEP] += (np.log(size, out=np.zeros_like(size), where=moved).sum(axis=0) - moves * rows[LOG_STEP]) / np.clip(
        total, 1.0, _STEP_MEMORY
    )
    longer = _SPREAD_MEMORY * memory
    rows[FALLING] += ((steps < 0).sum(axis=0) - moves * rows[FALLING]) / np.clip(total, 1.0, longer)
    rows[MOVING] += (moves - taken * rows[MOVING]) / np.clip(rows[COUNT] + taken, 1.0, longer)
    rows[STEPS] = np.minimum(total, 1e6)
    still = moves == 0
    rows[LONGEST] = np.where(still, rows[LONGEST], np.maximum(rows[LONGEST], rows[STILL]))
    rows[STILL] = np.where(still, rows[STILL] + taken, 0.0)
    found: Float64 = np.exp(np.minimum(rows[LOG_STEP], 88.0)) * (total > 0)
    return found


def _begin(rows: Float64, block: Float64, fresh: Mask) -> None:
    """A feature's first readings: their median, and their mean distance from it."""
    some = np.sort(block[:, fresh], axis=0)  # what is not a number comes last
    known = ~np.isnan(some)
    middle = some[(known.sum(axis=0) - 1) // 2, np.arange(some.shape[1])]
    rows[LEVEL][fresh], rows[LEVEL_REST][fresh] = middle, 0.0
    rows[SPREAD][fresh] = _NORMAL * np.abs(some - middle).sum(axis=0, where=known) / known.sum(axis=0)


def _move(rows: Float64, block: Float64, known: Mask | None, count: Float64, step: Float64, fresh: Mask, memory: float) -> None:
    """Level and spread: running means of clipped residuals at first, exponential ones later. And the largest excursions."""
    residuals = block - (rows[LEVEL] + rows[LEVEL_REST])
    if known is not None:
        residuals[~known] = 0.0
    sizes = np.abs(residuals)
    _exceed(rows, np.where(fresh, 0.0, sizes.max(axis=0)), memory)
    bound = _CLIP * np.maximum(rows[SPREAD], step)
    np.clip(residuals, -bound, bound, out=residuals)
    np.minimum(sizes, bound, out=sizes)
    past = np.where(fresh, np.inf, np.maximum(rows[COUNT] + count, 1.0))
    rows[LEVEL_REST] += residuals.sum(axis=0) / np.where(past > memory, np.where(fresh, np.inf, memory), past)
    longer = _SPREAD_MEMORY * memory
    share = np.where(past > longer, np.where(fresh, np.inf, longer), past)
    rows[SPREAD] += (_NORMAL * sizes.sum(axis=0) - count * rows[SPREAD]) / share
    level = rows[LEVEL] + rows[LEVEL_REST]
    rows[LEVEL] = level.astype(np.float32)
    rows[LEVEL_REST] = level - rows[LEVEL]


def _exceed(rows: Float64, distance: Float64, memory: float) -> None:
    """The three largest excursions; one that goes on from block to block is the same."""
    kept = 0.5 ** (BLOCK / (_HALF_LIFE * memory))
    first, second, third = rows[FIRST] * kept, rows[SECOND] * kept, rows[EXCURSION] / _MARGIN * kept
    pushed = np.where(rows[INSIDE] > 0, 0.0, np.minimum(first, distance))
    rows[EXCURSION] = _MARGIN * np.maximum(third, np.minimum(second, pushed))
    rows[SECOND] = np.maximum(second, pushed)
    rows[FIRST] = np.maximum(first, distance)
    rows[INSIDE] = distance > _FAR * rows[SCALE]


def _conclude(rows: Float64, step: Float64) -> None:
    """What windows are scored by."""
    count, steps, level = rows[COUNT], rows[STEPS], rows[LEVEL]
    least = _RELATIVE * np.abs(level)
    unvaried = steps < BLOCK
    if unvaried.any():
        least[unvaried] = np.maximum(least[unvaried], _unit(level[unvaried]))
    scale = np.maximum(np.maximum(rows[SPREAD], step), least / (1.0 + steps))
    unsure = 1.0 + _UNSURE / np.maximum(count, 1.0)
    rows[SCALE] = np.maximum(scale * unsure, _SMALLEST)
    rows[RISE] = np.where((rows[FALLING] < _FALLS) & (steps >= _FLAT), np.maximum(step * unsure, _SMALLEST), np.nan)
    chance = -_CHANCE / np.log1p(-np.clip(rows[MOVING], 1e-9, _MOST))
    longest = np.maximum(np.maximum(chance, _FLAT), _MARGIN * rows[LONGEST])
    rows[STANDSTILL] = rows[STILL] / longest


def _unit(values: Float64) -> Float64:
    """The last decimal place that a number has: 20.5 is written in tenths, and 0 counts ones."""
    unit = np.ones_like(values)
    for place in range(_DECIMALS):
        shown = values / unit
        unit = np.where(np.abs(shown - np.rint(shown)) > 1e-6 * np.abs(shown) + 1e-9, 10.0 ** -(place + 1), unit)
    return unit
