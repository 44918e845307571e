"""When a group's position in each partition moved, as the broker wrote it down: what a rebalance stops, seen from outside.

The broker keeps positions in a topic of its own. A key is a version, the group, the topic and the partition; a value begins with
a version and the offset (Kafka's OffsetCommitKey and OffsetCommitValue). Commits of transactions that were aborted do not count.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from confluent_kafka import Message

from dev.verify.torture import verdict

OFFSETS: Final = "__consumer_offsets"
_NEWEST_KEY: Final = 1
"""Keys with a higher version are not of positions."""


@dataclass(frozen=True)
class Step:
    """A partition's position at a moment."""

    at: float
    """Unix seconds of the broker's clock."""
    offset: int


Steps = Mapping[int, Sequence[Step]]
"""By partition, by rising time; each is further than the one before."""


def steps(bootstrap: str, group: str) -> Steps:
    """Every commit of the group that moved a position."""
    found: dict[int, list[Step]] = {}
    for messages in verdict.read(bootstrap, OFFSETS).values():
        for message in messages:
            _add(found, message, group)
    return found


def longest(found: Sequence[Step], begin: float, end: float) -> float:
    """Seconds of the longest time without a step within a stretch of time.

    >>> steps = [Step(1.0, 10), Step(1.1, 11), Step(1.7, 12), Step(1.8, 13)]
    >>> round(longest(steps, 1.2, 1.8), 1)
    0.5
    """
    times = [begin, *(step.at for step in found if begin < step.at < end), end]
    return max(after - before for before, after in pairwise(times))


def first(found: Sequence[Step], after: float) -> float:
    """Seconds from a moment to the next step."""
    return min((step.at - after for step in found if step.at > after), default=float("inf"))


def _add(found: dict[int, list[Step]], message: Message, group: str) -> None:
    key, value = message.key() or b"", message.value()
    assert isinstance(key, bytes), "it is no text"
    (version,) = struct.unpack_from(">h", key)
    if version > _NEWEST_KEY or value is None:
        return
    name, place = _text(key, 2)
    _, place = _text(key, place)
    if name != group:
        return
    (partition,) = struct.unpack_from(">i", key, place)
    assert isinstance(value, bytes), "it is no text"
    (offset,) = struct.unpack_from(">q", value, 2)
    mine = found.setdefault(partition, [])
    if not mine or offset > mine[-1].offset:
        mine.append(Step(message.timestamp()[1] / 1000, offset))


def _text(content: bytes, place: int) -> tuple[str, int]:
    (length,) = struct.unpack_from(">h", content, place)
    end = place + 2 + length
    return content[place + 2 : end].decode(), end
