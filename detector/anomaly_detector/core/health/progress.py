"""How each partition goes: when it was scored last, and how long its messages have been waiting. It knows no broker, no clock.

    lag       0 0 0 3 5 7 7 7 7 0
    decided   x   x       x     x
    waiting   0 0 0 0 1 2 0 1 2 0     seconds in which something waited and nothing was decided

A partition in which nothing waits is not late, however long ago its last reading came.
"""

from collections.abc import Iterable, Mapping

from msgspec import Struct


class PartitionProgress(Struct, frozen=True):
    """How a partition stands. Times in seconds."""

    partition: int
    since_score: float
    """Since the last score, or since it is ours."""
    waiting: float
    """How long something has been waiting while nothing was decided; 0: nothing waits."""
    lag: int
    """Messages not read yet, as far as known."""


class _Partition(Struct):
    scored: float
    moved: float
    """When something of it was decided last, or nothing waited."""
    lag: int = 0
    waits: bool = False


class ProgressTracker:
    """Of the partitions of one pod. `now` is any clock that only rises, in seconds."""

    def __init__(self) -> None:
        self._partitions: dict[int, _Partition] = {}

    def decided(self, partitions: Iterable[int], now: float, *, scored: bool) -> None:
        """Messages of these have been decided; `scored`: and some of them were scored."""
        for number in partitions:
            partition = self._partitions.get(number)
            if partition is not None:
                partition.moved = now
                partition.scored = now if scored else partition.scored

    def look(self, lags: Mapping[int, int | None], now: float) -> None:
        """The partitions that are ours, with the messages that wait; None: what is known of it is still being read."""
        partitions = {}
        for number, lag in lags.items():
            partition = self._partitions.get(number) or _Partition(now, now)
            partition.lag, partition.waits = lag or 0, lag != 0
            if not partition.waits:
                partition.moved = now
            partitions[number] = partition
        self._partitions = partitions  # at once: other threads look at it

    def standings(self, now: float) -> list[PartitionProgress]:
        """By partition."""
        return [
            PartitionProgress(number, max(0.0, now - each.scored), max(0.0, now - each.moved) if each.waits else 0.0, each.lag)
            for number, each in sorted(self._partitions.items())
        ]

    def standstill(self, now: float) -> float:
        """Seconds for which readings have been waiting, in the slowest of the partitions that have begun."""
        return max((now - each.moved for each in self._partitions.values() if each.waits and each.lag), default=0.0)

    def slowest(self, now: float) -> PartitionProgress | None:
        """The one that has waited longest; None: nothing waits anywhere."""
        return max((each for each in self.standings(now) if each.waiting), key=lambda each: each.waiting, default=None)
