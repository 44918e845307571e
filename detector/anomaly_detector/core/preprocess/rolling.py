"""Means of the newest readings of a feature. State by entity: as many readings as that needs, and how long its present run is.

    time    0   1   2   3   90   91      3 readings, maxGap 60
    value   3   6   9   .    2    4
    mean    3  4.5  6   .    2    3      of the values that are there; none where the newest one is not

What comes out depends on the readings of each entity, in the order of event time, not on how they were cut into batches: each
mean is added up anew, newest value first.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from anomaly_detector.core.columns import NEVER, Float64, Int64, Readings
from anomaly_detector.core.entities.table import grown, row_bytes


class RollingMeans:
    """The newest values of some columns."""

    def __init__(self, sizes: Int64) -> None:
        """`sizes` [columns]: how many readings each mean is of."""
        self._sizes, self._depth = sizes, int(sizes.max()) - 1
        self._kept = np.empty((0, self._depth, len(sizes)), np.float32)
        self._run, self._at = np.empty(0, np.int32), np.empty(0, np.int64)

    def of(self, readings: Readings, values: Float64, gap: int) -> Float64:
        """[n, columns] The means at `values` [n, columns]; `gap` in microseconds: after a longer time they begin anew."""
        values = values.astype(np.float32)
        depth, count = self._depth, len(values)
        starts = np.flatnonzero(readings.first)
        ends = np.append(starts[1:], count)
        owners = readings.slots[starts]
        runs = self._runs(readings, starts, gap)
        shifts = depth * np.arange(1, len(starts) + 1)
        spots = np.arange(count) + np.repeat(shifts, ends - starts)
        tape = np.empty((count + depth * len(owners), values.shape[1]), np.float32)
        tape[spots] = values
        behind = np.arange(depth)
        tape[(starts + shifts - depth)[:, None] + behind] = self._kept[owners]
        total, many = np.zeros(values.shape), np.zeros(values.shape, np.int64)
        for back in range(depth + 1):
            part = tape[spots - back]
            counted = ~np.isnan(part) & (runs > back)[:, None] & (self._sizes > back)
            total += np.where(counted, part, 0.0)
            many += counted
        self._kept[owners] = tape[(ends + shifts - depth)[:, None] + behind]
        self._run[owners] = runs[ends - 1]
        self._at[owners] = readings.times[ends - 1]
        found: Float64 = np.where(np.isnan(values), np.nan, total / np.maximum(many, 1))
        return found

    def _runs(self, readings: Readings, starts: Int64, gap: int) -> Int64:
        """[n] How many readings there have been in a row, this one included, as far as anybody asks."""
        times, owners = readings.times, readings.slots[starts]
        begins = np.empty(len(times), bool)
        begins[1:] = times[1:] - times[:-1] > gap
        at = self._at[owners]
        never = at == NEVER
        begins[starts] = never | (times[starts] - np.where(never, 0, at) > gap)
        place = np.arange(len(times))
        anchor = np.maximum.accumulate(np.where(begins | readings.first, place, 0))
        before = np.where(begins[anchor], 0, self._run[readings.slots[anchor]])
        found: Int64 = np.minimum(place - anchor + 1 + before, self._depth + 1)
        return found

    @property
    def row_bytes(self) -> int:
        """Bytes of one entity."""
        return row_bytes(self._kept, self._run, self._at)

    def resize(self, capacity: int) -> None:
        """Room for so many entities."""
        before = len(self._at)
        self._kept, self._run, self._at = grown(self._kept, capacity), grown(self._run, capacity), grown(self._at, capacity)
        self._at[before:] = NEVER

    def clear(self, slots: Int64) -> None:
        """Forgets these entities."""
        self._kept[slots], self._run[slots], self._at[slots] = 0.0, 0, NEVER

    def take(self, slots: Int64) -> dict[str, Any]:
        """State of these entities."""
        return {"kept": self._kept[slots], "run": self._run[slots], "at": self._at[slots]}

    def put(self, slots: Int64, rows: Mapping[str, Any]) -> None:
        """Sets the state of these entities to what `take` gave."""
        self._kept[slots], self._run[slots], self._at[slots] = rows["kept"], rows["run"], rows["at"]
