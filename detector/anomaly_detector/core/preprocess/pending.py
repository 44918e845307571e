"""Readings that wait, a few for each entity: columns that a stage keeps beside its own. It decides nothing."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from msgspec import Struct

from anomaly_detector.core.columns import Float32, Int64
from anomaly_detector.core.entities.table import grown
from anomaly_detector.core.preprocess.segments import place_within

_SINGLE: Final = np.dtype(np.float32)


class Queued(Struct, frozen=True):
    """Readings that wait, entity by entity."""

    owner: Int64
    """[n] Whose it is: a place in the slots that were asked for. Rising."""
    times: Int64
    """[n] Event time, microseconds since 1970 UTC."""
    values: Float32
    """[n, features]"""
    after: Int64
    """[n] How many readings of the entity have come since."""


class PendingReadings:
    """What waits, for each entity: as deep as it had to be so far, so that it costs nothing where nothing waits."""

    def __init__(self, width: int, kind: np.dtype[Any] = _SINGLE) -> None:
        self.total = 0
        """Readings that wait, of all entities."""
        self._count = np.empty(0, np.int64)
        self._times = np.empty((0, 0), np.int64)
        self._values = np.empty((0, 0, width), kind)
        self._after = np.empty((0, 0), np.int16)

    @property
    def deep(self) -> int:
        """Readings that one message may let go, at most: as many as have ever waited together, of one entity."""
        return self._times.shape[1]

    def row_bytes(self, deep: int) -> int:
        """Bytes of one entity, where so many wait."""
        each = [column.itemsize * int(np.prod(column.shape[2:])) for column in (self._times, self._values, self._after)]
        return self._count.itemsize + deep * sum(each)

    def counts(self, slots: Int64) -> Int64:
        """[n] How many readings of each entity wait."""
        return self._count[slots]

    def of(self, slots: Int64) -> Queued:
        """What waits of these entities."""
        counts = self._count[slots]
        owner = np.repeat(np.arange(len(slots)), counts)
        place = slots[owner], place_within(counts)
        return Queued(owner, self._times[place], self._values[place], self._after[place].astype(np.int64))

    def set(self, slots: Int64, queued: Queued) -> None:
        """Puts these in the place of what waits of these entities."""
        counts = np.bincount(queued.owner, minlength=len(slots))
        self._deepen(int(counts.max(initial=0)))
        self.total += len(queued.owner) - int(self._count[slots].sum())
        self._count[slots] = counts
        place = slots[queued.owner], place_within(counts)
        self._times[place], self._values[place], self._after[place] = queued.times, queued.values, queued.after

    def resize(self, capacity: int) -> None:
        """Room for so many entities."""
        self._count, self._times = grown(self._count, capacity), grown(self._times, capacity)
        self._values, self._after = grown(self._values, capacity), grown(self._after, capacity)

    def clear(self, slots: Int64) -> None:
        """Forgets what waits of these entities."""
        self.total -= int(self._count[slots].sum())
        self._count[slots] = 0

    def take(self, slots: Int64) -> dict[str, Any]:
        """State of these entities."""
        count = self._count[slots]
        deep = int(count.max(initial=0))
        kept = np.arange(deep) < count[:, None]
        return {
            "count": count,
            "times": np.where(kept, self._times[slots, :deep], 0),
            "values": np.where(kept[..., None], self._values[slots, :deep], self._values.dtype.type(0)),
            "after": np.where(kept, self._after[slots, :deep], np.int16(0)),
        }

    def put(self, slots: Int64, rows: Mapping[str, Any]) -> None:
        """Sets the state of these entities to what `take` gave."""
        deep = rows["times"].shape[1]
        self._deepen(deep)
        self.total += int(rows["count"].sum()) - int(self._count[slots].sum())
        self._count[slots] = rows["count"]
        self._times[slots, :deep], self._values[slots, :deep] = rows["times"], rows["values"]
        self._after[slots, :deep] = rows["after"]

    def _deepen(self, deep: int) -> None:
        before = self._times.shape[1]
        if deep <= before:
            return
        more = max(deep, 2 * before) - before
        self._times = np.pad(self._times, ((0, 0), (0, more)))
        self._values = np.pad(self._values, ((0, 0), (0, more), (0, 0)))
        self._after = np.pad(self._after, ((0, 0), (0, more)))
