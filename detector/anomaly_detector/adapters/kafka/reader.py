"""Reads the source topic as a member of its consumer group, in batches of columns. Where a partition begins is decided elsewhere.

A partition that is assigned stands still until somebody says where it begins. A static member that only closes keeps its place in
the group: whoever comes back under its name goes on at once. One that leaves for good has to say so.
"""

import logging
import struct
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from typing import Any, Final

import numpy as np
from confluent_kafka import TIMESTAMP_NOT_AVAILABLE, Consumer, KafkaError, KafkaException, Message, TopicPartition

from anomaly_api.assignment import Runtime
from anomaly_detector.adapters.kafka import clients
from anomaly_detector.adapters.kafka.clients import error_of
from anomaly_detector.adapters.kafka.connections import Connections
from anomaly_detector.core.backlog import Backlog, Behind, Sight
from anomaly_detector.core.columns import Header, Headers, Int64, Mask, Messages, numbers_in
from anomaly_detector.core.records import Read

log: Final = logging.getLogger(__name__)
_NO_TIMESTAMP: Final = -1
_LEAVE_SECONDS: Final = 3.0
_LOOK_SECONDS: Final = 0.05
_WAKE_SECONDS: Final = 0.05
_GROUP_METADATA: Final = b"CGMDv2:"
"""What the epoch follows in the group's metadata (librdkafka, rd_kafka_consumer_group_metadata_write)."""
_BEYOND: Final = (KafkaError.OFFSET_OUT_OF_RANGE, KafkaError._AUTO_OFFSET_RESET)


def _whole_numbers(numbers: Iterable[int | None], count: int) -> Int64:
    """[count]"""
    return np.frombuffer(struct.pack(f"{count}q", *numbers), np.int64)  # half the time of np.fromiter


class _Times:
    """Times of messages. Where the reading itself has the time, as most do, hardly anybody asks, and then for one."""

    def __init__(self, messages: Sequence[Message]) -> None:
        self._messages = messages
        self._found: Int64 | None = None

    def __getitem__(self, rows: Any, /) -> Any:
        if self._found is None:
            if isinstance(rows, int):
                kind, stamp = self._messages[rows].timestamp()
                return _NO_TIMESTAMP if kind == TIMESTAMP_NOT_AVAILABLE else stamp
            count = len(self._messages)
            stamps = _whole_numbers(chain.from_iterable(map(Message.timestamp, self._messages)), 2 * count).reshape(-1, 2)
            self._found = np.where(stamps[:, 0] == TIMESTAMP_NOT_AVAILABLE, _NO_TIMESTAMP, stamps[:, 1])
        return self._found[rows]


def _headers_of(messages: Sequence[Message]) -> Headers:
    """Headers of messages; none of one whose headers have names that are no text, which the client cannot hand over."""

    def headers(row: int) -> Sequence[Header]:
        try:
            return messages[row].headers() or ()
        except UnicodeDecodeError:
            return ()

    return headers


class Reader:
    """The consumer. It belongs to one thread."""

    def __init__(
        self,
        runtime: Runtime,
        connections: Connections,
        arrived: Callable[[list[int]], None],
        leaving: Callable[[list[int], bool], None],
    ) -> None:
        """`arrived` is told which partitions are ours, `leaving` which are no more, and whether they are still ours to commit."""
        self._topic = runtime.kafka.topic
        self._static = clients.static(runtime)
        self._consumer, self._on_error = connections.member, connections.on_error
        self._arrived = arrived
        self._leaving = leaving
        self._owned: set[int] = set()
        self._next: dict[int, int] = {}
        """Of the partitions that have begun."""
        self._early: list[Message] = []
        """What came while nobody asked for it."""
        self._stamps: dict[int, int] = {}
        """Of the last message of each, in Unix milliseconds."""
        self._backlog = Backlog()
        self._held = False
        self._asleep = False
        """Whether partitions were paused and go on since the brokers were last asked for anything."""
        self.waited = 0.0
        """Seconds in which there was nothing to read."""
        self.joined = False
        """Whether the group has said which partitions are ours, be it none."""
        self.ended = self.replaced = False
        """Whether the client can do nothing any more; and whether that is because another one goes by its name."""

    @property
    def partitions(self) -> int:
        """Partitions that are ours."""
        return len(self._owned)

    def join(self) -> None:
        """Joins the group."""
        self._consumer.subscribe([self._topic], on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._lost)

    def begin(self, partition: int, offset: int) -> None:
        """Reads a partition of ours from here on.

        What the client has to tell is heard first: a partition that is assigned while it waits to say that all of them are lost
        makes it forget that, and what another pod decides already would be committed as ours.
        """
        while (told := self._consumer.poll(0)) is not None:
            self._early.append(told)
            if told.error() is None:
                break  # while partitions are lost, there are no readings
        if partition not in self._owned:
            return
        place = TopicPartition(self._topic, partition, offset)
        self._consumer.incremental_unassign([place])
        self._consumer.incremental_assign([place])
        self._early = [each for each in self._early if each.partition() != partition]  # it comes again, in its place
        self._next[partition] = offset
        self._consumer.resume([place])
        self._asleep = True
        if self._held:
            self._consumer.pause([place])

    def read(self, most: int, seconds: float) -> Read | None:
        """What is there, at once; if nothing is, it waits for a first message up to so many seconds."""
        self._let_go()
        if self._asleep:
            self._wake()
        found, self._early = [*self._early, *self._consumer.consume(most, 0)], []
        if not found:
            begin = time.monotonic()
            first = self._consumer.poll(seconds)
            self.waited += time.monotonic() - begin
            if first is None:
                self.joined = self.joined or self._taken_in()
                return None
            found = [first, *self._consumer.consume(most - 1, 0)] if most > 1 else [first]
        return self._columns(found)

    def hold(self, seconds: float) -> None:
        """Stays in the group without reading: what was read cannot be written yet."""
        if not self._held:
            self._consumer.pause([TopicPartition(self._topic, partition) for partition in self._next])
            self._held = True
        found = self._consumer.poll(seconds)
        if found is not None:  # it was on its way
            self._back(found)

    def lags(self, ends: Mapping[int, int]) -> dict[int, int | None]:
        """By partition of ours, messages that were not read yet; None: it has not begun.

        `ends` is what the broker says, if it was asked: what was fetched says nothing of a partition that cannot be fetched.
        """
        begun = list(self._next)
        positions = {place.partition: place.offset for place in self._consumer.position([self._place(each) for each in begun])}
        lags: dict[int, int | None] = dict.fromkeys(sorted(self._owned))
        for partition in begun:
            _, high = self._consumer.get_watermark_offsets(self._place(partition), cached=True)
            position = max(self._next[partition], positions[partition])  # markers of transactions are behind it, too
            lags[partition] = max(0, max(high, ends.get(partition, high)) - position)
        return lags

    def behind(self, lags: Mapping[int, int | None], now: float) -> dict[int, Behind]:
        """By partition that has begun, what `lags` said of it and how old that is; `now` in Unix seconds."""
        found = {}
        for partition, lag in lags.items():
            if lag is not None and partition in self._next:
                position, stamp = self._next[partition], self._stamps.get(partition)
                sight = Sight(position, position + lag, None if stamp is None else stamp / 1000)
                found[partition] = self._backlog.look(partition, sight, now)
        return found

    def close(self) -> None:
        """Gives all partitions up. A static member's place in the group is kept until its session ends."""
        self._consumer.close()

    def leave(self) -> None:
        """Gives all partitions up, and its place in the group: others have them at once."""
        if self._static:
            try:
                self._say_goodbye()
            except KafkaException as failure:
                log.info("the group was not told: %s", error_of(failure).str())
        self._consumer.close()

    def _say_goodbye(self) -> None:
        self._consumer.unsubscribe()  # it waits for a rebalance that is under way
        deadline = time.monotonic() + _LEAVE_SECONDS
        while (self._owned or self._consumer.memberid()) and time.monotonic() < deadline:
            self._consumer.poll(_LOOK_SECONDS)  # what still comes is for those who read on

    def _taken_in(self) -> bool:
        """Whether we are in the group, with no partitions so far: of those, the consumer protocol tells nobody."""
        if self._static:
            return False
        told = self._consumer.consumer_group_metadata()
        return bool(told and told.startswith(_GROUP_METADATA) and struct.unpack_from("=i", told, len(_GROUP_METADATA))[0] > 0)

    def _place(self, partition: int) -> TopicPartition:
        return TopicPartition(self._topic, partition)

    def _let_go(self) -> None:
        if self._held:
            self._consumer.resume([TopicPartition(self._topic, partition) for partition in self._next])
            self._held, self._asleep = False, True

    def _wake(self) -> None:
        """Asks each leader of our partitions for something, so that the client's thread for it looks at them again.

        Every rebalance pauses and resumes all partitions, those that stay, too. A thread that found nothing to fetch meanwhile is
        not told that there is something again, and sleeps on for up to a second (librdkafka 2.16, rd_kafka_toppar_pause_resume).
        """
        self._asleep = False
        if not self._next:
            return
        try:
            known = self._consumer.list_topics(self._topic, _WAKE_SECONDS).topics[self._topic].partitions
            leaders = {known[number].leader: number for number in self._next if number in known}
            for number in leaders.values():
                self._consumer.get_watermark_offsets(self._place(number), _WAKE_SECONDS)
        except KafkaException as failure:
            log.debug("nobody was woken: %s", error_of(failure).str())

    def _back(self, message: Message) -> None:
        """Reads a partition again from a message on that nobody wanted yet."""
        partition, offset, error = message.partition(), message.offset(), message.error()
        if error is not None:
            self._failed(message, error)
        elif partition in self._next and offset is not None and offset >= self._next[partition]:
            self.begin(partition, self._next[partition])

    def _columns(self, found: Sequence[Message]) -> Read | None:
        good = found
        if any(map(Message.error, found)):
            for message in found:
                error = message.error()
                if error is not None:
                    self._failed(message, error)
            good = [message for message in found if message.error() is None]
        if not good:
            return None
        count = len(good)
        partitions = _whole_numbers(map(Message.partition, good), count)
        offsets = _whole_numbers(map(Message.offset, good), count)
        keep = self._wanted(good, partitions, offsets)
        messages = Messages(
            list(map(Message.value, good)), list(map(Message.key, good)), _Times(good), partitions, _headers_of(good)
        )
        read = Read(messages, offsets).select(keep)
        return read if len(read) else None

    def _wanted(self, found: Sequence[Message], partitions: Int64, offsets: Int64) -> Mask:
        """[n] Whether each message is next in a partition that has begun; others were on their way when it began elsewhere."""
        keep = np.ones(len(partitions), bool)
        for partition in numbers_in(partitions):
            mine = partitions == partition
            begin = self._next.get(partition)
            fresh = mine & (offsets >= begin) if begin is not None else np.zeros(len(mine), bool)
            keep &= ~mine | fresh
            if fresh.any():
                last = len(fresh) - 1 - int(fresh[::-1].argmax())
                self._next[partition] = int(offsets[last]) + 1
                kind, stamp = found[last].timestamp()
                if kind != TIMESTAMP_NOT_AVAILABLE:
                    self._stamps[partition] = stamp
        return keep

    def _failed(self, message: Message, error: KafkaError) -> None:
        """An error in place of a message. Offsets that are not there any more: where to begin is found out anew."""
        partition = message.partition()
        if error.code() in _BEYOND and partition in self._next:
            log.warning("partition %d: %s; where to begin is found out anew", partition, error.str())
            place = TopicPartition(self._topic, partition)
            self._consumer.pause([place])
            del self._next[partition]
            self._leaving([partition], True)
            self._arrived([partition])
        elif error.code() == KafkaError._FATAL:
            self.ended = True
            self.replaced = "group.instance.id" in error.str()  # the code behind it is not told
            if not self.replaced:
                self._on_error(error)
        else:
            self._on_error(error)

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        numbers = sorted(each.partition for each in partitions)
        places = [TopicPartition(self._topic, number, 0) for number in numbers]
        consumer.incremental_assign(places)
        if places:
            consumer.pause(places)
        self.joined = self._asleep = True
        self._owned |= set(numbers)
        log.info("partitions assigned: %s", numbers or "none")
        self._arrived(numbers)

    def _revoked(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        numbers = sorted(each.partition for each in partitions)
        self._leaving(numbers, True)
        self._drop(numbers)
        self._asleep = True
        log.info("partitions given up: %s", numbers)

    def _lost(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        numbers = sorted(each.partition for each in partitions)
        self._leaving(numbers, False)
        self._drop(numbers)
        log.warning("partitions lost: %s; whoever has them reads on from the last commit", numbers)

    def _drop(self, partitions: list[int]) -> None:
        for partition in partitions:
            self._owned.discard(partition)
            self._next.pop(partition, None)
            self._stamps.pop(partition, None)
            self._backlog.forget(partition)
