"""Changes per second: of counters, and of whatever else `rateOfChange` is asked of. State by entity: the last values there were.

    time         0    10    20    30    40   400   410      maxGap 60
    counter    100   120   150     .     5    25    45
    change       .   2.0   3.0     .     .     .   2.0
                 |                       |     `- a gap: nobody knows when it rose
                 `- the first one        `- it fell, so it was reset: what came before that is not known

Values are float64: a counter of 2^53 that rises by ones is told from one that stands still. What comes out depends on the
readings of each entity, in the order of event time, not on how they were cut into batches.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from anomaly_detector.core.columns import FOR_EVER, MICROSECONDS, NEVER, Float64, Int64, Mask, Readings
from anomaly_detector.core.entities.table import grown, row_bytes


class Changes:
    """The last values of some columns, and their times."""

    def __init__(self, counts: Mask) -> None:
        """`counts` [columns]: whether each only rises, so that a fall is no change."""
        self._counts = counts
        self._last, self._at = np.empty((0, len(counts)), np.float64), np.empty((0, len(counts)), np.int64)

    def of(self, readings: Readings, values: Float64, gap: int) -> Float64:
        """[n, columns] By how much `values` [n, columns] changed in a second; not a number where that is not known.

        `gap` in microseconds: what changed in a longer time is not known.
        """
        starts = np.flatnonzero(readings.first)
        owners = readings.slots[starts]
        begin = starts[np.cumsum(readings.first) - 1][:, None]
        across = np.arange(values.shape[1])
        known = ~np.isnan(values)
        newest = np.maximum.accumulate(np.where(known, np.arange(len(values))[:, None], -1), axis=0)
        before = np.empty_like(newest)
        before[1:], before[:1] = newest[:-1], -1
        inside = before >= begin
        value = np.where(inside, values[before, across], self._last[readings.slots])
        since = np.where(inside, readings.times[before], self._at[readings.slots])
        never = since == NEVER
        passed = np.where(never, FOR_EVER, readings.times[:, None] - np.where(never, 0, since))
        sound = known & (passed <= gap) & (passed > 0) & ~(self._counts & (values < value))
        with np.errstate(over="ignore", invalid="ignore"):
            found = np.where(sound, (values - value) / (passed / MICROSECONDS), np.nan)
        last = newest[np.append(starts[1:], len(values)) - 1]
        there = last >= starts[:, None]
        self._last[owners] = np.where(there, values[last, across], self._last[owners])
        self._at[owners] = np.where(there, readings.times[last], self._at[owners])
        return found

    @property
    def row_bytes(self) -> int:
        """Bytes of one entity."""
        return row_bytes(self._last, self._at)

    def resize(self, capacity: int) -> None:
        """Room for so many entities."""
        before = len(self._at)
        self._last, self._at = grown(self._last, capacity), grown(self._at, capacity)
        self._at[before:] = NEVER

    def clear(self, slots: Int64) -> None:
        """Forgets these entities."""
        self._last[slots], self._at[slots] = 0.0, NEVER

    def take(self, slots: Int64) -> dict[str, Any]:
        """State of these entities."""
        return {"last": self._last[slots], "at": self._at[slots]}

    def put(self, slots: Int64, rows: Mapping[str, Any]) -> None:
        """Sets the state of these entities to what `take` gave."""
        self._last[slots], self._at[slots] = rows["last"], rows["at"]
