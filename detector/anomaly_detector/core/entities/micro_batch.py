"""Readings that are taken in together, and who is forgotten for them. Holds data only."""

from msgspec import Struct

from anomaly_detector.core.columns import Batch, Int64
from anomaly_detector.core.entities.lru import Reason


class Evicted(Struct, frozen=True):
    """An entity that is forgotten."""

    slot: int
    """Its row still holds what was known of it, until the portion is taken in."""
    name: str
    partition: int
    row: int
    """Index of the message that did it."""
    reason: Reason
    idle: int
    """Microseconds of its partition's event time since it was seen last."""


class MicroBatch(Struct, frozen=True):
    """Readings that can be taken in together: nobody whom they are of is forgotten among them."""

    batch: Batch
    slots: Int64
    """[n] Slot of each reading's entity."""
    leaving: list[Evicted]
    """Before any of these readings is looked at."""


def cut(batch: Batch, start: int, end: int) -> Batch:
    """Some of its readings, without a copy of their values."""
    return Batch(
        batch.rows[start:end],
        batch.partitions[start:end],
        batch.entities[start:end],
        batch.times[start:end],
        batch.values[start:end],
    )
