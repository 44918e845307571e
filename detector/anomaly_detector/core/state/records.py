"""What goes in and out of a pod besides readings: records to be written, and batches with the offsets they were read at."""

from collections.abc import Sequence
from typing import NamedTuple, TypeVar

import numpy as np
from msgspec import Struct

from anomaly_detector.core.columns import Header, Int64, Mask, Messages, Numbers

_Item = TypeVar("_Item")


class Record(NamedTuple):
    """A record to be written."""

    topic: str
    key: bytes | None
    value: bytes | None
    """None deletes what a compacted topic holds for the key."""
    headers: tuple[Header, ...] = ()
    partition: int | None = None
    """None: by the key."""
    cuttable: bool = False
    """Whether its beginning will do where the broker finds it too large."""


class PartitionCommit(Struct, frozen=True):
    """What one partition of the source adds to a commit."""

    offset: int
    """The group's next position."""
    records: tuple[Record, ...]


Commit = dict[int, PartitionCommit]
"""By partition of the source: everything that is written in one commit."""


class Read(Struct, frozen=True):
    """A batch, and where its messages stood."""

    messages: Messages
    offsets: Numbers

    def select(self, wanted: Mask) -> "Read":
        """The messages at which `wanted` [n] holds."""
        rows = np.flatnonzero(wanted)
        if len(rows) == len(self):
            return self
        places = rows.tolist()
        messages = Messages(
            _picked(self.messages.values, places),
            _picked(self.messages.keys, places),
            self.messages.timestamps_ms[rows],
            self.messages.partitions[rows],
            lambda row: self.messages.headers(places[row]),
            self.messages.read_ms,
        )
        return Read(messages, self.offsets[rows])

    def __len__(self) -> int:
        return len(self.messages)


def wanted(places: Int64, offsets: Numbers, begin: int) -> Int64:
    """Of the places of one partition's messages, those from the offset `begin` on.

    A client hands them over by rising offset, at most with some ahead that were on their way when it was told to begin elsewhere.
    So where the first one is wanted and the last one is as far behind it as it should be, all are, and no other offset is read.
    """
    first, last = offsets[int(places[0])], offsets[int(places[-1])]
    if first >= begin and last - first >= len(places) - 1:
        return places
    later: Int64 = places[offsets[places] >= begin]
    return later


def _picked(items: Sequence[_Item], places: list[int]) -> list[_Item]:
    return [items[place] for place in places]
