"""A process of its own: what Kafka alone takes from a reading to an alert. It sends some messages on and does nothing else.

`python -m dev.verify.bench.relay <bootstrap> <topic> <delivery>` runs until it is ended, and says so on its output when it reads.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import msgspec
from confluent_kafka import Consumer, Message, Producer, TopicPartition

from anomaly_api.policy import Delivery
from dev.environment.supervision.leash import LEASHED
from dev.verify.bench.readings import PARTITIONS

_EVERY: Final = 250
"""80 a second of 20,000: as many as the scoring pod writes."""
_AT_ONCE: Final = 2_000
_WAIT_SECONDS: Final = 0.1
_COMMIT_SECONDS: Final = 0.01
"""As the scoring pod has it."""


class _Reading(msgspec.Struct):
    timestamp: float


def moment(value: bytes) -> float:
    """Unix seconds of a reading."""
    return msgspec.json.decode(value, type=_Reading).timestamp


@contextmanager
def running(bootstrap: str, topic: str, delivery: Delivery) -> Iterator[None]:
    """Runs a relay for as long as the context lives."""
    command = [*LEASHED, sys.executable, "-m", "dev.verify.bench.relay", bootstrap, topic, delivery.value]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None, "it is a pipe"
        try:
            if not process.stdout.readline():
                raise RuntimeError(f"the relay ended with {process.wait()}")
            yield
        finally:
            process.kill()


class _AtOnce:
    """Sends without asking whether it has arrived."""

    def __init__(self, settings: dict[str, str | int]) -> None:
        self._producer = Producer(settings)

    def send(self, messages: list[Message]) -> None:
        for message in messages:
            self._producer.produce("alerts", message.value(), message.key())
        self._producer.poll(0)


class _InTransactions:
    """Sends what there is together with the position, and waits for it."""

    def __init__(self, settings: dict[str, str | int], consumer: Consumer, topic: str) -> None:
        self._producer = Producer({**settings, "transactional.id": topic, "retry.backoff.ms": 5, "retry.backoff.max.ms": 20})
        self._producer.init_transactions(30)
        self._consumer, self._topic = consumer, topic
        self._waiting: list[Message] = []
        self._since = 0.0

    def send(self, messages: list[Message]) -> None:
        self._waiting += messages
        if not self._waiting or time.monotonic() - self._since < _COMMIT_SECONDS:
            return
        self._since = time.monotonic()
        self._producer.begin_transaction()
        for message in self._waiting:
            self._producer.produce("alerts", message.value(), message.key())
        places = self._consumer.position([TopicPartition(self._topic, partition) for partition in range(PARTITIONS)])
        self._producer.send_offsets_to_transaction(
            [place for place in places if place.offset >= 0], self._consumer.consumer_group_metadata(), 30
        )
        self._producer.commit_transaction(30)
        self._waiting = []


def main(bootstrap: str, topic: str, delivery: str) -> None:
    """Until it is ended."""
    settings: dict[str, str | int] = {"bootstrap.servers": bootstrap, "linger.ms": 1, "delivery.report.only.error": True}
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": f"relay-{topic}", "fetch.queue.backoff.ms": 1})
    consumer.assign([TopicPartition(topic, partition, 0) for partition in range(PARTITIONS)])
    exactly_once = Delivery(delivery) is Delivery.EXACTLY_ONCE
    way = _InTransactions(settings, consumer, topic) if exactly_once else _AtOnce(settings)
    print("reading", flush=True)
    count = 0
    while True:
        found = consumer.consume(_AT_ONCE, 0)
        if not found:
            first = consumer.poll(_COMMIT_SECONDS if exactly_once else _WAIT_SECONDS)
            found = [first, *consumer.consume(_AT_ONCE, 0)] if first is not None else []
        way.send([message for place, message in enumerate(found, count) if place % _EVERY == 0])
        count += len(found)


if __name__ == "__main__":
    main(*sys.argv[1:])
