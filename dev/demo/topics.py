"""Topics of the demo, made anew for each run; and the alerts as they arrive."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from types import TracebackType

from confluent_kafka import Consumer, IsolationLevel, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec

from anomaly_api.alert import Alert, EpisodeEvent

_SECONDS = 30.0
_EPISODES = frozenset(EpisodeEvent)


def make_anew(bootstrap: str, topics: Iterable[str], partitions: int = 4) -> None:
    """Empty topics; what they held before is gone, and with it the state of detectors, which knows their offsets.

    TimeoutError when the broker does not do it in time.
    """
    admin = AdminClient({"bootstrap.servers": bootstrap})
    wanted = list(topics)
    there = admin.list_topics(timeout=_SECONDS).topics
    states = tuple(f"{topic}." for topic in wanted)
    old = [topic for topic in there if topic in wanted or (topic.startswith(states) and topic.endswith(".state"))]
    if old:
        for deleted in admin.delete_topics(old).values():
            deleted.result(_SECONDS)
    give_up = time.monotonic() + _SECONDS
    for topic in wanted:
        # A topic that is being deleted is still in the way for a moment.
        while not _made(admin, NewTopic(topic, num_partitions=partitions, replication_factor=1)):
            if time.monotonic() > give_up:
                raise TimeoutError(f"the broker at {bootstrap} did not delete topic {topic} within {_SECONDS:.0f} s")
            time.sleep(0.1)
    while not _led(bootstrap, wanted, partitions):
        if time.monotonic() > give_up:
            raise TimeoutError(f"the broker at {bootstrap} did not open its new topics within {_SECONDS:.0f} s")
        time.sleep(0.1)


def _led(bootstrap: str, wanted: list[str], partitions: int) -> bool:
    """Whether each partition takes readings; right after a topic was made, it may not yet."""
    latest: dict[TopicPartition, OffsetSpec] = {
        TopicPartition(topic, number): OffsetSpec.latest() for topic in wanted for number in range(partitions)
    }
    # A new client each time: one that once heard that a topic is not there believes it for half a minute.
    admin = AdminClient({"bootstrap.servers": bootstrap})
    told = admin.list_offsets(latest, isolation_level=IsolationLevel.READ_UNCOMMITTED).values()
    failures = [answer.exception(_SECONDS) for answer in told]  # each must have come before the client may go
    return not any(failures)


def _made(admin: AdminClient, topic: NewTopic) -> bool:
    try:
        admin.create_topics([topic])[topic.topic].result(_SECONDS)
    except KafkaException as refused:
        error = refused.args[0]
        if isinstance(error, KafkaError) and error.code() == KafkaError.TOPIC_ALREADY_EXISTS:
            return False
        raise
    return True


@dataclass(frozen=True)
class Arrival:
    """An alert and when it was there to be read (Unix seconds)."""

    alert: Alert
    at: float


class AlertReader:
    """Reads the alerts topic from its beginning, in a thread of its own, as any consumer of alerts would."""

    def __init__(self, bootstrap: str, topic: str) -> None:
        self._consumer = Consumer(
            {
                "bootstrap.servers": bootstrap,
                "group.id": f"demo-{topic}",
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
                "fetch.wait.max.ms": 50,
            }
        )
        partitions = self._consumer.list_topics(topic, timeout=_SECONDS).topics[topic].partitions
        self._consumer.assign([TopicPartition(topic, number, 0) for number in partitions])
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._read, name="alerts", daemon=True)
        self.arrivals: list[Arrival] = []
        """Grows at its end only."""

    def __enter__(self) -> AlertReader:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()
        self._consumer.close()

    def _read(self) -> None:
        while not self._stop.is_set():
            message = self._consumer.poll(0.2)
            if message is None or message.error():
                continue  # librdkafka says errors again and mends itself; an alert is never lost by waiting
            value = message.value()
            assert value is not None, "the alerts topic has no tombstones"
            found = json.loads(value)
            if found["type"] in _EPISODES:  # others say that some are missing
                self.arrivals.append(Arrival(Alert.model_validate(found), time.time()))
