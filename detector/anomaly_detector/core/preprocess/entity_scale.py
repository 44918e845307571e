"""Each entity's own centre and spread of features of `scale: PerEntity`, so that one model serves machines of different size.

    meter of a house     10 11  9 10 20    in its own spreads    0  1 -1  0 10
    meter of a factory   10000 ... 10020                         0 ... 0.02

The first readings of an entity settle both, by median and median deviation. Afterwards both are means over the entity's life, at
most over a week: of samples, each of which weighs as much as the time since the one before it.

    readings   . . . . . . . . . . . . . . . . . . .      a sample: a 64th of the time since the first reading has passed
    samples    * * * *   *     *       *           *

A sample moves them no more than one three spreads away would (Huber 1981), and one beyond six spreads an eighth of that: a long
anomaly is not taken for the entity's size before it is over, and what is out for good is learned in the end. Nothing is asked of
scores or episodes: it is a function of the entity's readings, and a replay builds it again. A reading is scaled by what was known
before it.
"""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from msgspec import Struct

from anomaly_api.preparation import EntityScale
from anomaly_api.source import Pipeline
from anomaly_detector.core.columns import MICROSECONDS, NEVER, Float32, Float64, Int64, Mask, Readings
from anomaly_detector.core.entities.table import Entities, grown, row_bytes

FIRST: Final = 16
"""Readings that settle centre and spread; before, nothing is scored by a model."""
_PARTS: Final = 64
_LONGEST: Final = 7 * 86_400 * MICROSECONDS
_MOST: Final = 1 / FIRST
"""Weight of a sample, at most: of the one after a long silence."""
_CLIP: Final = 3.0
_USUAL: Final = 0.995
"""Mean of the square of a normal variable that is cut back at `_CLIP`."""
_FAR: Final = 6.0
_OF_FAR: Final = 0.125
_UNSURE: Final = 32.0
"""Five times the spread after the first readings, twice after 40 samples, 1.1 times after 330."""
_NORMAL: Final = 1.4826
_RELATIVE: Final = 1e-3
"""Least spread, as a part of the centre: of an entity whose readings never change."""
_TINY: Final = 1e-12


class Scales(Struct, frozen=True):
    """By what readings are scaled."""

    columns: Int64
    """[m] The features."""
    center: Float32
    """[n, m] In the features' own units; not a number where it is not known yet."""
    spread: Float32

    def known(self, places: Int64) -> Mask:
        """[k] Whether the scales of these readings are known."""
        found: Mask = np.asarray(~np.isnan(self.spread[places]).any(axis=1))
        return found

    def scaled(self, values: Float32, places: Int64) -> Float32:
        """[k, size, features] Windows in spreads from the centre; of readings whose scale is not known they are 0."""
        found = values.copy()
        center, spread = self.center[places][:, None], self.spread[places][:, None]
        with np.errstate(over="ignore"):
            found[:, :, self.columns] = np.nan_to_num((values[:, :, self.columns] - center) / spread)
        return found

    def readings(self, values: Float32) -> Float32:
        """[n, features] All readings so; not a number where the scale is not known."""
        found = values.copy()
        with np.errstate(over="ignore"):
            found[:, self.columns] = (values[:, self.columns] - self.center) / self.spread
        return found

    def own(self, scaled: Float32, places: Int64) -> Float32:
        """[k, features] In the features' own units again."""
        found = scaled.copy()
        found[:, self.columns] = scaled[:, self.columns] * self.spread[places] + self.center[places]
        return found


def scaled_columns(pipeline: Pipeline) -> Int64:
    """Places of the features that have a scale of each entity's own."""
    return np.array([at for at, each in enumerate(pipeline.features) if each.scale is EntityScale.PER_ENTITY], np.int64)


class RunningScale:
    """The scales of all entities."""

    def __init__(self, columns: Int64, entities: Entities) -> None:
        self._columns, width = columns, len(columns)
        self._count = np.empty(0, np.int32)
        """[capacity] Samples so far."""
        self._begin, self._last = np.empty(0, np.int64), np.empty(0, np.int64)
        """[capacity] Times of the first reading and of the last sample."""
        self._center, self._spread = np.empty((0, width), np.float32), np.empty((0, width), np.float32)
        self._young = np.empty((0, FIRST, width), np.float32)
        entities.attach(self)

    def observe(self, readings: Readings) -> Scales:
        """Takes in readings, with what was filled in, which teaches nothing; what each is scaled by."""
        values, slots, times = readings.values[:, self._columns], readings.slots, readings.times
        teaches = ~np.isnan(values).any(axis=1)
        if readings.filled is not None:
            teaches &= ~readings.filled[:, self._columns].any(axis=1)
        owner = np.cumsum(readings.first) - 1
        owners = slots[readings.first]
        found = Scales(self._columns, np.empty_like(values), np.empty_like(values))
        left = np.arange(len(slots))
        while len(left):
            due = left[teaches[left] & (times[left] >= self._due(owners)[owner[left]])]
            samples = due[np.append(True, owner[due[1:]] != owner[due[:-1]])] if len(due) else due
            until = np.full(len(owners), len(slots))
            until[owner[samples]] = samples
            until = until[owner[left]]
            now = left[left <= until]
            found.center[now], found.spread[now] = self._center[slots[now]], self._careful(slots[now])
            if not len(samples):
                break
            self._learn(slots[samples], times[samples], values[samples].astype(np.float64))
            left = left[left > until]
        return found

    def _careful(self, slots: Int64) -> Float32:
        """[n, m] The spreads, taken for larger while there were few samples: of a cycle, the first ones know next to nothing."""
        unsure = 1.0 + _UNSURE / np.maximum(self._count[slots] - FIRST // 2, 1)
        found: Float32 = (self._spread[slots] * unsure[:, None]).astype(np.float32)
        return found

    def _due(self, slots: Int64) -> Int64:
        """[n] Time from which on a reading is the next sample."""
        last, age = self._last[slots], self._last[slots] - self._begin[slots]
        step = np.maximum(1, np.minimum(age, _LONGEST) // (_PARTS - 1))
        return np.where(self._count[slots] < FIRST, NEVER, last + step)

    def _learn(self, slots: Int64, times: Int64, values: Float64) -> None:
        young = self._count[slots] < FIRST
        if young.any():
            self._settle(slots[young], times[young], values[young])
        if not young.all():
            self._move(slots[~young], times[~young], values[~young])
        self._last[slots] = times

    def _settle(self, slots: Int64, times: Int64, values: Float64) -> None:
        count = self._count[slots]
        self._begin[slots] = np.where(count == 0, times, self._begin[slots])
        self._young[slots, count] = values
        self._count[slots] = count + 1
        done = slots[count + 1 == FIRST]
        if len(done):
            first = self._young[done].astype(np.float64)
            center = np.median(first, axis=1)
            spread = _NORMAL * np.median(np.abs(first - center[:, None]), axis=1)
            spread = np.where(spread > 0, spread, first.std(axis=1))
            self._set(done, center, spread)

    def _move(self, slots: Int64, times: Int64, values: Float64) -> None:
        center, spread = self._center[slots].astype(np.float64), self._spread[slots].astype(np.float64)
        age = np.clip(times - self._begin[slots], 1, _LONGEST)
        weight = np.minimum((times - self._last[slots]) / age, _MOST)[:, None]
        away = (values - center) / spread
        weight = weight * np.where(np.abs(away) > _FAR, _OF_FAR, 1.0)
        away = np.clip(away, -_CLIP, _CLIP)
        self._count[slots] += 1
        self._set(slots, center + weight * spread * away, spread * np.sqrt(1 + weight * (away * away - _USUAL)))

    def _set(self, slots: Int64, center: Float64, spread: Float64) -> None:
        self._center[slots] = center
        self._spread[slots] = np.maximum(np.maximum(spread, _RELATIVE * np.abs(center)), _TINY)

    @property
    def row_bytes(self) -> int:
        """Bytes of one entity."""
        return row_bytes(self._count, self._begin, self._last, self._center, self._spread, self._young)

    def resize(self, capacity: int) -> None:
        """Room for so many entities."""
        before = len(self._count)
        self._count, self._begin = grown(self._count, capacity), grown(self._begin, capacity)
        self._last = grown(self._last, capacity)
        self._center, self._spread = grown(self._center, capacity), grown(self._spread, capacity)
        self._young = grown(self._young, capacity)
        self._center[before:], self._spread[before:] = np.nan, np.nan

    def clear(self, slots: Int64) -> None:
        """Forgets these entities."""
        self._count[slots], self._begin[slots], self._last[slots] = 0, 0, 0
        self._center[slots], self._spread[slots], self._young[slots] = np.nan, np.nan, 0.0

    def take(self, slots: Int64) -> dict[str, Any]:
        """State of these entities."""
        return {name: column[slots] for name, column in self._named.items()}

    def put(self, slots: Int64, rows: Mapping[str, Any]) -> None:
        """Sets the state of these entities to what `take` gave."""
        for name, column in self._named.items():
            column[slots] = rows[name]

    @property
    def _named(self) -> dict[str, Any]:
        return {
            "count": self._count,
            "begin": self._begin,
            "last": self._last,
            "center": self._center,
            "spread": self._spread,
            "young": self._young,
        }
