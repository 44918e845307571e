"""Where schedules are played: a broker that may be killed, and links to it that may fail. One at a time uses it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from confluent_kafka import Consumer, KafkaError, TopicPartition

from dev.kafka import broker, network
from dev.kafka.broker import OFFSETS_PARTITIONS, Broker
from dev.kafka.network import Link
from dev.progress import Tell, silent
from dev.torture.schedule import MOST_MEMBERS

OVERRIDES = {
    "group.min.session.timeout.ms": "500",  # a zombie within seconds
    "group.consumer.min.session.timeout.ms": "1500",
    "group.consumer.session.timeout.ms": "1500",
    "group.consumer.min.heartbeat.interval.ms": "300",
    "group.consumer.heartbeat.interval.ms": "300",
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "500",
}

_SILENT: Final = (
    KafkaError.NOT_COORDINATOR,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.REQUEST_TIMED_OUT,
    KafkaError._TIMED_OUT,
    KafkaError._WAIT_COORD,
    KafkaError._TRANSPORT,
)
"""What a coordinator answers that cannot do it now."""


@dataclass(frozen=True)
class Ground:
    """Pods reach the broker through the links; whoever looks on reaches it directly."""

    broker: Broker
    links: Sequence[Link]

    def sound(self, topic: str, group: str, seconds: float = 20.0) -> bool:
        """Whether the broker still does for a bare client what every member of a group needs: take an offset.

        A coordinator that was killed on a busy machine can find itself "out of sync with the underlying log" when it starts; it
        takes no write any more, and may never be able to read its log again (Kafka 4.1, three times in 1,000 schedules). A group
        with the same coordinator is asked, as one that has members takes nothing from others anyway.
        """
        told: list[KafkaError | None] = []
        settings = {"bootstrap.servers": self.broker.bootstrap, "group.id": _beside(group), "enable.auto.commit": False}
        hasty = {"log_level": 0, "socket.timeout.ms": 5_000, "on_commit": lambda error, _: told.append(error)}
        consumer = Consumer({**settings, **hasty})
        deadline = time.monotonic() + seconds
        try:
            while time.monotonic() < deadline:
                told.clear()
                consumer.commit(offsets=[TopicPartition(topic, 0, 0)], asynchronous=True)
                while not told and time.monotonic() < deadline:
                    consumer.poll(0.1)
                if told and (told[0] is None or told[0].code() not in _SILENT):
                    return True
            return False
        finally:
            threading.Thread(target=consumer.close, daemon=True).start()  # it would wait for answers


@contextmanager
def ground(name: str, tell: Tell = silent) -> Iterator[Ground]:
    """For as long as the context and this process live."""
    doors = network.listeners(MOST_MEMBERS)
    with broker.running(name, tell, OVERRIDES, doors) as running, network.links(doors) as links:
        yield Ground(running, links)


def _beside(group: str) -> str:
    """Another group, of the same partition of the offsets topic."""
    names = (f"{group}-beside-{number}" for number in range(1_000))
    return next(name for name in names if _place(name) == _place(group))


def _place(group: str) -> int:
    """The partition of the offsets topic that a broker keeps a group in: by Java's hash of its name, which is ASCII."""
    hashed = 0
    for letter in group:
        hashed = (31 * hashed + ord(letter)) & 0xFFFF_FFFF
    return abs(hashed - (hashed >> 31 << 32)) % OFFSETS_PARTITIONS
