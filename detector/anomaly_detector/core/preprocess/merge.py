"""Puts messages that are parts of one reading together: by entity and time, within `source.merge.within`. Here it is 5 s.

    messages      10 a   10 b   10 c   20 a   20 b   22 c   30 a   40 b   41 a
    given on                    10 abc               20 abc        30 a

A message joins the reading of its entity that has its time, else the nearest one within 5 s, if that lacks what it brings; else
it begins one. A reading is given on, in the order of times, once it is complete or its entity has sent something that is more
than 5 s newer.
Nothing waits for the clock or for other entities, so what comes out depends on the readings of each entity and their order, and
not on how they were cut into batches. An entity's last reading waits, if it is not complete, until the entity sends again.

A part that comes again, and one that comes after its reading was given on, is a duplicate or late, as any reading is.
"""

import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from anomaly_api.input import Merge
from anomaly_api.schema import seconds
from anomaly_detector.core.columns import MICROSECONDS, Batch, Int64
from anomaly_detector.core.entities.table import Entities
from anomaly_detector.core.preprocess.pending import PendingReadings, Queued

MOST: Final = 16
"""Readings of an entity that are under way at once; with more the oldest is given on as it is."""


class _Part:
    """A reading under way."""

    __slots__ = ("begin", "values")

    def __init__(self, begin: int, values: list[float]) -> None:
        self.begin = begin
        """Event time of its first part."""
        self.values = values

    def lacks(self, values: list[float]) -> bool:
        """Whether it has none of these values yet."""
        return all(math.isnan(mine) or math.isnan(other) for mine, other in zip(self.values, values, strict=True))

    def join(self, time: int, values: list[float]) -> None:
        """Takes a part in."""
        self.begin = min(self.begin, time)
        self.values = [other if math.isnan(mine) else mine for mine, other in zip(self.values, values, strict=True)]

    @property
    def complete(self) -> bool:
        return not any(map(math.isnan, self.values))


class MergeBuffer:
    """State: the readings under way, of each entity."""

    def __init__(self, merge: Merge, width: int, entities: Entities, kind: np.dtype[Any]) -> None:
        self._within = round(seconds(merge.within) * MICROSECONDS)
        self._kind, self._width = kind, width
        self._entities = entities
        self.waiting = PendingReadings(width, kind)
        self.duplicates = 0
        """Parts of the last batch that came again."""
        entities.attach(self)

    @property
    def row_bytes(self) -> int:
        """Bytes of one entity of which as much is under way as may be."""
        return self.waiting.row_bytes(MOST)

    def merge(self, batch: Batch, slots: Int64) -> tuple[Batch, Int64]:
        """Takes messages in; what is given on, with the rows of the messages that let it go, and its slots."""
        self.duplicates = 0
        owners = np.unique(slots)
        under_way: dict[int, list[_Part]] = {slot: [] for slot in owners.tolist()}
        queued = self.waiting.of(owners)
        for owner, time, values in zip(queued.owner.tolist(), queued.times.tolist(), queued.values.tolist(), strict=True):
            under_way[int(owners[owner])].append(_Part(time, values))
        places: list[int] = []
        given: list[_Part] = []
        each = zip(slots.tolist(), batch.times.tolist(), batch.values.tolist(), strict=True)
        for place, (slot, time, values) in enumerate(each):
            parts = under_way[slot]
            self._take(parts, time, values)
            newest = max(time, parts[-1].begin) if parts else time
            while parts and (parts[0].complete or newest > parts[0].begin + self._within or len(parts) > MOST):
                places.append(place)
                given.append(parts.pop(0))
        self._keep(owners, under_way)
        at = np.array(places, np.int64)
        entities = [batch.entities[place] for place in places]
        times, found = np.array([part.begin for part in given], np.int64), self._array([part.values for part in given])
        return Batch(batch.rows[at], batch.partitions[at], entities, times, found), slots[at]

    def resize(self, capacity: int) -> None:
        """Room for so many entities."""
        self.waiting.resize(capacity)

    def clear(self, slots: Int64) -> None:
        """Forgets these entities."""
        self.waiting.clear(slots)

    def take(self, slots: Int64) -> dict[str, Any]:
        """State of these entities."""
        return self.waiting.take(slots)

    def put(self, slots: Int64, rows: Mapping[str, Any]) -> None:
        """Sets the state of these entities."""
        self.waiting.put(slots, rows)

    def _take(self, parts: list[_Part], time: int, values: list[float]) -> None:
        """Adds a message to the readings under way of its entity, which stay in the order of their times."""
        near = [part for part in parts if abs(part.begin - time) <= self._within and part.lacks(values)]
        if near:
            near[min(range(len(near)), key=lambda place: abs(near[place].begin - time))].join(time, values)
        elif any(part.begin == time for part in parts):
            self.duplicates += 1
            return
        else:
            parts.append(_Part(time, values))
        parts.sort(key=_begin)

    def _keep(self, owners: Int64, under_way: Mapping[int, list[_Part]]) -> None:
        parts = [part for slot in owners.tolist() for part in under_way[slot]]
        owner = np.repeat(np.arange(len(owners)), [len(under_way[slot]) for slot in owners.tolist()])
        times = np.array([part.begin for part in parts], np.int64)
        self.waiting.set(
            owners, Queued(owner, times, self._array([part.values for part in parts]), np.zeros(len(parts), np.int64))
        )

    def _array(self, values: list[list[float]]) -> NDArray[Any]:
        return np.array(values, self._kind).reshape(len(values), self._width)


def _begin(part: _Part) -> int:
    return part.begin
