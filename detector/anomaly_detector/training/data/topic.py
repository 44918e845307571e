"""Reading a topic by time range, without joining a group. It waits for a broker or a topic as long as it takes, and says so."""

import logging
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np
from confluent_kafka import OFFSET_END, Consumer, KafkaError, KafkaException, Message, TopicPartition

from anomaly_api.evidence import SourceState
from anomaly_api.source import KafkaSource
from anomaly_detector.adapters.kafka.clients import error_of
from anomaly_detector.adapters.kafka.diagnose import refusals
from anomaly_detector.adapters.kafka.security import access
from anomaly_detector.training.data.messages import Messages
from anomaly_detector.training.failures import TrainingError

_BATCH: Final = 2000
_ANSWER: Final = 10.0
_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 15.0
_LOOK_SECONDS: Final = 1.0
_SILENT_SECONDS: Final = 30.0
"""So long nothing may come of what is there before the client is given up: it can lose all brokers for good (`core.doubts`)."""
_QUIET_SECONDS: Final = 300.0
"""And so long, where nothing is known to be there."""
_GROUP: Final = "anomaly-operator.training"
"""Never joined: partitions are assigned, nothing is committed."""
Report = Callable[[str, str], None]
"""Told a reason in CamelCase and a message for people; both empty when all is well again."""

log = logging.getLogger(__name__)


class Topic:
    """Messages of a topic from a moment on, up to its end and beyond."""

    def __init__(self, kafka: KafkaSource, since_ms: int, report: Report) -> None:
        self._kafka, self._since_ms, self._report = kafka, since_ms, report
        self.name = f"topic {kafka.topic}"
        self._consumer: Consumer | None = None
        self._access = ""
        """Fingerprint of the credentials that the consumer has."""
        self._looked = self._heard = 0.0
        self._refusal: KafkaError | None = None
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
        if self._consumer is not None:
            self._consumer.close()

    def _give_up(self) -> None:
        """The client may be at fault: another one is made."""
        self.close()
        self._consumer = None

    def _connected(self) -> Consumer:
        """The consumer, made anew when the credentials have changed; it waits for those that are missing."""
        now = access.fingerprint(self._kafka)
        while self._consumer is None or now != self._access:
            try:
                fresh = Consumer(consumer_settings(self._kafka) | {"error_cb": self._note}, logger=log)
            except access.AccessError as error:
                self._report(error.state, str(error))
                time.sleep(_PAUSE)
            except KafkaException as error:
                raise TrainingError(f"spec.source.kafka: {error_of(error).str()}") from error
            else:
                self.close()
                self._consumer, self._access, self._refusal = fresh, now, None
            now = access.fingerprint(self._kafka)
        return self._consumer

    def _note(self, error: KafkaError) -> None:
        """Notes a client's asynchronous error, such as a refusal."""
        if refusals.refusing(error):
            self._refusal = error

    def _locate(self) -> None:
        """Waits for the topic; then finds where to begin and where it ends now."""
        pause = _PAUSE
        while True:
            consumer = self._connected()
            try:
                partitions = self._partitions(consumer)
                wanted = [TopicPartition(self._kafka.topic, partition, self._since_ms) for partition in partitions]
                found = consumer.offsets_for_times(wanted, timeout=_ANSWER)
                for place in found:
                    low, high = consumer.get_watermark_offsets(place, timeout=_ANSWER)
                    self._starts[place.partition] = high if place.offset in (OFFSET_END, -1) else max(place.offset, low)
                    self._ends[place.partition] = high
                self._reached = dict(self._starts)
            except KafkaException as error:
                consumer.poll(0)  # reports why, to `_note`
                reason, message = _explain(self._refusal or error_of(error), self._kafka)
                self._report(reason, message)
                if reason == SourceState.BROKER_UNREACHABLE:
                    self._give_up()
                self._rest(pause)
                pause = min(pause * 1.5, _LONGEST_PAUSE)
            else:
                self._refusal = None
                self._report("", "")
                return

    def _rest(self, seconds: float) -> None:
        """Less when the credentials change meanwhile."""
        until = time.monotonic() + seconds
        while time.monotonic() < until and access.fingerprint(self._kafka) == self._access:
            time.sleep(min(_LOOK_SECONDS, seconds))

    def _partitions(self, consumer: Consumer) -> list[int]:
        """Partitions of the topic. Raises KafkaException when there is none."""
        found = consumer.list_topics(self._kafka.topic, timeout=_ANSWER).topics[self._kafka.topic]
        if found.error is not None:
            raise KafkaException(found.error)
        return sorted(found.partitions)

    def _stream(self, starts: dict[int, int]) -> Iterator[Messages | None]:
        """From `starts` on. None when every partition has been read to its end, again and again."""
        self._reached = dict(starts)
        self._heard = time.monotonic()
        assigned: Consumer | None = None
        unread = {partition for partition, end in self._ends.items() if starts[partition] < end}
        while True:
            if assigned is None or time.monotonic() - self._looked > _LOOK_SECONDS:
                assigned = self._assigned(assigned, _SILENT_SECONDS if unread else _QUIET_SECONDS)
            good: list[Message] = []
            for message in assigned.consume(_BATCH, timeout=0.5):
                error = message.error()
                if error is None:
                    good.append(message)
                elif error.code() == KafkaError._PARTITION_EOF:
                    unread.discard(_partition(message))  # the end may be a transaction's marker, which is no message
                else:
                    self._report(*_explain(error, self._kafka))
            if self._refusal is not None and not good:
                self._report(*_explain(self._refusal, self._kafka))
            if good:
                self._heard = time.monotonic()
                self._refusal = None
                self._report("", "")
                yield self._messages(good)
            unread = {partition for partition in unread if self._reached[partition] < self._ends[partition]}
            if not unread:
                yield None

    def _assigned(self, before: Consumer | None, patience: float) -> Consumer:
        """The consumer with its partitions, at the places that were reached; `before` has them already.

        Another one, when nothing has come for longer than `patience`, in seconds.
        """
        self._looked = now = time.monotonic()
        if now - self._heard > patience:
            self._give_up()
            self._heard = now
        consumer = self._connected()
        if consumer is not before:
            places = [TopicPartition(self._kafka.topic, partition, offset) for partition, offset in self._reached.items()]
            consumer.assign(places)
        return consumer

    def _messages(self, good: list[Message]) -> Messages:
        for message in good:
            self._reached[_partition(message)] = (message.offset() or 0) + 1
        return Messages(
            values=[message.value() for message in good],
            keys=[_bytes(message.key()) for message in good],
            timestamps_ms=np.fromiter((message.timestamp()[1] for message in good), np.int64, len(good)),
            partitions=np.fromiter((_partition(message) for message in good), np.int64, len(good)),
        )


def consumer_settings(kafka: KafkaSource) -> dict[str, Any]:
    """Settings of librdkafka for a consumer that joins no group and reads what is committed."""
    return {
        "fetch.queue.backoff.ms": 1,  # the default of a second starves a fast reader
        "queued.max.messages.kbytes": 32_768,
        "reconnect.backoff.max.ms": 5000,
        "socket.timeout.ms": 20_000,  # 60 s by default: so long a connection whose other end has vanished would be waited for
        "log_level": 2,  # what goes wrong comes as errors
        **(kafka.properties or {}),
        **access.settings(kafka),
        "bootstrap.servers": kafka.bootstrap_servers,
        "group.id": _GROUP,
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "enable.partition.eof": True,
        "auto.offset.reset": "earliest",
        "isolation.level": "read_committed",
        "allow.auto.create.topics": False,
    }


def _partition(message: Message) -> int:
    return int(message.partition() or 0)


def _bytes(key: str | bytes | None) -> bytes | None:
    return key.encode() if isinstance(key, str) else key


def _explain(error: KafkaError, kafka: KafkaSource) -> tuple[str, str]:
    """Reason and message for people."""
    if error.code() in (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC):
        said = f"topic {kafka.topic} does not exist at {kafka.bootstrap_servers}: create it or correct spec.source.kafka.topic"
        return SourceState.TOPIC_NOT_FOUND, said
    if refusals.refusing(error):
        refusal = refusals.explained(kafka, error, kafka.topic, _GROUP)
        return refusal.state, refusal.message
    if error.code() in (KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN, KafkaError._TIMED_OUT, KafkaError._RESOLVE):
        said = f"no broker answers at {kafka.bootstrap_servers}: check spec.source.kafka.bootstrapServers and that it is up"
        suspicion = refusals.suspicion(kafka, error.str())
        said = f"{said} ({suspicion})" if suspicion else said
        return SourceState.BROKER_UNREACHABLE, said
    return SourceState.FAILED, f"{kafka.topic} at {kafka.bootstrap_servers}: {error.str()}"
