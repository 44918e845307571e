"""Reads the source topic as a member of its consumer group, in batches of columns. It commits what it is told to."""

import logging
import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final

import numpy as np
from confluent_kafka import TIMESTAMP_NOT_AVAILABLE, Consumer, KafkaError, KafkaException, Message, TopicPartition

from anomaly_api.assignment import Runtime
from anomaly_api.source import StartFrom
from anomaly_detector.adapters.kafka import clients
from anomaly_detector.core.columns import Int64
from anomaly_detector.core.stream import Messages

log: Final = logging.getLogger(__name__)
_NO_TIMESTAMP: Final = -1
_ASK_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Read:
    """A batch, and where its messages stood."""

    messages: Messages
    offsets: Int64
    """[n]"""


def _whole_numbers(numbers: Iterable[int | None], count: int) -> Int64:
    """[count]"""
    return np.frombuffer(struct.pack(f"{count}q", *numbers), np.int64)  # half the time of np.fromiter


class _Times:
    """Times of messages. Where the reading itself has the time, as most do, nobody ever asks."""

    def __init__(self, messages: Sequence[Message]) -> None:
        self._messages = messages
        self._found: Int64 | None = None

    def __getitem__(self, rows: Any, /) -> Any:
        if self._found is None:
            count = len(self._messages)
            stamps = _whole_numbers(chain.from_iterable(map(Message.timestamp, self._messages)), 2 * count).reshape(-1, 2)
            self._found = np.where(stamps[:, 0] == TIMESTAMP_NOT_AVAILABLE, _NO_TIMESTAMP, stamps[:, 1])
        return self._found[rows]


class Reader:
    """The consumer. All calls belong to one thread."""

    def __init__(
        self,
        runtime: Runtime,
        pod: str,
        on_error: Callable[[KafkaError], None],
        settle: Callable[[], bool],
        forget: Callable[[int], None],
    ) -> None:
        """`settle` says whether all that was decided has been written, `forget` drops a partition's state."""
        self._topic = runtime.kafka.topic
        callbacks = {"error_cb": on_error, "on_commit": self._on_commit}
        self._consumer = Consumer(clients.consumer(runtime, pod) | callbacks)
        self._on_error = on_error
        self._settle = settle
        self._latest = runtime.kafka.start_from is StartFrom.LATEST
        self._forget = forget
        self._next: dict[int, int] = {}
        self._committed: dict[int, int] = {}
        self._owned: set[int] = set()
        self._left: dict[int, int] = {}
        """How far partitions were read that were lost: if nobody reads on meanwhile, their state is still good."""
        self.joined = False
        """Whether the group has said which partitions are ours, be it none."""

    @property
    def partitions(self) -> int:
        """Partitions that are ours."""
        return len(self._owned)

    def join(self) -> None:
        """Joins the group."""
        self._consumer.subscribe([self._topic], on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._lost)

    def read(self, most: int, seconds: float) -> Read | None:
        """What is there, at once; if nothing is, it waits for a first message up to so many seconds."""
        found = self._consumer.consume(most, 0)
        if not found:
            first = self._consumer.poll(seconds)
            if first is None:
                return None
            found = [first, *self._consumer.consume(most - 1, 0)] if most > 1 else [first]
        return self._columns(found)

    def unfinished(self) -> bool:
        """Whether there is something to commit."""
        return any(self._committed.get(partition) != offset for partition, offset in self._next.items())

    def commit(self, *, wait: bool) -> None:
        """Commits up to what has been read; the caller has written what follows from it."""
        offsets = [
            TopicPartition(self._topic, partition, offset)
            for partition, offset in self._next.items()
            if self._committed.get(partition) != offset
        ]
        if not offsets:
            return
        try:
            if wait:
                self._consumer.commit(offsets=offsets, asynchronous=False)
            else:
                self._consumer.commit(offsets=offsets, asynchronous=True)
        except KafkaException as error:  # they are read again later: at least once
            log.warning("offsets could not be committed: %s", error)
            return
        self._committed |= {each.partition: each.offset for each in offsets}

    def lag(self) -> int:
        """Messages of our partitions that were not read yet, as far as known without asking the broker."""
        total = 0
        for partition in self._owned:
            _, high = self._consumer.get_watermark_offsets(TopicPartition(self._topic, partition), cached=True)
            if partition in self._next and high >= 0:
                total += max(0, high - self._next[partition])
        return total

    def close(self) -> None:
        """Leaves the group."""
        self._consumer.close()

    def _columns(self, found: Sequence[Message]) -> Read | None:
        good = found
        if any(map(Message.error, found)):
            for error in filter(None, map(Message.error, found)):
                self._on_error(error)
            good = [message for message in found if message.error() is None]
        if not self._owned.issuperset(map(Message.partition, good)):  # some moved on while this batch was being fetched
            good = [message for message in good if message.partition() in self._owned]
        if not good:
            return None
        count = len(good)
        partitions = _whole_numbers(map(Message.partition, good), count)
        offsets = _whole_numbers(map(Message.offset, good), count)
        for partition in set(partitions.tolist()):
            self._next[partition] = int(offsets[partitions == partition].max()) + 1
        return Read(Messages(list(map(Message.value, good)), list(map(Message.key, good)), _Times(good), partitions), offsets)

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        try:
            starts = [self._start(consumer, each) for each in consumer.committed(partitions, _ASK_SECONDS)]
        except KafkaException as error:
            log.warning("where to begin is left to the client, as the broker does not say: %s", error)
            starts = partitions
        for stale in self._left:
            self._forget(stale)
        self._left.clear()
        consumer.incremental_assign(starts)
        self.joined = True
        self._owned |= {each.partition for each in partitions}
        log.info("partitions assigned: %s", sorted(each.partition for each in partitions) or "none")

    def _start(self, consumer: Consumer, committed: TopicPartition) -> TopicPartition:
        """Where a partition begins. The first position of a new group is committed like any other.

        So `Latest` means the end as it was when the partition was first seen, whatever restarts come before the first reading.
        """
        number, offset = committed.partition, committed.offset
        left = self._left.get(number)
        if left is not None and offset <= left:  # the group was out of reach, and nobody else has read further
            del self._left[number]
            offset = left
        elif offset >= 0:
            self._committed[number] = offset
        else:
            low, high = consumer.get_watermark_offsets(TopicPartition(self._topic, number), _ASK_SECONDS)
            offset = high if self._latest else low
        self._next[number] = offset
        return TopicPartition(self._topic, number, offset)

    def _revoked(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        if self._settle():
            self.commit(wait=True)
        self._drop(partitions)
        log.info("partitions given up: %s", sorted(each.partition for each in partitions))

    def _lost(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        for each in partitions:
            self._owned.discard(each.partition)
            self._committed.pop(each.partition, None)
            if each.partition in self._next:
                self._left[each.partition] = self._next.pop(each.partition)
        log.warning("partitions lost: %s; the group is out of reach", sorted(each.partition for each in partitions))

    def _on_commit(self, error: KafkaError | None, partitions: list[TopicPartition]) -> None:
        """What could not be committed is committed again with the next ones."""
        for each in partitions:
            if error is not None or each.error is not None:
                self._committed.pop(each.partition, None)

    def _drop(self, partitions: list[TopicPartition]) -> None:
        for each in partitions:
            self._owned.discard(each.partition)
            self._next.pop(each.partition, None)
            self._committed.pop(each.partition, None)
            self._forget(each.partition)
