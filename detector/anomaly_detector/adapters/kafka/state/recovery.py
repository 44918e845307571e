"""Finds out, in a thread of its own, where partitions stand: the group's position, and all that the state topic says of them.

What it reads is complete: the position is stable (a transaction that holds one has ended), and the state topic is read beyond
all that had been written by then, committed or not.
"""

import logging
import queue
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from confluent_kafka import IsolationLevel, KafkaError, KafkaException, Message, TopicPartition
from confluent_kafka.admin import OffsetSpec
from msgspec import Struct

from anomaly_api.assignment import Runtime
from anomaly_api.source import StartFrom
from anomaly_detector.adapters.kafka.consume.source_topic import described
from anomaly_detector.adapters.kafka.produce.connections import Connections
from anomaly_detector.adapters.kafka.produce.hanging_transactions import HangingTransactions
from anomaly_detector.core.state.changelog import SourceIdentity
from anomaly_detector.core.state.recovery import Changelog, Recovered

log: Final = logging.getLogger(__name__)
_ASK_SECONDS: Final = 5.0
_OPEN_SECONDS: Final = 1.5
"""So long a transaction that is being committed may be in the way before it is taken for one that somebody has left open."""
_AGAIN_SECONDS: Final = 0.3
_INTRODUCTION_SECONDS: Final = 1.0
_SETTLE_SECONDS: Final = 5.0
_AT_ONCE: Final = 100
_WAIT_SECONDS: Final = 0.1
_ROUNDS: Final = 8
"""In which the state topic is read: all that it holds at once would be twice what is remembered."""
_FIRST: Final = 0
"""The partition that every topic has: it tells how many there were when the group began."""


class Wanted(Struct, frozen=True):
    """A partition that was assigned; `turn` tells this time from the times before."""

    partition: int
    turn: int


class Recovery:
    """Answers come in `found`, in any order."""

    def __init__(self, runtime: Runtime, connections: Connections) -> None:
        self._runtime = runtime
        self._latest = runtime.kafka.start_from is StartFrom.LATEST
        self._consumer, self._admin = connections.recovery, connections.looking
        self._asked: queue.SimpleQueue[Wanted | None] = queue.SimpleQueue()
        self.found: queue.SimpleQueue[tuple[Wanted, Recovered]] = queue.SimpleQueue()
        self._moved: float | None = None
        """When anything came last that was asked for; None: nothing is."""
        self._hanging = HangingTransactions(runtime, connections.pod)
        self._met = False
        """Whether the consumer has heard of the state topic."""
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="recovery", daemon=True)
        self._thread.start()

    def ask(self, wanted: Wanted) -> None:
        """Wants to know about a partition."""
        self._asked.put(wanted)

    @property
    def silent(self) -> float:
        """Seconds for which it has been asking and nothing has come; 0 when it asks for nothing."""
        moved = self._moved
        return 0.0 if moved is None else time.monotonic() - moved

    def stop(self) -> None:
        """Ends."""
        self._stopping = True
        self._asked.put(None)
        self._thread.join()
        self._consumer.close()

    def _run(self) -> None:
        self._introduce()
        while (first := self._asked.get()) is not None and not self._stopping:
            wanted = [first]
            while not self._asked.empty():
                more = self._asked.get()
                if more is not None:
                    wanted.append(more)
            self._moved = time.monotonic()
            self._until_found(wanted)
            self._moved = None

    def _introduce(self) -> None:
        """Finds the group's coordinator while the group is being joined. Of the state topic it holds nothing to wait for."""
        try:
            self._consumer.committed([TopicPartition(self._runtime.state_topic, _FIRST)], _INTRODUCTION_SECONDS)
        except KafkaException as failure:
            log.debug("the coordinator has not been found yet: %s", failure)

    def _until_found(self, wanted: list[Wanted]) -> None:
        said = False
        begin, count, patience = time.monotonic(), len(wanted), _OPEN_SECONDS
        while not self._stopping:
            try:
                for each, recovered in self._recover(wanted, patience):
                    self._moved = time.monotonic()
                    self.found.put((each, recovered))
                    wanted = [other for other in wanted if other is not each]
                log.info("%d partitions found after %.2f s", count, time.monotonic() - begin)
                return
            except (KafkaException, TimeoutError) as failure:
                if not said:
                    log.warning("where the group stands cannot be read; it is tried again: %s", failure)
                    said = True
                if not self._stopping:
                    self._hanging.end(each.partition for each in wanted)
                self._forget_layout()
                patience = _ASK_SECONDS
            except Exception:  # the outer loop of this thread: without it nothing is read
                log.exception("finding out where the group stands failed; it is tried again")
            time.sleep(_AGAIN_SECONDS)

    def _forget_layout(self) -> None:
        """A client knows a topic as it was when it met it, but for being told to look at it again: it may have got partitions."""
        for topic in (self._runtime.kafka.topic, self._runtime.state_topic):
            try:
                self._consumer.list_topics(topic, _ASK_SECONDS)
                self._admin.list_topics(topic, _ASK_SECONDS)
            except KafkaException as failure:
                log.info("topic %s cannot be looked at: %s", topic, failure)

    def _recover(self, wanted: list[Wanted], patience: float) -> Iterator[tuple[Wanted, Recovered]]:
        source = self._runtime.kafka.topic
        asked = [TopicPartition(source, each.partition) for each in wanted]
        committed = {}
        for answer in self._consumer.committed(asked, patience):
            if answer.error is not None:
                raise KafkaException(answer.error)
            committed[answer.partition] = answer.offset if answer.offset >= 0 else None

        topic = described(self._admin, source, _ASK_SECONDS)
        begun_in = SourceIdentity(topic=topic.identity, partitions=topic.partitions)
        newcomers = self._latest and None in committed.values()
        led = [each for each in wanted if each.partition not in topic.leaderless]
        ends = self._ends({each.partition for each in led} | ({_FIRST} if newcomers else set()))
        marks = self._marks({each.partition: committed[each.partition] for each in led})
        first = self._changelogs({_FIRST: ends[_FIRST]})[_FIRST].source if newcomers else None
        together = -(-len(led) // _ROUNDS) or 1
        for start in range(0, len(led), together):
            some = led[start : start + together]
            changelogs = self._changelogs({each.partition: ends[each.partition] for each in some})
            for each in some:
                position, (low, high) = committed[each.partition], marks[each.partition]
                added = first is not None and each.partition >= first.partitions
                journal = changelogs.pop(each.partition)
                yield each, journal.recover(position, low, high, latest=self._latest, source=begun_in, added=added)
        if len(led) < len(wanted):
            raise TimeoutError(f"partitions {sorted(each.partition for each in wanted if each not in led)} have no leader")

    def _marks(self, positions: Mapping[int, int | None]) -> dict[int, tuple[int, int]]:
        """First and next offsets of partitions of the source. After a restart a broker may seem to have less for a moment."""
        deadline = time.monotonic() + _SETTLE_SECONDS
        while True:
            low = self._offsets(self._runtime.kafka.topic, positions, OffsetSpec.earliest(), IsolationLevel.READ_COMMITTED)
            high = self._offsets(self._runtime.kafka.topic, positions, OffsetSpec.latest(), IsolationLevel.READ_COMMITTED)
            marks = {partition: (low[partition], high[partition]) for partition in positions}
            settled = all(position is None or position <= high[partition] for partition, position in positions.items())
            if settled or time.monotonic() > deadline or self._stopping:
                return marks
            time.sleep(_AGAIN_SECONDS)

    def _ends(self, partitions: set[int]) -> dict[int, int]:
        """Where these partitions of the state topic end, with what is not committed."""
        return self._offsets(self._runtime.state_topic, partitions, OffsetSpec.latest(), IsolationLevel.READ_UNCOMMITTED)

    def _offsets(self, topic: str, partitions: Iterable[int], which: OffsetSpec, isolation: IsolationLevel) -> dict[int, int]:
        """In one request for all: each answer that comes waits for the interpreter, which is busy with readings meanwhile."""
        asked = {TopicPartition(topic, partition): which for partition in sorted(partitions)}
        if not asked:
            return {}
        answers = self._admin.list_offsets(asked, isolation_level=isolation, request_timeout=_ASK_SECONDS)
        return {place.partition: _known(answer.result().offset) for place, answer in answers.items()}  # type: ignore[attr-defined]

    def _some(self) -> list[Message]:
        """Returns records as soon as any have arrived; one call for many would wait for all of them or its timeout."""
        first = self._consumer.poll(_WAIT_SECONDS)
        if first is None:
            return []
        self._moved = time.monotonic()
        return [first, *self._consumer.consume(_AT_ONCE - 1, 0)]

    def _changelogs(self, ends: dict[int, int]) -> dict[int, Changelog]:
        """Reads these partitions of the state topic to their ends."""
        topic = self._runtime.state_topic
        changelogs = {partition: Changelog() for partition in ends}
        left = {partition for partition, end in ends.items() if end > 0}
        looked = time.monotonic()
        if left:
            if not self._met:  # a client that is given a topic that it does not know yet looks for its leaders a second later
                self._consumer.list_topics(topic, _ASK_SECONDS)
                self._met = True
            self._consumer.assign([TopicPartition(topic, partition, 0) for partition in left])
        try:
            while left and not self._stopping:
                if time.monotonic() - max(looked, self._moved or looked) > _OPEN_SECONDS:
                    self._hanging.end(left)
                    looked = time.monotonic()
                for message in self._some():
                    error, number, offset = message.error(), message.partition(), message.offset()
                    assert number is not None and offset is not None, "it was fetched"  # noqa: PT018 - for mypy
                    if number not in ends:
                        continue  # it was on its way in the round before
                    if error is None:
                        changelogs[number].add(_bytes(message.key()), _bytes(message.value()))
                    elif error.code() != KafkaError._PARTITION_EOF:
                        raise KafkaException(error)
                    elif offset >= ends[number]:
                        left.discard(number)
        finally:
            self._consumer.unassign()
        return changelogs


def _known(offset: int) -> int:
    """An offset that the broker has said. Raises TimeoutError.

    A request for offsets that a breaking connection took along can come back without an error and without an answer (seen with
    librdkafka 2.16): taken for the end of a partition, it would make an empty one of it.
    """
    if offset < 0:
        raise TimeoutError(f"the broker's answer has got lost (offset {offset})")
    return offset


def _bytes(value: bytes | str | None) -> bytes | None:
    return value.encode() if isinstance(value, str) else value
