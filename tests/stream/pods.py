"""Orders for scoring pods, and topics to read and write: what every test of the service needs."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any
from uuid import uuid4

from confluent_kafka import Consumer, KafkaError, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from anomaly_api.alerting import AlertPolicy
from anomaly_api.assignment import Assignment, Identity, Revision, Runtime
from anomaly_api.calibration import ThresholdSource, WindowThreshold
from anomaly_api.policy import Fallback
from anomaly_api.schema import Empty
from anomaly_api.source import Entity, Feature, KafkaSource, Pipeline, StartFrom, Time, TimeFormat, Window
from dev.harness import scoring_pod
from dev.harness.scoring_pod import ScoringPod

FEATURES = ["temperature", "pressure"]
PIPELINE = Pipeline(
    entity=Entity(key=Empty()),
    time=Time(field="at", format=TimeFormat.UNIX_SECONDS),
    features=[Feature(name=name) for name in FEATURES],
    windows=[Window(name="short", size=4)],
)


def revision(pipeline: Pipeline = PIPELINE, model: str | None = None, threshold: float = 8.0, warmup: int = 12) -> Revision:
    source = ThresholdSource.VALUE if model else ThresholdSource.FALLBACK
    asked = {"value": threshold, "source": source, "asked": f"{threshold:g}"}
    thresholds = [WindowThreshold(window=window.name, **asked) for window in pipeline.windows]
    return Revision(
        model=model,
        model_name=None,
        pipeline=pipeline,
        thresholds=thresholds,
        fallback=Fallback(warmup=warmup),
        alerts=AlertPolicy(),
    )


def calm(at: int) -> list[float]:
    """Temperature and pressure at which nothing is unusual."""
    return [20.0 + at % 3 * 0.1, 3.0 + at % 2 * 0.1]


def broken(_: int) -> list[float]:
    """A pressure that no scorer takes for usual."""
    return [20.0, 90.0]


@dataclass
class Topics:
    """Topics of one test's own."""

    bootstrap: str
    name: str = field(default_factory=lambda: f"readings-{uuid4().hex[:8]}")

    @cached_property
    def producer(self) -> Producer:
        large = {"message.max.bytes": 8_000_000}  # the broker decides
        return Producer({"bootstrap.servers": self.bootstrap, "linger.ms": 1, "enable.idempotence": True, **large})

    @property
    def alerts(self) -> str:
        return f"{self.name}.alerts"

    @property
    def dead_letters(self) -> str:
        return f"{self.name}.dead-letters"

    def create(self, *names: str, partitions: int = 2, **config: str) -> None:
        admin = AdminClient({"bootstrap.servers": self.bootstrap})
        wanted = names or (self.name, self.alerts, self.dead_letters)
        asked = {name.replace("_", "."): value for name, value in config.items()}
        for future in admin.create_topics([NewTopic(name, partitions, 1, config=asked) for name in wanted]).values():
            future.result(30)

    def delete(self, name: str) -> None:
        admin = AdminClient({"bootstrap.servers": self.bootstrap})
        admin.delete_topics([name])[name].result(30)

    def send(self, value: bytes | None, key: bytes | None = b"pump-1", partition: int = 0, **more: Any) -> None:
        self.producer.produce(self.name, value=value, key=key, partition=partition, **more)

    def readings(self, times: range, values: Callable[[int], list[float]], key: bytes = b"pump-1") -> None:
        for at in times:
            reading = dict(zip(FEATURES, values(at), strict=True))
            self.send(json.dumps({"at": at, **reading}).encode(), key)
        self.producer.flush(30)

    def committed(self, group: str) -> int:
        """Readings of the first partition that the group will not be given again; negative: it has no position."""
        consumer = Consumer({"bootstrap.servers": self.bootstrap, "group.id": group, "enable.auto.commit": False})
        try:
            [place] = consumer.committed([TopicPartition(self.name, 0)], 30)
            return place.offset
        finally:
            consumer.close()

    def until_committed(self, group: str, offset: int) -> None:
        """What a pod has decided and not committed when it is killed is decided again."""
        deadline = time.monotonic() + 30
        while (found := self.committed(group)) != offset:
            assert time.monotonic() < deadline, f"{found} is committed, not {offset}"

    def received(self, topic: str, count: int, seconds: float = 30.0) -> list[Message]:
        """The first `count` records of a topic; fewer when they do not come in time."""
        consumer = Consumer({"bootstrap.servers": self.bootstrap, "group.id": uuid4().hex, "enable.auto.commit": False})
        try:
            partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
            consumer.assign([TopicPartition(topic, number, 0) for number in partitions])
            found: list[Message] = []
            deadline = time.monotonic() + seconds
            while len(found) < count and time.monotonic() < deadline:
                message = consumer.poll(0.2)
                if message is not None and message.error() is None:
                    found.append(message)
            return found
        finally:
            consumer.close()

    def everything(self, topic: str) -> list[Message]:
        """All committed records that a topic holds now."""
        settings = {"bootstrap.servers": self.bootstrap, "group.id": uuid4().hex, "enable.auto.commit": False}
        consumer = Consumer({**settings, "enable.partition.eof": True})
        try:
            left = set(consumer.list_topics(topic, timeout=10).topics[topic].partitions)
            consumer.assign([TopicPartition(topic, number, 0) for number in left])
            found: list[Message] = []
            deadline = time.monotonic() + 60
            while left:
                assert time.monotonic() < deadline, f"the end of partitions {left} of {topic} does not come"
                message = consumer.poll(0.2)
                if message is None:
                    continue
                if message.error() is None:
                    found.append(message)
                elif message.error().code() == KafkaError._PARTITION_EOF:
                    left.discard(message.partition())
            return found
        finally:
            consumer.close()


def runtime(topics: Topics, group: str = "") -> Runtime:
    kafka = KafkaSource(bootstrap_servers=topics.bootstrap, topic=topics.name, start_from=StartFrom.EARLIEST)
    return Runtime(
        detector=Identity(namespace="plant", name="pumps", uid="1"),
        kafka=kafka,
        group_id=group or f"group-{topics.name}",
        alerts_topic=topics.alerts,
        dead_letter_topic=topics.dead_letters,
        state_topic=f"{topics.name}.state",
    )


@contextmanager
def pod(folder: Path, order: Runtime, assignment: Assignment, **further: str) -> Iterator[ScoringPod]:
    """A scoring pod for as long as the context lives, with further environment variables."""
    with scoring_pod.running(ScoringPod(folder, further), order, assignment) as running:
        yield running
