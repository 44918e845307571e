"""What partitions have decided since the last commit, as records of the topics: alerts, dead letters, and the changelog.

It collects; when what is there is committed, and for which partitions, is for `tasks` to say.
"""

import numpy as np
from msgspec import Struct

from anomaly_api.alert import DeadLetterReason
from anomaly_detector.core.alerts.alert import Alert
from anomaly_detector.core.columns import numbers_in
from anomaly_detector.core.configuration import Configuration
from anomaly_detector.core.decode.dead_letters import dead_letters
from anomaly_detector.core.outcome import Outcome
from anomaly_detector.core.pipeline import DetectionPipeline
from anomaly_detector.core.state.changelog_writer import ChangelogWriter
from anomaly_detector.core.state.checkpoint_schedule import Task
from anomaly_detector.core.state.records import Read, Record
from anomaly_detector.core.state.recovery import Recovered


class Topics(Struct, frozen=True):
    """By name."""

    source: str
    alerts: str
    dead_letters: str
    state: str


class Decided(Struct, frozen=True):
    """A batch without what had been decided before, and what it led to."""

    read: Read
    outcome: Outcome
    begun: float
    """When it was taken in."""


class NextCommit:
    """Of the partitions that decide."""

    def __init__(self, pipeline: DetectionPipeline, topics: Topics) -> None:
        self._pipeline, self._topics = pipeline, topics
        self.tasks: dict[int, Task] = {}

    def alert(self, partition: int, alert: Alert) -> None:
        """An alert that comes of a partition."""
        record = Record(self._topics.alerts, alert.entity.encode(), alert.value, alert.headers)
        self.tasks[partition].log.records.append(record)

    def start(self, partition: int, found: Recovered, configuration: Configuration, now: float) -> Task:
        """A partition decides from here on; `configuration`: the last one that stands in its changelog, or is about to."""
        writer = ChangelogWriter(self._topics.state, partition, found, configuration)
        task = self.tasks[partition] = Task(found.until, writer, now)
        return task

    def collect(self, read: Read, outcome: Outcome) -> None:
        """What a batch led to."""
        partitions = read.messages.partitions
        if outcome.rejects:
            letters = dead_letters(read, outcome.rejects, self._topics.source, self._topics.dead_letters)
            for partition, letter in zip(partitions[[reject.row for reject in outcome.rejects]].tolist(), letters, strict=True):
                task = self.tasks[partition]
                task.log.records.append(letter)
                task.weight += len(letter.key or b"") + len(letter.value or b"")
            self._note_refused(read, outcome)
        for alert in outcome.alerts:
            self.alert(int(partitions[alert.row]), alert)
        for left in outcome.left:
            if left.name in self.tasks[left.partition].log.episodes:
                self.note_episodes(left.partition, left.name)
        for partition in numbers_in(partitions):
            task = self.tasks[partition]
            mine = np.flatnonzero(partitions == partition)
            task.next, task.moved = int(read.offsets[int(mine[-1])]) + 1, True
            task.since += len(mine)

    def _note_refused(self, read: Read, outcome: Outcome) -> None:
        """Writes down what a clock refused: a process that decides it again has a later one."""
        rows = [reject.row for reject in outcome.rejects if reject.reason is DeadLetterReason.FUTURE_TIME]
        for partition in sorted(set(read.messages.partitions[rows].tolist())):
            mine = [row for row in rows if read.messages.partitions[row] == partition]
            self.tasks[partition].log.refuse([int(read.offsets[row]) for row in mine])

    def note_configuration(self) -> None:
        """Writes down which configuration decides, where that has changed; and with it all state, under the names it has now."""
        configuration = self._pipeline.configuration
        for partition, task in self.tasks.items():
            if task.log.configuration is not configuration and task.log.configuration != configuration:
                task.log.change(configuration, task.next, begin=False)
                for entity in list(task.log.episodes):
                    self.note_episodes(partition, entity)
                self.note_limit(partition)
            task.log.configuration = configuration

    def note_changes(self) -> None:
        """Writes down the episodes and limits that have changed since it was last called."""
        for partition, entity in self._pipeline.episodes.dirty():
            self.note_episodes(partition, entity)
        for partition in self._pipeline.episodes.dirty_limits():
            self.note_limit(partition)

    def note_episodes(self, partition: int, entity: str) -> None:
        """Writes down an entity's episodes as they are."""
        task = self.tasks.get(partition)
        if task is not None:
            task.log.note_episodes(entity, self._pipeline.episodes.of(partition, entity))

    def note_limit(self, partition: int) -> None:
        """Writes down a partition's limit as it is."""
        task = self.tasks.get(partition)
        if task is not None:
            task.log.note_limit(self._pipeline.episodes.limit_of(partition))
