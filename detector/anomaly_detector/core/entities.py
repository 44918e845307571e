"""Which row of every stage's columns belongs to which entity. It knows no readings.

An entity is told apart by its partition too: what a partition's readings lead to depends on that partition alone, so its
state can be saved, given up and taken over with it. Rows that are given back are used again.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from itertools import pairwise
from typing import Any, Final, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from anomaly_detector.core.columns import Batch, Int64

_Element = TypeVar("_Element", bound=np.generic)
_FIRST_CAPACITY: Final = 64


class Columns(Protocol):
    """A stage's state: arrays with one row for each entity."""

    def resize(self, capacity: int) -> None:
        """Makes room for at least so many rows; what is there stays."""

    def clear(self, slots: Int64) -> None:
        """Makes these rows as new."""

    def take(self, slots: Int64) -> dict[str, Any]:
        """A copy of these rows: plain arrays by name."""

    def put(self, slots: Int64, rows: Mapping[str, Any]) -> None:
        """Sets these rows to what `take` gave."""


class _Rows(dict[str, int]):
    """Rows of a partition's entities; asking for an unknown one makes it known."""

    def __init__(self, allot: Callable[[str], int]) -> None:
        super().__init__()
        self._allot = allot

    def __missing__(self, entity: str) -> int:
        slot = self[entity] = self._allot(entity)
        return slot


class Entities:
    """Hands out rows ("slots") to entities."""

    def __init__(self) -> None:
        self.names: list[str] = []
        """Entity of each slot; empty for a free one."""
        self.partitions: list[int] = []
        """Partition of each slot."""
        self._rows_of: dict[int, _Rows] = {}
        self._free: list[int] = []
        self._stages: list[Columns] = []
        self.capacity = _FIRST_CAPACITY

    def __len__(self) -> int:
        return len(self.names) - len(self._free)

    def attach(self, stage: Columns) -> None:
        """From now on the stage has a row for each slot."""
        self._stages.append(stage)
        stage.resize(self.capacity)

    def detach(self, stage: Columns) -> None:
        """The stage is given up."""
        self._stages.remove(stage)

    def slots(self, batch: Batch) -> Int64:
        """[n] Slot of each reading's entity."""
        count = len(batch)
        turns = np.flatnonzero(np.diff(batch.partitions)) + 1  # messages come in runs of one partition
        found = np.empty(count, np.int64)
        for start, end in pairwise([0, *turns.tolist(), count]):
            if end > start:
                rows = self._rows(int(batch.partitions[start]))
                found[start:end] = np.fromiter(map(rows.__getitem__, batch.entities[start:end]), np.int64, end - start)
        self._grow()
        return found

    def known(self, partition: int) -> dict[str, int]:
        """Slots of a partition's entities."""
        return dict(self._rows_of.get(partition, {}))

    def known_slot(self, partition: int, entity: str) -> int | None:
        """Slot of an entity, if it is known."""
        rows = self._rows_of.get(partition)
        return rows.get(entity) if rows else None

    def admit(self, partition: int, names: Iterable[str]) -> Int64:
        """Slots for these entities, new ones where they are unknown."""
        rows = self._rows(partition)
        found = np.array([rows[name] for name in names], np.int64)
        self._grow()
        return found

    def drop(self, partition: int) -> None:
        """Forgets a partition's entities."""
        rows = self._rows_of.pop(partition, None)
        if not rows:
            return
        slots = list(rows.values())
        for slot in slots:
            self.names[slot] = ""
        for stage in self._stages:
            stage.clear(np.array(slots, np.int64))
        self._free += slots

    def _rows(self, partition: int) -> _Rows:
        if partition not in self._rows_of:
            self._rows_of[partition] = _Rows(partial(self._allot, partition))
        return self._rows_of[partition]

    def _allot(self, partition: int, entity: str) -> int:
        if self._free:
            slot = self._free.pop()
            self.names[slot], self.partitions[slot] = entity, partition
            return slot
        self.names.append(entity)
        self.partitions.append(partition)
        return len(self.names) - 1

    def _grow(self) -> None:
        if len(self.names) <= self.capacity:
            return
        self.capacity = max(len(self.names), self.capacity + self.capacity // 2)
        for stage in self._stages:
            stage.resize(self.capacity)


def grown(array: NDArray[_Element], capacity: int) -> NDArray[_Element]:
    """A copy with `capacity` rows, the new ones zero."""
    more: NDArray[_Element] = np.zeros((capacity, *array.shape[1:]), array.dtype)
    more[: len(array)] = array
    return more
