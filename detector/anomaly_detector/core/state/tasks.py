"""The partitions that a pod has: what each of them has decided since the last commit, and what is to be written with it.

    recover -> replaying -> live -> given up
               (silent)     (decides; what follows is collected until `drain` hands it over)

A batch may be under way while the next one is parsed. Whatever is not the next batch finds it decided: another revision or
allowance, a commit, a partition that comes or goes.

It knows no broker: `drain` says what one commit must hold, and what a pod needs to know to go on is in it.
"""

import logging
from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np
from msgspec.structs import replace

from anomaly_detector.core.configuration import Configuration
from anomaly_detector.core.entities.quota import MemoryQuota
from anomaly_detector.core.episodes.carrying import carried, carried_limit
from anomaly_detector.core.episodes.closures import Closures
from anomaly_detector.core.feedback.acceptance import Acceptance, Acceptances
from anomaly_detector.core.feedback.rejected import RejectedLabel
from anomaly_detector.core.pipeline import DetectionPipeline
from anomaly_detector.core.scoring.executor import Executor, inline
from anomaly_detector.core.scoring.revisions import LoadedRevision
from anomaly_detector.core.shadow import Terms
from anomaly_detector.core.state import changelog
from anomaly_detector.core.state.checkpoint_schedule import CheckpointPolicy, CheckpointSchedule
from anomaly_detector.core.state.next_commit import Decided, NextCommit, Topics
from anomaly_detector.core.state.records import Commit, PartitionCommit, Read
from anomaly_detector.core.state.recovery import Recovered
from anomaly_detector.core.state.restore import Restore

log: Final = logging.getLogger(__name__)
_MOST_SAID: Final = 10_000
"""Labels that are kept for partitions that come later."""


class PartitionTasks:
    """What a pod does with its partitions. `now` is any clock that only rises, in seconds."""

    def __init__(
        self,
        pipeline: DetectionPipeline,
        topics: Topics,
        checkpoints: CheckpointPolicy | None = None,
        executor: Executor = inline,
    ) -> None:
        self.pipeline = pipeline
        self._topics = topics
        self._checkpoints = checkpoints or CheckpointPolicy()
        self._schedule = CheckpointSchedule(self._checkpoints)
        self._executor = executor
        self._begun: tuple[Read, float] | None = None
        """The batch that is under way, and when it was taken in."""
        self._decided: list[Decided] = []
        """That nobody was told of yet."""
        self._next = NextCommit(pipeline, topics)
        self._restoring: dict[int, tuple[Restore, Recovered]] = {}
        self._said: list[Acceptance] = []
        """What people called normal, the last of it."""
        self._not_told: list[RejectedLabel] = []
        """Records of the labels topic of which no dead letter was made here."""

    @property
    def replaying(self) -> int:
        """Partitions that do not decide yet."""
        return len(self._restoring)

    @property
    def under_way(self) -> bool:
        """Whether there is something to settle."""
        return self._begun is not None

    @property
    def waiting(self) -> bool:
        """Whether there is anything to commit."""
        return any(task.changed for task in self._next.tasks.values())

    @property
    def buffered(self) -> int:
        """Records that wait for the next commit."""
        return sum(len(task.log.records) for task in self._next.tasks.values())

    @property
    def weight(self) -> int:
        """Bytes of the dead letters that wait for the next commit: they are as large as what was sent."""
        return sum(task.weight for task in self._next.tasks.values())

    @property
    def most_messages(self) -> int:
        """Messages that a batch should have at most."""
        return min([self.pipeline.most_messages, *(restore.most_messages for restore, _ in self._restoring.values())])

    def position(self, partition: int) -> int | None:
        """The first offset that was not read."""
        task = self._next.tasks.get(partition)
        return task.next if task else None

    def adopt(self, loaded: LoadedRevision, candidate: LoadedRevision | None = None, terms: Terms | None = None) -> None:
        """From the next reading of every partition on, this revision decides, but what the terms let the candidate decide."""
        self._finish()
        for partition, alert in self.pipeline.adopt(loaded, candidate, terms):
            self._next.alert(partition, alert)
        self._next.note_configuration()

    def allow(self, quota: MemoryQuota) -> None:
        """From the next reading of every partition on, so much may be remembered."""
        self._finish()
        self.pipeline.allow(quota)
        self._next.note_configuration()

    def accept(self, said: Sequence[Acceptance]) -> None:
        """Ends open episodes of which somebody said that this is normal now, here and in partitions that come.

        A label is about an episode that there was when it was given, so it may be said again and again.
        """
        self._finish()
        self._said = [*self._said, *said][-_MOST_SAID:]
        for partition in self._next.tasks:
            self._accept(partition, Acceptances.of(list(said)))

    def reject(self, labels: Sequence[RejectedLabel], topic: str) -> None:
        """Makes dead letters of records of the labels topic, each once: with whoever has the first partition."""
        self._not_told = [*self._not_told, *labels][-_MOST_SAID:]
        task = self._next.tasks.get(0)
        if task is None:
            return
        labels, self._not_told = self._not_told, []
        for label in labels:
            if task.log.note_labels(label.partition, label.offset):
                task.log.records.append(label.dead_letter(topic, self._topics.dead_letters))

    def write_again(self) -> None:
        """The state topic was deleted and made anew: all that stood in it is written with the next commits."""
        for task in self._next.tasks.values():
            task.log.write_again()
            task.since, task.moved = max(task.since, self._checkpoints.readings), True

    def recover(self, partition: int, found: Recovered, now: float) -> int:
        """Takes a partition over; returns the offset from which its readings are needed."""
        self._finish()
        if found.note:
            log.warning("partition %d: %s", partition, found.note)
        if found.configuration is not None and found.start < found.until:
            self._restoring[partition] = (
                Restore(partition, found.until, found.configuration, found.changes, found.state, found.refused),
                replace(found, state={}),
            )
            return found.start
        if found.configuration is None:
            self._begin(partition, found, now)
        else:
            replay = Restore(partition, found.until, found.configuration, found.changes, found.state)
            self._go_on(replay, found, now)
        return found.start

    def give_up(self, partitions: Iterable[int]) -> None:
        """Drops partitions with all that they have not committed."""
        self._finish()
        for partition in partitions:
            self._next.tasks.pop(partition, None)
            self._restoring.pop(partition, None)
            self.pipeline.forget(partition)

    def process(self, read: Read, now: float, *, more: bool = False) -> list[Decided]:
        """Decides a batch, but for what had been decided before; all that was decided since it was last told.

        With `more` it may be the one before: there is another one to be read at once, and meanwhile windows are scored.
        """
        if self._restoring:
            self._finish()
            read = self._replay(read, now)
        if len(read):
            parsed = self.pipeline.parse(read.messages)  # while the batch before is being scored
            self._finish()
            self.pipeline.prepare()
            self._next.note_configuration()
            self.pipeline.begin(read.messages, parsed, self._executor if more else inline)
            self._begun = read, now
        if more:
            return self._told()
        return self.settle()

    def settle(self) -> list[Decided]:
        """Decides what is under way; all that was decided since it was last told."""
        self._finish()
        return self._told()

    def drain(self, now: float, leaving: Iterable[int] = ()) -> Commit:
        """What is to be committed, once; `leaving` are partitions of which it is the last."""
        self._finish()
        self._next.note_changes()
        last = set(leaving)
        self._schedule.begin(self._next.tasks, self.pipeline.intakes, now, last)
        drained: Commit = {}
        for partition, task in self._next.tasks.items():
            task.log.pieces(None if partition in last else self._checkpoints.pieces)
            if task.changed:
                drained[partition] = PartitionCommit(task.next, task.log.drain())
                task.weight, task.moved = 0, False
        return drained

    def _finish(self) -> None:
        if self._begun is None:
            return
        (read, begun), self._begun = self._begun, None
        outcome = self.pipeline.finish()
        for partition, alert in outcome.ended:
            self._next.alert(partition, alert)
        self._next.note_configuration()  # a candidate that fails decides nothing of this batch: the change is at its beginning
        self._next.collect(read, outcome)
        self._decided.append(Decided(read, outcome, begun))

    def _told(self) -> list[Decided]:
        decided, self._decided = self._decided, []
        return decided

    def _replay(self, read: Read, now: float) -> Read:
        """Takes in what was decided before; returns the rest."""
        partitions, offsets = read.messages.partitions, np.asarray(read.offsets[:], np.int64)
        fresh = np.ones(len(read), bool)
        for partition, (restore, found) in list(self._restoring.items()):
            mine = partitions == partition
            old = mine & (offsets < restore.until)
            if old.any():
                restore.process(read.select(old))
                fresh &= ~old
            if mine.any() and int(offsets[mine][-1]) >= restore.until - 1:
                del self._restoring[partition]
                self._go_on(restore, found, now)
        return read.select(fresh)

    def _begin(self, partition: int, found: Recovered, now: float) -> None:
        """A partition of which nothing is known."""
        configuration = self.pipeline.prepare()
        task = self._next.start(partition, found, configuration, now)
        task.log.change(configuration, task.next, begin=True)
        if found.source is not None:
            task.log.source(found.source)
        before = found.last or configuration
        self._close(partition, found, before, self.pipeline.closures(before, None))
        for entity in found.episodes:
            self._next.note_episodes(partition, entity)
        self._next.note_limit(partition)

    def _go_on(self, restored: Restore, found: Recovered, now: float) -> None:
        """A partition that is where the group has committed."""
        before = found.changes[-1].configuration if found.changes else found.configuration
        assert before is not None, "there was something to replay"
        after = self.pipeline.prepare()
        partition = restored.partition
        ended = self.pipeline.silent(restored.replayed()).ended(before.intake, after.intake)
        self.pipeline.restore(partition, restored.finish(after))
        task = self._next.start(partition, found, before, now)
        for _, alert in ended:
            self._next.alert(partition, alert)
        if found.source is not None:
            task.log.source(found.source)
        task.since = found.until - found.start
        if task.since >= self._checkpoints.leaving:  # a pod that is killed again and again must not have more to replay each time
            task.written = now - self._checkpoints.seconds
        self._close(partition, found, before, closures := self.pipeline.closures(before, after))
        if not closures.anew:
            for entity, value in found.episodes.items():
                state = carried(changelog.decode_episodes(value), before.deciders, after.deciders, entity)
                self.pipeline.episodes.restore(partition, entity, state)
            for alert in self.pipeline.endings.renounced(partition, before.deciders, after.deciders):
                self._next.alert(partition, alert)
            self._accept(partition, Acceptances.of(self._said))
            if found.limit is not None:
                limit = carried_limit(changelog.decode_limit(found.limit), before.deciders, after.deciders)
                self.pipeline.episodes.restore_limit(partition, limit)
        self._next.note_configuration()
        log.info("partition %d goes on at offset %d; %d readings replayed", partition, found.until, task.since)

    def _close(self, partition: int, found: Recovered, before: Configuration, closures: Closures) -> None:
        """Writes the closing alerts of the episodes and limits that do not go on."""
        if not closures.any:
            return
        stable = before.deciders.stable.name
        for entity, value in found.episodes.items():
            for alert in closures.of_entity(entity, changelog.decode_episodes(value).get(stable, {})):
                self._next.alert(partition, alert)
        limit = changelog.decode_limit(found.limit).get(stable) if found.limit else None
        for alert in closures.of_partition(partition, limit):
            self._next.alert(partition, alert)

    def _accept(self, partition: int, said: Acceptances) -> None:
        for alert in self.pipeline.endings.accepted(partition, said, self.pipeline.configuration.deciders):
            self._next.alert(partition, alert)
