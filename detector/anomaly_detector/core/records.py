"""What goes in and out of a pod besides readings: records to be written, and batches with the offsets they were read at."""

from collections.abc import Sequence
from typing import NamedTuple, TypeVar

import numpy as np
from msgspec import Struct

from anomaly_detector.core.columns import Header, Int64, Mask, Messages

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


class Portion(Struct, frozen=True):
    """What one partition of the source adds to a commit."""

    offset: int
    """The group's next position."""
    records: tuple[Record, ...]


Portions = dict[int, Portion]
"""By partition of the source: everything that is written in one commit."""


class Read(Struct, frozen=True):
    """A batch, and where its messages stood."""

    messages: Messages
    offsets: Int64
    """[n]"""

    def select(self, wanted: Mask) -> "Read":
        """The messages at which `wanted` [n] holds."""
        rows = np.flatnonzero(wanted)
        if len(rows) == len(self.offsets):
            return self
        places = rows.tolist()
        messages = Messages(
            _picked(self.messages.values, places),
            _picked(self.messages.keys, places),
            self.messages.timestamps_ms[rows],
            self.messages.partitions[rows],
            lambda row: self.messages.headers(places[row]),
        )
        return Read(messages, self.offsets[rows])

    def __len__(self) -> int:
        return len(self.offsets)


def _picked(items: Sequence[_Item], places: list[int]) -> list[_Item]:
    return [items[place] for place in places]
