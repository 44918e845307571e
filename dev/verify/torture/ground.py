"""Where schedules are played: a broker that may be killed, and links to it that may fail. One at a time uses it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from anomaly_api.source import GroupProtocol
from anomaly_detector.adapters.kafka.clients import error_of
from anomaly_detector.adapters.kafka.diagnose.admin import AdminQueries
from dev.environment.kafka import broker, network
from dev.environment.kafka.broker import OFFSETS_PARTITIONS, Broker
from dev.environment.kafka.network import Link
from dev.progress import Tell, silent
from dev.verify.torture.schedule import MOST_MEMBERS

OVERRIDES = {
    "group.min.session.timeout.ms": "500",  # a zombie within seconds
    "group.consumer.min.session.timeout.ms": "1500",
    "group.consumer.session.timeout.ms": "1500",
    "group.consumer.min.heartbeat.interval.ms": "300",
    "group.consumer.heartbeat.interval.ms": "300",
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "500",
}

_LOOK_SECONDS: Final = 0.2
_UNREADABLE: Final = "CoordinatorLoaderImpl: Replaying record"
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

    def sound(self, topic: str, group: str, protocol: GroupProtocol, seconds: float = 20.0) -> bool:
        """Whether the broker still does what every member of a group needs: let go of who is dead, take offsets, and a member.
        Nobody may be in the group any more.

        A coordinator that was killed on a busy machine can find itself "out of sync with the underlying log" when it starts; it
        takes no write any more, and may never be able to read its log again. Or it keeps one group in a state that it does not
        understand itself, with a member twice, and whoever joins is told "Unknown broker error". (Kafka 4.1.0, five times in
        1,300 schedules.) Or it cannot make sense of what it had written of a group, and says that there are no positions: then
        pods read all of it again, as they are meant to. (4.1.2, once in 500, with the consumer protocol.) Or it never ends the
        session of somebody who has left, and keeps his partitions for him. (4.1.2, once in 500, with the consumer protocol.)
        """
        deadline = time.monotonic() + seconds
        remembered = not forgotten(self.broker.log.read_text(errors="replace"), group)
        return (
            remembered
            and self._lets_go(group, deadline)
            and self._takes_offsets(topic, group, deadline)
            and self._takes_members(topic, group, protocol, deadline)
        )

    def _lets_go(self, group: str, deadline: float) -> bool:
        """Whether the sessions of those who are dead end."""
        asker = AdminQueries({"bootstrap.servers": self.broker.bootstrap, "log_level": 0})
        while (left := deadline - time.monotonic()) > 0:
            try:
                if not asker.group(group, left).members:
                    return True
            except KafkaException as failure:
                if error_of(failure).code() == KafkaError.GROUP_ID_NOT_FOUND:
                    return True
            time.sleep(_LOOK_SECONDS)
        return False

    def _takes_offsets(self, topic: str, group: str, deadline: float) -> bool:
        """Of a group with the same coordinator: one that has members takes nothing from others anyway."""
        told: list[KafkaError | None] = []
        consumer = self._bare(_beside(group), on_commit=lambda error, _: told.append(error))
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
            _let_go(consumer)

    def _takes_members(self, topic: str, group: str, protocol: GroupProtocol, deadline: float) -> bool:
        """Whether who joins the group is not told that there is no hope; those who have died may be waited for meanwhile."""
        consumer = self._bare(group, **{"group.protocol": protocol.value.lower()})
        try:
            consumer.subscribe([topic])
            while time.monotonic() < deadline and not consumer.assignment():
                told = consumer.poll(0.1)
                error = told.error() if told is not None else None
                if error is not None and error.code() == KafkaError._FATAL:
                    return False
            return True
        finally:
            _let_go(consumer)

    def _bare(self, group: str, **more: Any) -> Consumer:
        settings = {"bootstrap.servers": self.broker.bootstrap, "group.id": group, "enable.auto.commit": False, "log_level": 0}
        return Consumer({**settings, "socket.timeout.ms": 5_000, **more})


def forgotten(log: str, group: str) -> bool:
    """Whether a broker's log says that it could not read what it had written of a group."""
    return any(_UNREADABLE in line and f"'{group}'" in line for line in log.splitlines())


@contextmanager
def ground(name: str, tell: Tell = silent) -> Iterator[Ground]:
    """For as long as the context and this process live."""
    doors = network.listeners(MOST_MEMBERS)
    with broker.running(name, tell, OVERRIDES, doors) as running, network.links(doors) as links:
        yield Ground(running, links)


def _let_go(consumer: Consumer) -> None:
    """Drops a client without closing it: closing would wait for answers."""
    threading.Thread(target=consumer.close, daemon=True).start()


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
