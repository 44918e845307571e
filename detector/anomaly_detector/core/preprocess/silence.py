"""Entities that fall silent, and those that speak again: by the clock of their partition, which is its newest event time.

Here `silentAfter` is 10 s; a, b are readings of entities at these times:

    stream       a0   b1   b5   b10   b11   b15   a16   b17
    told                              |           `- a is no longer silent
                                      `- a is silent, since 0: the clock is more than 10 s beyond its last reading

The clock is the stream's own, so what is told is a function of the readings of a partition and their order, however they are cut
and whenever they are read; where a whole partition is silent its clock stands still, and nobody is told here
(`source.silentAfter`). Looking for those who are silent costs a pass over a partition's entities once in `silentAfter` of event
time; between two of them the earliest moment at which anybody can be silent is known.
"""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
from msgspec import Struct

from anomaly_api.schema import seconds
from anomaly_detector.core.columns import FOR_EVER, MICROSECONDS, NEVER, Batch, Int64
from anomaly_detector.core.entities.table import Entities, grown, row_bytes


class SilenceTurn(Struct, frozen=True):
    """An entity falls silent, or speaks again."""

    row: int
    """Index of the message by which it is known."""
    slot: int
    since: int
    """The partition's clock at its last reading, microseconds since 1970 UTC."""
    time: int
    """The partition's clock now."""
    over: bool
    """Whether it speaks again."""


class Silence:
    """State: of each entity the partition's clock at its last reading, and whether it has been told that it is silent."""

    def __init__(self, silent_after: str, entities: Entities) -> None:
        self._entities = entities
        self._last = np.empty(0, np.int64)
        self._told = np.empty(0, bool)
        self._clocks: dict[int, int] = {}
        """By partition."""
        self._due: dict[int, int] = {}
        """By partition: no entity is silent before its clock is beyond that."""
        self.adapt(silent_after)
        entities.attach(self)

    def adapt(self, silent_after: str) -> None:
        """Goes over to another length of time."""
        self.after = round(seconds(silent_after) * MICROSECONDS)
        self._due.clear()

    @property
    def row_bytes(self) -> int:
        """Bytes of one entity."""
        return row_bytes(self._last, self._told)

    def observe(self, batch: Batch, slots: Int64) -> list[SilenceTurn]:
        """Takes readings in, in the order of the stream; what follows from them, in that order."""
        turns: list[SilenceTurn] = []
        edges = [0, *(np.flatnonzero(np.diff(batch.partitions)) + 1).tolist(), len(batch)]
        for begin, end in pairwise(edges):
            if end > begin:
                self._run(batch, slots, begin, end, turns)
        return sorted(turns, key=lambda turn: (turn.row, not turn.over, turn.slot))

    def silent(self, slots: Int64) -> list[tuple[int, int]]:
        """Those of these entities that are silent, and since when."""
        found = slots[self._told[slots]]
        return list(zip(found.tolist(), self._last[found].tolist(), strict=True))

    def take_back(self) -> None:
        """Nobody was told of anything: what a candidate found beside is told once it decides."""
        self._told[:] = False
        self._due.clear()

    def clock(self, partition: int) -> int:
        """The newest event time of a partition."""
        return self._clocks.get(partition, NEVER)

    def restored(self, partition: int, slots: Int64) -> None:
        """A partition has been taken over with these entities."""
        self._clocks[partition] = int(self._last[slots].max(initial=NEVER))
        self._due.pop(partition, None)

    def drop(self, partition: int) -> None:
        """Forgets a partition."""
        self._clocks.pop(partition, None)
        self._due.pop(partition, None)

    def resize(self, capacity: int) -> None:
        """Room for so many entities."""
        before = len(self._last)
        self._last, self._told = grown(self._last, capacity), grown(self._told, capacity)
        self._last[before:] = NEVER

    def clear(self, slots: Int64) -> None:
        """Forgets these entities."""
        self._last[slots], self._told[slots] = NEVER, False

    def take(self, slots: Int64) -> dict[str, Any]:
        """State of these entities."""
        return {"last": self._last[slots], "told": self._told[slots]}

    def put(self, slots: Int64, rows: Mapping[str, Any]) -> None:
        """Sets the state of these entities."""
        self._last[slots], self._told[slots] = rows["last"], rows["told"]

    def _run(self, batch: Batch, slots: Int64, begin: int, end: int, turns: list[SilenceTurn]) -> None:
        """Readings of one partition."""
        partition, rows = int(batch.partitions[begin]), batch.rows[begin:end]
        before = self._clocks.get(partition, NEVER)
        clocks = np.maximum(np.maximum.accumulate(batch.times[begin:end]), before)
        earlier = np.concatenate([[before], clocks[:-1]])
        clock = int(clocks[-1])
        mine = slots[begin:end]
        order = np.argsort(mine, kind="stable")
        owner = mine[order]
        first = np.ones(len(owner), bool)
        first[1:] = owner[1:] != owner[:-1]
        previous = np.empty(len(owner), np.int64)
        previous[1:] = clocks[order][:-1]
        previous[first] = self._last[owner[first]]
        gone = (previous != NEVER) & (earlier[order] - np.where(previous == NEVER, 0, previous) > self.after)
        for at in np.flatnonzero(gone).tolist():
            slot, place, since = int(owner[at]), int(order[at]), int(previous[at])
            if not (first[at] and self._told[slot]):
                begun = int(np.searchsorted(clocks, since + self.after, side="right"))
                turns.append(SilenceTurn(int(rows[begun]), slot, since, int(clocks[begun]), over=False))
            turns.append(SilenceTurn(int(rows[place]), slot, since, int(clocks[place]), over=True))
        last = np.append(np.flatnonzero(first)[1:], len(owner)) - 1
        self._last[owner[last]], self._told[owner[last]] = clocks[order[last]], False
        self._clocks[partition] = clock
        if clock > self._due.get(partition, NEVER):
            self._look(partition, rows, clocks, turns)

    def _look(self, partition: int, rows: Int64, clocks: Int64, turns: list[SilenceTurn]) -> None:
        """Looks who has fallen silent by the end of these readings."""
        slots = np.array(list(self._entities.known(partition).values()), np.int64)
        slots = slots[(self._last[slots] != NEVER) & ~self._told[slots]]
        silent = slots[self._last[slots] + self.after < clocks[-1]]
        for slot in silent.tolist():
            since = int(self._last[slot])
            begun = int(np.searchsorted(clocks, since + self.after, side="right"))
            turns.append(SilenceTurn(int(rows[begun]), slot, since, int(clocks[begun]), over=False))
        self._told[silent] = True
        others = slots[~self._told[slots]]
        self._due[partition] = int(self._last[others].min(initial=FOR_EVER - self.after)) + self.after
