"""Readings as columns: what every stage after decoding takes and returns. Holds data; next to nothing is computed here."""

import struct
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]
Mask = NDArray[np.bool_]


class Numbers(Protocol):
    """[n] int64: an array, or what reads as many of them as it is asked for: an int for one place, an array for several."""

    def __getitem__(self, rows: Any, /) -> Any: ...


Header = tuple[str, bytes | None]
Headers = Callable[[int], Sequence[Header]]
"""From a message's row to its headers, in their order. They are read for the few messages of which something is made."""


def no_headers(_: int, /) -> Sequence[Header]:
    """Of messages that have none."""
    return ()


MICROSECONDS = 1_000_000
"""Event times are whole microseconds since 1970 UTC: exact to compare, exact to print."""
NEVER = int(np.iinfo(np.int64).min)
"""In the place of an event time that there is not."""
FOR_EVER = int(np.iinfo(np.int64).max)
"""Longer than any length of time."""


class Batch(Struct, frozen=True):
    """Readings in the order in which they were read.

    A partition is one sequence: what happens to its readings depends on nothing that stands in another partition.
    """

    rows: Int64
    """[n] Index of the message that each reading came in."""
    partitions: Int64
    """[n] Partition of each reading."""
    entities: list[str]
    """[n] What each reading is of."""
    times: Int64
    """[n] Event time, microseconds since 1970 UTC."""
    values: NDArray[Any]
    """[n, features that are read] In the readings' own units; finite, or not a number where the reading lacks the value. float32;
    float64 where something is computed from them first, for counters are large."""

    def __len__(self) -> int:
        return len(self.entities)


class Readings(Struct, frozen=True):
    """Readings entity by entity, each entity's by rising time."""

    rows: Int64
    """[n] Index of the message that let it go: its own, or a later one of its entity for which it waited."""
    slots: Int64
    """[n] Slot of the entity, rising."""
    times: Int64
    """[n] Event time, microseconds since 1970 UTC."""
    values: NDArray[Any]
    """[n, features] Not a number where there is no value. float32; as the batch has them before they are prepared."""
    first: Mask
    """[n] Whether it is its entity's first in the batch."""
    filled: Mask | None = None
    """[n, features] Which values were filled in; None: there was nothing to fill in."""
    bridged: Int64 | None = None
    """[n] The time that what was filled in bridges, microseconds; FOR_EVER where a value is still missing."""


class Messages(Struct, frozen=True):
    """Messages as columns, each partition's in the order of their offsets."""

    values: Sequence[bytes | None]
    keys: Sequence[bytes | None]
    timestamps_ms: Numbers
    """-1 where a message has none."""
    partitions: Int64
    headers: Headers = no_headers
    read_ms: int = -1
    """The reader's clock when it got them, Unix milliseconds; -1 where nobody looked at one."""

    def __len__(self) -> int:
        return len(self.values)


def whole_numbers(numbers: Iterable[int | None], count: int) -> Int64:
    """[count] In half the time of `np.fromiter`; read-only. Raises struct.error where there is None in place of a number."""
    return np.frombuffer(struct.pack(f"{count}q", *numbers), np.int64)


def numbers_in(numbers: Int64) -> list[int]:
    """The different ones, rising. Quick where they come in runs, as partitions do."""
    turns = np.flatnonzero(numbers[1:] != numbers[:-1]) + 1
    return sorted({*numbers[:1].tolist(), *numbers[turns].tolist()})


def merged(one: Batch, other: Batch) -> Batch:
    """The readings of both, by their rows."""
    if not (len(one) and len(other)):
        return one if len(one) else other
    rows = np.concatenate([one.rows, other.rows])
    both = Batch(
        rows,
        np.concatenate([one.partitions, other.partitions]),
        one.entities + other.entities,
        np.concatenate([one.times, other.times]),
        np.concatenate([one.values, other.values]),
    )
    return select(both, np.argsort(rows, kind="stable"))


def select(batch: Batch, keep: Int64) -> Batch:
    """The readings at these places."""
    entities = [batch.entities[place] for place in keep.tolist()]
    return Batch(batch.rows[keep], batch.partitions[keep], entities, batch.times[keep], batch.values[keep])
