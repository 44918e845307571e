"""When what is remembered of a partition is written down: often enough to replay little, seldom enough to write little."""

import math
from collections.abc import Mapping

from msgspec import Struct

from anomaly_detector.core.preprocess.intakes import Intakes
from anomaly_detector.core.state.changelog_writer import ChangelogWriter


class CheckpointPolicy(Struct, frozen=True):
    """When what is remembered of a partition is written down."""

    readings: int = 200_000
    """After so many readings: replaying them takes about half a second."""
    seconds: float = 60.0
    """Or after so long, if there was a reading."""
    bytes_per_second: float = 250_000.0
    """But then no more than so much on average: hundreds of megabytes may be remembered, of which a minute changes little, and
    reading a few readings again is cheaper than writing all. 256 MB take 17 minutes."""
    longest: float = 3_600.0
    """After so long at any rate: the source does not keep readings for ever."""
    pieces: int = 2
    """Pieces in one commit, so that no commit is large."""
    leaving: int = 10_000
    """A partition that is given up is written down if so many readings would have to be replayed."""
    leaving_bytes: int = 32_000_000
    """But no more than about so much in one commit: whoever takes the others over replays them."""


class Task(Struct):
    """A partition that decides."""

    next: int
    """The first offset that was not read."""
    log: ChangelogWriter
    """With all records of the partition that wait for the next commit, alerts and dead letters too."""
    written: float
    """When what is remembered was written down last."""
    weight: int = 0
    """Bytes of the dead letters that wait."""
    since: int = 0
    """Readings since what is remembered was written down."""
    moved: bool = False
    """Whether the group's position is to be committed."""

    @property
    def changed(self) -> bool:
        """Whether there is anything to commit."""
        return self.moved or bool(self.log.records)


class CheckpointSchedule:
    """Begins checkpoints when the policy says so. `now` is any clock that only rises, in seconds."""

    def __init__(self, policy: CheckpointPolicy) -> None:
        self.policy = policy
        self._rest_until = -math.inf

    def begin(self, tasks: Mapping[int, Task], intakes: Intakes, now: float, leaving: set[int]) -> None:
        """One at a time: a checkpoint takes a copy of what is remembered of its partition. Then those of the last commit."""
        policy = self.policy
        seconds = policy.seconds if now >= self._rest_until else policy.longest
        due = [
            partition
            for partition, task in tasks.items()
            if task.since >= policy.readings or (task.since and now - task.written >= seconds)
        ]
        if due and not any(task.log.checkpointing for task in tasks.values()):
            number = max(due, key=lambda partition: tasks[partition].since)
            self._begin(number, tasks[number], intakes, now)
        left = policy.leaving_bytes
        for partition in sorted(leaving & tasks.keys()):
            task = tasks[partition]
            weight = intakes.weight(partition)
            if (task.log.checkpointing or task.since >= policy.leaving) and weight <= left:
                left -= weight
                if not task.log.checkpointing:
                    self._begin(partition, task, intakes, now)

    def _begin(self, partition: int, task: Task, intakes: Intakes, now: float) -> None:
        task.log.begin_checkpoint(intakes.snapshot(partition), task.next)
        self._rest_until = now + intakes.weight(partition) / self.policy.bytes_per_second
        task.since, task.written = 0, now
