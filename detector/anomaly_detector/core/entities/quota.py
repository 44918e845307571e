"""How much a pod may remember: bytes for the entities of a partition, and how long an idle one is kept. It evicts nobody.

What is evicted decides what alerts there are, so it must be the same in every pod and on every replay: a function of the
partition's own stream. That is why each partition of the topic has an equal share of the budget, however many of them a pod has:
a pod that took over the partitions of another one would otherwise have to forget entities at that moment, and what became an
alert would depend on who crashed when. The price: a pod that has few of many partitions uses little of the budget, and a
partition with more than its share of the entities evicts while others have room. One share more than there are partitions is set
aside for the copy that a checkpoint takes.

What the shares are is part of the `Intake`: a topic that gets more partitions, or another budget, is a change with an offset.
"""

from collections.abc import Sequence

from msgspec import Struct

from anomaly_api.schema import Contract, seconds
from anomaly_api.source import Window
from anomaly_detector.core.columns import MICROSECONDS


class Bounds(Contract):
    """What may be remembered of one partition. Part of the intake."""

    bytes: int
    """Of all its entities together. The one that was seen last is kept even if it needs more."""
    entity_bytes: int
    """Of an entity, without its name."""
    idle: int
    """Microseconds of the partition's event time after which an entity without readings is forgotten."""
    partitions: int = 1
    """Of the topic. When there are more, keys move: see `Entities.expect`."""

    @property
    def entities(self) -> int:
        """How many fit, with names of usual length."""
        return max(1, self.bytes // (self.entity_bytes + USUAL_NAME))


USUAL_NAME = 16
"""Bytes."""
HOUSEKEEPING = 330
"""Bytes of an entity that are in no column: its name as an object, its places in dictionary and lists, and what growing them
leaves unused. `python -m dev.verify.bench.memory` measures whether it is enough."""


_LONGEST = 1 << 60
"""Microseconds: 36,000 years, so that no sum of times is too large."""


class MemoryQuota(Struct, frozen=True):
    """What the spec grants to a topic."""

    budget: int
    """Bytes, for all partitions together."""
    partitions: int
    """Of the topic."""
    expire_after: float
    """Seconds."""

    def bounds(self, row_bytes: int, windows: Sequence[Window]) -> Bounds:
        """Of each partition; `row_bytes` is what an entity takes in the columns of all stages.

        No entity expires before its windows would begin again anyway.
        """
        longest = max(seconds(window.max_gap) for window in windows)
        return Bounds(
            bytes=self.budget // (self.partitions + 1),
            entity_bytes=row_bytes + HOUSEKEEPING,
            idle=min(_LONGEST, round(max(self.expire_after, longest) * MICROSECONDS)),
            partitions=self.partitions,
        )


def name_bytes(name: str) -> int:
    """What a name takes, at most.

    >>> name_bytes("pump-07"), name_bytes("Pumpe-Süd")
    (7, 36)
    """
    return len(name) if name.isascii() else 4 * len(name)
