"""Reading a topic by time range, without joining a group. It waits for a broker or a topic as long as it takes, and says so."""

import logging
import time
from collections.abc import Callable, Iterator
from typing import Final

import numpy as np
from confluent_kafka import OFFSET_END, Consumer, KafkaError, KafkaException, Message, TopicPartition

from anomaly_api.evidence import SourceState
from anomaly_api.source import KafkaSource
from anomaly_detector.training.failures import TrainingError
from anomaly_detector.training.messages import Messages

_BATCH: Final = 2000
_ANSWER: Final = 10.0
_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 15.0
_FATAL: Final = (KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.SASL_AUTHENTICATION_FAILED, KafkaError._AUTHENTICATION)
Report = Callable[[str, str], None]
"""Told a reason in CamelCase and a message for people; both empty when all is well again."""

log = logging.getLogger(__name__)


class Topic:
    """Messages of a topic from a moment on, up to its end and beyond."""

    def __init__(self, kafka: KafkaSource, since_ms: int, report: Report) -> None:
        self._kafka, self._since_ms, self._report = kafka, since_ms, report
        self.name = f"topic {kafka.topic}"
        try:
            self._consumer = Consumer(_settings(kafka), logger=log)
        except KafkaException as error:
            raise TrainingError(f"spec.source.kafka.properties: {_cause(error).str()}") from error
        self._starts: dict[int, int] = {}
        self._ends: dict[int, int] = {}
        self._reached: dict[int, int] = {}

    @property
    def share_read(self) -> float:
        total = sum(end - self._starts[partition] for partition, end in self._ends.items())
        done = sum(min(self._reached[partition], end) - self._starts[partition] for partition, end in self._ends.items())
        return min(1.0, done / total) if total > 0 else 1.0

    def read(self) -> Iterator[Messages | None]:
        self._locate()
        yield from self._stream(dict(self._starts))

    def again(self) -> Iterator[Messages]:
        ends = dict(self._reached)
        for messages in self._stream(dict(self._starts)):
            if messages is None:
                return
            yield messages
            if all(self._reached[partition] >= end for partition, end in ends.items()):
                return

    def close(self) -> None:
        """Lets go of the broker."""
        self._consumer.close()

    def _locate(self) -> None:
        """Waits for the topic; then finds where to begin and where it ends now."""
        pause = _PAUSE
        while True:
            try:
                partitions = self._partitions()
                wanted = [TopicPartition(self._kafka.topic, partition, self._since_ms) for partition in partitions]
                found = self._consumer.offsets_for_times(wanted, timeout=_ANSWER)
                for place in found:
                    low, high = self._consumer.get_watermark_offsets(place, timeout=_ANSWER)
                    self._starts[place.partition] = high if place.offset in (OFFSET_END, -1) else max(place.offset, low)
                    self._ends[place.partition] = high
                self._reached = dict(self._starts)
            except KafkaException as error:
                self._report(*_explain(_cause(error), self._kafka))
                time.sleep(pause)
                pause = min(pause * 1.5, _LONGEST_PAUSE)
            else:
                self._report("", "")
                return

    def _partitions(self) -> list[int]:
        """Partitions of the topic. Raises KafkaException when there is none."""
        found = self._consumer.list_topics(self._kafka.topic, timeout=_ANSWER).topics[self._kafka.topic]
        if found.error is not None:
            raise KafkaException(found.error)
        return sorted(found.partitions)

    def _stream(self, starts: dict[int, int]) -> Iterator[Messages | None]:
        """From `starts` on. None when every partition has been read to its end, again and again."""
        self._reached = dict(starts)
        self._consumer.assign([TopicPartition(self._kafka.topic, partition, offset) for partition, offset in starts.items()])
        unread = {partition for partition, end in self._ends.items() if starts[partition] < end}
        while True:
            good: list[Message] = []
            for message in self._consumer.consume(_BATCH, timeout=0.5):
                error = message.error()
                if error is None:
                    good.append(message)
                elif error.code() == KafkaError._PARTITION_EOF:
                    unread.discard(_partition(message))  # the end may be a transaction's marker, which is no message
                else:
                    self._report(*_explain(error, self._kafka))
            if good:
                self._report("", "")
                yield self._messages(good)
            unread = {partition for partition in unread if self._reached[partition] < self._ends[partition]}
            if not unread:
                yield None

    def _messages(self, good: list[Message]) -> Messages:
        for message in good:
            self._reached[_partition(message)] = (message.offset() or 0) + 1
        return Messages(
            values=[message.value() for message in good],
            keys=[_bytes(message.key()) for message in good],
            timestamps_ms=np.fromiter((message.timestamp()[1] for message in good), np.int64, len(good)),
            partitions=np.fromiter((_partition(message) for message in good), np.int64, len(good)),
        )


def _settings(kafka: KafkaSource) -> dict[str, str | int | bool]:
    return {
        "fetch.queue.backoff.ms": 1,  # the default of a second starves a fast reader
        "queued.max.messages.kbytes": 32_768,
        "reconnect.backoff.max.ms": 5000,
        **(kafka.properties or {}),
        "bootstrap.servers": kafka.bootstrap_servers,
        "group.id": "anomaly-operator.training",  # never joined: partitions are assigned, nothing is committed
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "enable.partition.eof": True,
        "auto.offset.reset": "earliest",
        "isolation.level": "read_committed",
        "allow.auto.create.topics": False,
    }


def _cause(error: KafkaException) -> KafkaError:
    cause = error.args[0]
    return cause if isinstance(cause, KafkaError) else KafkaError(KafkaError._FAIL, str(cause))


def _partition(message: Message) -> int:
    return int(message.partition() or 0)


def _bytes(key: str | bytes | None) -> bytes | None:
    return key.encode() if isinstance(key, str) else key


def _explain(error: KafkaError, kafka: KafkaSource) -> tuple[str, str]:
    """Reason and message for people."""
    if error.code() in (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC):
        said = f"topic {kafka.topic} does not exist at {kafka.bootstrap_servers}: create it or correct spec.source.kafka.topic"
        return SourceState.TOPIC_NOT_FOUND, said
    if error.code() in _FATAL:
        return SourceState.NOT_AUTHORIZED, f"{kafka.bootstrap_servers} refuses topic {kafka.topic}: {error.str()}"
    if error.code() in (KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN, KafkaError._TIMED_OUT, KafkaError._RESOLVE):
        said = f"no broker answers at {kafka.bootstrap_servers}: check spec.source.kafka.bootstrapServers and that it is up"
        return SourceState.BROKER_UNREACHABLE, said
    return SourceState.FAILED, f"{kafka.topic} at {kafka.bootstrap_servers}: {error.str()}"
