"""Reads the source topic in batches of columns, each partition from where somebody says that it begins."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import Any, Final

import numpy as np
from confluent_kafka import TIMESTAMP_NOT_AVAILABLE, KafkaError, Message

from anomaly_api.assignment import Runtime
from anomaly_detector.adapters.kafka.consume.member import Member
from anomaly_detector.adapters.kafka.produce.connections import Connections
from anomaly_detector.core.columns import Header, Headers, Int64, Mask, Messages, Numbers, numbers_in, whole_numbers
from anomaly_detector.core.health.lag import Lag, LagTracker, Sight
from anomaly_detector.core.state.records import Read, wanted

log: Final = logging.getLogger(__name__)
_NO_TIMESTAMP: Final = -1
_BEYOND: Final = (KafkaError.OFFSET_OUT_OF_RANGE, KafkaError._AUTO_OFFSET_RESET)


class _Column:
    """A number of each message, read when it is asked for: all of them take as long as their keys, and hardly any is wanted.

    Of offsets where a batch begins and ends; of times, where the reading itself has one, as most do, now and then a single one.
    """

    def __init__(
        self, messages: Sequence[Message], one: Callable[[Message], int | None], every: Callable[[Sequence[Message]], Int64]
    ) -> None:
        self._messages = messages
        self._one, self._every = one, every
        self._found: Int64 | None = None

    def __getitem__(self, rows: Any, /) -> Any:
        if self._found is None:
            if isinstance(rows, int):
                return self._one(self._messages[rows])
            self._found = self._every(self._messages)
        return self._found[rows]


def _time(message: Message) -> int:
    kind, stamp = message.timestamp()
    return _NO_TIMESTAMP if kind == TIMESTAMP_NOT_AVAILABLE else stamp


def _times(messages: Sequence[Message]) -> Int64:
    count = len(messages)
    stamps = whole_numbers(chain.from_iterable(map(Message.timestamp, messages)), 2 * count).reshape(-1, 2)
    return np.where(stamps[:, 0] == TIMESTAMP_NOT_AVAILABLE, _NO_TIMESTAMP, stamps[:, 1])


def _offsets(messages: Sequence[Message]) -> Int64:
    return whole_numbers(map(Message.offset, messages), len(messages))


def _headers_of(messages: Sequence[Message]) -> Headers:
    """Headers of messages; none of one whose headers have names that are no text, which the client cannot hand over."""

    def headers(row: int) -> Sequence[Header]:
        try:
            return messages[row].headers() or ()
        except UnicodeDecodeError:
            return ()

    return headers


class Reader:
    """Reads batches of columns through a group member. An instance belongs to one thread."""

    def __init__(
        self,
        runtime: Runtime,
        connections: Connections,
        arrived: Callable[[list[int]], None],
        leaving: Callable[[list[int], bool], None],
    ) -> None:
        """`arrived` is told which partitions are ours, `leaving` which are no more, and whether they are still ours to commit."""
        self._member = Member(runtime, connections.member, arrived, self._gone)
        self._on_error = connections.on_error
        self._arrived = arrived
        self._leaving = leaving
        self._next: dict[int, int] = {}
        """Of the partitions that have begun."""
        self._stamps: dict[int, int] = {}
        """Of the last message of each, in Unix milliseconds."""
        self._backlog = LagTracker()
        self._held = False
        self.ended = self.replaced = False
        """Whether the client can do nothing any more; and whether that is because another one goes by its name."""
        self.join, self.close, self.leave = self._member.join, self._member.close, self._member.leave

    @property
    def partitions(self) -> int:
        """Partitions that are ours."""
        return len(self._member.owned)

    @property
    def joined(self) -> bool:
        """Whether the group has said which partitions are ours, be it none."""
        return self._member.joined

    @property
    def waited(self) -> float:
        """Seconds in which there was nothing to read."""
        return self._member.waited

    def begin(self, offsets: Mapping[int, int]) -> None:
        """Reads partitions from here on, those that are ours still."""
        begun = self._member.begin(offsets)
        self._next |= {partition: offsets[partition] for partition in begun}
        if begun and self._held:
            self._member.pause(begun)

    def read(self, most: int, seconds: float) -> Read | None:
        """Returns the messages that have arrived; if there are none, waits up to so many seconds for the first."""
        if self._held:
            self._member.resume(self._next)
            self._held = False
        found = self._member.read(most, seconds)
        return self._columns(found) if found else None

    def rewind(self, read: Read) -> None:
        """Reads these messages again, those of partitions that are still ours."""
        partitions = read.messages.partitions
        firsts = {each: int(read.offsets[int(np.flatnonzero(partitions == each)[0])]) for each in numbers_in(partitions)}
        self.begin({partition: offset for partition, offset in firsts.items() if partition in self._next})

    def hold(self, seconds: float) -> None:
        """Stays in the group without reading: what was read cannot be written yet."""
        if not self._held:
            self._member.pause(self._next)
            self._held = True
        found = self._member.one(seconds)
        if found is not None:  # it was on its way
            self._back(found)

    def lags(self, ends: Mapping[int, int]) -> dict[int, int | None]:
        """By partition of ours, messages that were not read yet; None: it has not begun.

        `ends` is what the broker says, if it was asked: what was fetched says nothing of a partition that cannot be fetched.
        """
        positions = self._member.positions(self._next)
        lags: dict[int, int | None] = dict.fromkeys(self._member.owned)
        for partition, begun in self._next.items():
            high = self._member.end(partition)
            position = max(begun, positions[partition])  # markers of transactions are behind it, too
            lags[partition] = max(0, max(high, ends.get(partition, high)) - position)
        return lags

    def behind(self, lags: Mapping[int, int | None], now: float) -> dict[int, Lag]:
        """By partition that has begun, what `lags` said of it and how old that is; `now` in Unix seconds."""
        found = {}
        for partition, lag in lags.items():
            if lag is not None and partition in self._next:
                position, stamp = self._next[partition], self._stamps.get(partition)
                sight = Sight(position, position + lag, None if stamp is None else stamp / 1000)
                found[partition] = self._backlog.look(partition, sight, now)
        return found

    def _back(self, message: Message) -> None:
        """Reads a partition again from a message on that nobody wanted yet."""
        partition, offset, error = message.partition(), message.offset(), message.error()
        if error is not None:
            self._failed(message, error)
        elif partition in self._next and offset is not None and offset >= self._next[partition]:
            self.begin({partition: self._next[partition]})

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
        partitions = whole_numbers(map(Message.partition, good), count)
        offsets, times = _Column(good, Message.offset, _offsets), _Column(good, _time, _times)
        keep = self._wanted(good, partitions, offsets)
        values, keys = list(map(Message.value, good)), list(map(Message.key, good))
        messages = Messages(values, keys, times, partitions, _headers_of(good), int(time.time() * 1000))
        read = Read(messages, offsets).select(keep)
        return read if len(read) else None

    def _wanted(self, found: Sequence[Message], partitions: Int64, offsets: Numbers) -> Mask:
        """[n] Whether each message is next in a partition that has begun; others were on their way when it began elsewhere."""
        keep = np.ones(len(partitions), bool)
        for partition in numbers_in(partitions):
            mine = np.flatnonzero(partitions == partition)
            begin = self._next.get(partition)
            fresh = mine[:0] if begin is None else wanted(mine, offsets, begin)
            if len(fresh) < len(mine):
                keep[mine] = False
                keep[fresh] = True
            if len(fresh):
                last = int(fresh[-1])
                self._next[partition] = int(offsets[last]) + 1
                stamp = _time(found[last])
                if stamp != _NO_TIMESTAMP:
                    self._stamps[partition] = stamp
        return keep

    def _failed(self, message: Message, error: KafkaError) -> None:
        """An error in place of a message. Offsets that are not there any more: where to begin is found out anew."""
        partition = message.partition()
        if error.code() in _BEYOND and partition in self._next:
            log.warning("partition %d: %s; where to begin is found out anew", partition, error.str())
            self._member.pause([partition])
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

    def _gone(self, partitions: list[int], ours: bool) -> None:  # noqa: FBT001 - the caller is a callback
        self._leaving(partitions, ours)
        for partition in partitions:
            self._next.pop(partition, None)
            self._stamps.pop(partition, None)
            self._backlog.forget(partition)
