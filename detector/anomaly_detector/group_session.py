"""One stay of a pod in its consumer group: from joining to leaving, or to being taken for dead. It moves readings and commits.

    assigned -> recovered -> begun -> readings decided -> committed -> ... -> revoked: committed once more, and given up

Whatever makes it doubtful who has the partitions, or what was written, ends the stay (`lost`): nothing that was decided and not
committed counts, and the next stay begins with what Kafka says.
"""

import logging
import time
from collections import Counter
from collections.abc import Mapping
from itertools import chain
from typing import Final

from anomaly_api.alert import UndeliverableReason
from anomaly_api.assignment import Runtime
from anomaly_api.policy import Delivery as DeliveryPolicy
from anomaly_detector.adapters.kafka.consume.reader import Reader
from anomaly_detector.adapters.kafka.produce.at_least_once import AtLeastOnce
from anomaly_detector.adapters.kafka.produce.connections import Connections
from anomaly_detector.adapters.kafka.produce.delivery import Delivery, Progress
from anomaly_detector.adapters.kafka.produce.exactly_once import ExactlyOnce
from anomaly_detector.adapters.kafka.state.recovery import Recovery, Wanted
from anomaly_detector.adapters.schema_registry import Registry
from anomaly_detector.core.health.lag import Lag
from anomaly_detector.core.state.next_commit import Decided
from anomaly_detector.core.state.tasks import PartitionTasks

log: Final = logging.getLogger(__name__)
# What waits for a commit, at most: beyond it, reading waits. Without these two, a slow broker would fill the pod's memory.
_MOST_RECORDS: Final = 5_000
_MOST_BYTES: Final = 16 * 1024 * 1024
"""Of dead letters that wait for a commit."""
# How long a poll waits for readings: long where nothing else is to be done, short where something may come of it any moment.
_WAIT_SECONDS: Final = 0.1
_LOOK_SECONDS: Final = 0.005
# How long a commit is waited for: until it is through where it must be, hardly at all where there is more to read (throughput),
# and a little where there is not (an alert is announced sooner by the loop's being there when the answer comes).
_TRY_SECONDS: Final = 2.0
_GLANCE_SECONDS: Final = 0.0001
_LEISURE_SECONDS: Final = 0.02
_AHEAD_SECONDS: Final = 1.0
"""So long a commit may be under way before reading waits for it."""
_SETTLE_SECONDS: Final = 5.0
_STUCK_SECONDS: Final = 20.0
_LONGEST_SECONDS: Final = 1.0
_QUIET_SECONDS: Final = 0.05
"""Between two commits while there is nothing to be written but offsets and what is remembered."""
_BEHIND_SECONDS: Final = 0.1
"""Between two commits while there is more to read than one batch."""


class GroupSession:
    """All calls belong to one thread."""

    def __init__(
        self,
        runtime: Runtime,
        pod: str,
        connections: Connections,
        tasks: PartitionTasks,
        registry: Registry,
        most_messages: int,
    ) -> None:
        """`most_messages` in a batch."""
        self._registry = registry
        self._tasks = tasks
        self._most_messages = most_messages
        self._reader = Reader(runtime, connections, self._arrived, self._leaving)
        exactly_once = runtime.delivery is DeliveryPolicy.EXACTLY_ONCE
        self._delivery: Delivery = (
            ExactlyOnce(runtime, connections) if exactly_once else AtLeastOnce(runtime, pod, connections)
        )  # fmt: skip
        self._recovery = Recovery(runtime, connections)
        self._turns: dict[int, int] = {}
        """Of each partition that is ours: how many times it has come."""
        self._recovering: set[int] = set()
        self._busy = False
        self._behind = False
        self._committed = 0.0
        self._offered = False
        """Whether the commit that is under way has anything to write; the first of a stay only makes ready."""
        self._read = time.monotonic()
        """When anything was read last."""
        self._idle = 0.0
        """Seconds in which a commit was waited for, though more could have been read."""
        self._skipped = 0
        """Messages, since it was last asked, that were gone before they were read."""
        self.lost = False
        """Whether the stay is over."""
        self.begun = False
        """Whether it has asked to join."""
        self._alerts_topic = runtime.alerts_topic
        self._on_their_way = self._sent = 0
        self._undeliverable: Counter[UndeliverableReason] = Counter()
        """As of the last time it was asked."""

    def join(self) -> None:
        """Joins the group. What is needed for it has been connecting since this was made."""
        self.begun = True
        self._reader.join()

    @property
    def joined(self) -> bool:
        """Whether the group has said which partitions are ours, be it none."""
        return self._reader.joined

    @property
    def partitions(self) -> int:
        """Partitions that are ours."""
        return self._reader.partitions

    @property
    def recovering(self) -> int:
        """Of them, those that do not decide yet."""
        return len(self._recovering) + self._tasks.replaying

    @property
    def silent(self) -> float:
        """Seconds for which nothing has been read."""
        return time.monotonic() - self._read

    @property
    def seeking(self) -> float:
        """Seconds for which nothing has come of what is asked to find out where partitions begin; 0 when nothing is."""
        return self._recovery.silent

    @property
    def replaced(self) -> bool:
        """Whether it ended because another pod goes by our name: two that insist on it would fence each other for ever."""
        return self._delivery.replaced or self._reader.replaced

    @property
    def waited(self) -> float:
        """Seconds in which there was nothing to do."""
        return self._reader.waited + self._idle

    def lags(self, ends: Mapping[int, int]) -> dict[int, int | None]:
        """By partition of ours, messages that were not read yet, `ends` being what the broker says; None: it does not decide."""
        lags = self._reader.lags(ends)
        return lags | dict.fromkeys(self._recovering & lags.keys())

    def behind(self, lags: Mapping[int, int | None], now: float) -> dict[int, Lag]:
        """Returns the last result of `lags` and its age; `now` in Unix seconds."""
        return self._reader.behind(lags, now)

    def sent(self) -> int:
        """Alerts that have been written since it was last asked."""
        sent, self._sent = self._sent, 0
        return sent

    def skipped(self) -> int:
        """Messages since it was last asked that were gone before they were read."""
        skipped, self._skipped = self._skipped, 0
        return skipped

    def undeliverable(self) -> Counter[UndeliverableReason]:
        """Dead letters since it was last asked that their topic took in no form."""
        now = Counter(self._delivery.undeliverable)
        new, self._undeliverable = now - self._undeliverable, now
        return new

    def step(self) -> list[Decided]:
        """Once around: takes over what was recovered, commits what is due, decides what is there; what has been decided."""
        self._take_over()
        if self._due() and not self._commit():
            return self._tasks.settle()
        if self._registry.waiting:
            self._reader.hold(_WAIT_SECONDS)
            return self._tasks.settle()
        most = min(self._most_messages, self._tasks.most_messages)
        read = self._reader.read(most, self._patience())
        self._behind = read is not None and len(read) >= most // 2
        self.lost = self.lost or self._reader.ended
        if read is None or self.lost:
            return self._tasks.settle()
        if not self._registry.ready(read.messages.values):  # they are read again once their schemas are known
            self._reader.rewind(read)
            return self._tasks.settle()
        self._read = time.monotonic()
        return self._tasks.process(read, self._read, more=self._behind)

    def end(self, *, for_good: bool) -> list[Decided]:
        """Commits what there is to commit, and leaves the group; who will be back under the same name keeps its place in it.

        What has been decided.
        """
        begin = time.monotonic()
        self._recovery.stop()
        (self._reader.leave if for_good else self._reader.close)()  # gives all partitions up, and commits before
        self._tasks.give_up(list(self._turns))
        self._delivery.close()
        log.info("%s after %.1f s", "left the group" if for_good else "ended the stay", time.monotonic() - begin)
        return self._tasks.settle()

    def _due(self) -> bool:
        since = time.monotonic() - self._committed
        if self._busy or self._full:
            return True
        return since >= (self._interval if self._tasks.waiting else _LONGEST_SECONDS)

    @property
    def _interval(self) -> float:
        """Seconds between two commits: short when somebody waits for what is written."""
        if self._behind:
            return _BEHIND_SECONDS
        return self._delivery.interval if self._tasks.buffered else _QUIET_SECONDS

    @property
    def _full(self) -> bool:
        """Whether no more should wait for a commit."""
        return self._tasks.buffered >= _MOST_RECORDS or self._tasks.weight >= _MOST_BYTES

    def _patience(self) -> float:
        """How long to wait for a reading while others wait for their commit, or a partition to be found."""
        if self._tasks.under_way:
            return 0.0
        if self._recovering or self._busy or not self.joined:
            return _LOOK_SECONDS
        if not self._tasks.waiting:
            return _WAIT_SECONDS
        return max(0.0, min(_WAIT_SECONDS, self._committed + self._interval - time.monotonic()))

    @property
    def _leisure(self) -> float:
        """How long to wait for a commit before reading on meanwhile: what is read now is written after it anyway."""
        if self._behind or self._recovering or not self._offered or not self._delivery.interval:
            return _GLANCE_SECONDS
        return _LEISURE_SECONDS

    def _commit(self) -> bool:
        """Whether reading may go on: all that was decided has been written, or is on its way and has not been for long."""
        if not self._busy:
            self._offer()
        since = time.monotonic() - self._committed
        ahead = since < _AHEAD_SECONDS and not self._full
        begin, leisure = time.monotonic(), self._leisure
        progress = self._delivery.advance(leisure if ahead else _TRY_SECONDS)
        if ahead and leisure > _GLANCE_SECONDS:
            self._idle += time.monotonic() - begin
        self._note(progress)
        if progress is Progress.LOST:
            self.lost = True
        elif self._busy and since > _STUCK_SECONDS:
            log.warning("a commit has not come through for %.0f s: what is known is read again", _STUCK_SECONDS)
            self.lost = True
        elif self._busy and not ahead:
            self._reader.hold(0.0)
        return not self.lost and (ahead or not self._busy)

    def _offer(self, leaving: tuple[int, ...] = ()) -> None:
        self._committed = time.monotonic()
        micro_batches = self._tasks.drain(self._committed, leaving)
        self._offered = bool(micro_batches)
        if micro_batches:
            records = chain.from_iterable(portion.records for portion in micro_batches.values())
            self._on_their_way = sum(record.topic == self._alerts_topic for record in records)
            self._delivery.offer(micro_batches)

    def _note(self, progress: Progress) -> None:
        self._busy = progress is not Progress.DONE
        if not self._busy:
            self._sent += self._on_their_way
            self._on_their_way = 0

    def _arrived(self, partitions: list[int]) -> None:
        for partition in partitions:
            turn = self._turns[partition] = self._turns.get(partition, 0) + 1
            self._recovering.add(partition)
            self._recovery.ask(Wanted(partition, turn))

    def _take_over(self) -> None:
        """All that was found begins at once: what begins later may wait for readings of what has begun already."""
        begun: dict[int, int] = {}
        while not self._recovery.found.empty():
            wanted, found = self._recovery.found.get()
            partition = wanted.partition
            if partition in self._recovering and self._turns.get(partition) == wanted.turn:
                self._recovering.discard(partition)
                self._skipped += found.skipped
                begun[partition] = self._tasks.recover(partition, found, time.monotonic())
        if begun:
            self._reader.begin(begun)

    def _leaving(self, partitions: list[int], ours: bool) -> None:  # noqa: FBT001 - the caller is a callback
        if not ours:
            self.lost = True
        elif not self.lost and not self._settled(tuple(partitions)):
            log.warning("what was decided of partitions %s could not be written; whoever has them decides it again", partitions)
            self.lost = True
        self._tasks.give_up(partitions)
        self._recovering -= set(partitions)

    def _settled(self, leaving: tuple[int, ...]) -> bool:
        """Whether everything that was decided is written and committed, before partitions go."""
        if self._busy:
            self._note(self._delivery.advance(_SETTLE_SECONDS))
        if self._busy:
            return False
        self._offer(leaving)
        self._note(self._delivery.finish(_SETTLE_SECONDS))
        return not self._busy
