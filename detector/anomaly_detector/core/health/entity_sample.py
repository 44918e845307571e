"""A few of the entities that sent something lately, by all pods chosen alike: an entity that two pods know stands out by it.

pod A   pump-1 pump-2 [pump-4] pump-8        the hash of pump-4 is among the lowest, wherever it is met
pod B   pump-3 [pump-4] pump-5
"""

from heapq import nsmallest
from typing import Final
from zlib import crc32

from anomaly_detector.core.entities.table import Entities

_FEW: Final = 16


class EntitySample:
    """A look now and then; it tells of those seen since the one before."""

    def __init__(self) -> None:
        self._entities: Entities | None = None
        self._turn = 0

    def look(self, entities: Entities) -> list[tuple[str, int]]:
        """Names and partitions. An entity whose readings come in several partitions has an entry for each."""
        since, self._turn = self._turn if entities is self._entities else entities.turn, entities.turn
        self._entities = entities
        names, partitions = entities.names, entities.partitions
        seen = ((names[slot], partitions[slot]) for slot in entities.seen_since(since).tolist())
        return nsmallest(_FEW, seen, key=_place)


def _place(seen: tuple[str, int]) -> tuple[int, str, int]:
    name, partition = seen
    return crc32(name.encode()), name, partition
