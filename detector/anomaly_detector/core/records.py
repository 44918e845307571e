"""What goes in and out of a pod besides readings: records to be written, and batches with the offsets they were read at."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from anomaly_detector.core.columns import Int64, Mask, Messages

_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True)
class Record:
    """A record to be written."""

    topic: str
    key: bytes | None
    value: bytes | None
    """None deletes what a compacted topic holds for the key."""
    headers: tuple[tuple[str, bytes], ...] = ()
    partition: int | None = None
    """None: by the key."""


@dataclass(frozen=True, slots=True)
class Portion:
    """What one partition of the source adds to a commit."""

    offset: int
    """The group's next position."""
    records: tuple[Record, ...]


Portions = dict[int, Portion]
"""By partition of the source: everything that is written in one commit."""


@dataclass(frozen=True, slots=True)
class Read:
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
        )
        return Read(messages, self.offsets[rows])

    def __len__(self) -> int:
        return len(self.offsets)


def _picked(items: Sequence[_Item], places: list[int]) -> list[_Item]:
    return [items[place] for place in places]
