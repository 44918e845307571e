"""Keeps readings of an entity apart that have the same time, where `time.sameTime: Keep` asks for it: a microsecond each.

    times as sent     10  10  10  11  11
    times as used     10  10+1us  10+2us  11  11+1us

The order is that of the topic. A reading counts from the one before it of its entity: what depends on it is a function of the
entity's own stream.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from anomaly_detector.core.columns import NEVER, Batch, Int64
from anomaly_detector.core.entities.table import Entities, grown, row_bytes
from anomaly_detector.core.preprocess.segments import first_of, place_within


class Ties:
    """State: of each entity the time of its last reading, as sent, and how many had it in a row."""

    def __init__(self, entities: Entities) -> None:
        self._last = np.empty(0, np.int64)
        self._count = np.empty(0, np.int64)
        entities.attach(self)

    @property
    def row_bytes(self) -> int:
        """Bytes of one entity."""
        return row_bytes(self._last, self._count)

    def part(self, batch: Batch, slots: Int64) -> Batch:
        """The readings with times that differ."""
        if not len(batch):
            return batch
        order = np.argsort(slots, kind="stable")
        owner, times = slots[order], batch.times[order]
        begins = first_of(owner)
        begins[1:] |= times[1:] != times[:-1]
        starts = np.flatnonzero(begins)
        counts = np.diff(np.append(starts, len(times)))
        first = first_of(owner)[starts]
        goes_on = first & (times[starts] == self._last[owner[starts]])
        before = np.where(goes_on, self._count[owner[starts]], 0)
        after = np.empty(len(times), np.int64)
        after[order] = place_within(counts) + np.repeat(before, counts)
        lasts = np.append(np.flatnonzero(first)[1:], len(starts)) - 1
        whose = owner[starts[lasts]]
        self._last[whose], self._count[whose] = times[starts[lasts]], (before + counts)[lasts]
        return Batch(batch.rows, batch.partitions, batch.entities, batch.times + after, batch.values)

    def resize(self, capacity: int) -> None:
        """Room for so many entities."""
        before = len(self._last)
        self._last, self._count = grown(self._last, capacity), grown(self._count, capacity)
        self._last[before:] = NEVER

    def clear(self, slots: Int64) -> None:
        """Forgets these entities."""
        self._last[slots], self._count[slots] = NEVER, 0

    def take(self, slots: Int64) -> dict[str, Any]:
        """State of these entities."""
        return {"last": self._last[slots], "count": self._count[slots]}

    def put(self, slots: Int64, rows: Mapping[str, Any]) -> None:
        """Sets the state of these entities."""
        self._last[slots], self._count[slots] = rows["last"], rows["count"]
