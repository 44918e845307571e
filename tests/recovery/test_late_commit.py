"""A commit that a broker reads late: the client has asked again elsewhere meanwhile, and is in its next transaction."""

from __future__ import annotations

import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from uuid import uuid4

import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from anomaly_api.assignment import Runtime
from anomaly_api.policy import Delivery
from anomaly_api.source import GroupProtocol
from anomaly_detector.adapters.kafka.produce.connections import Connections
from anomaly_detector.adapters.kafka.produce.delivery import Progress
from anomaly_detector.adapters.kafka.produce.exactly_once import ExactlyOnce
from anomaly_detector.core.state.records import PartitionCommit, Record
from dev.environment.kafka import broker, network
from dev.environment.kafka.broker import Listener
from dev.verify.torture import orders, verdict

pytestmark = pytest.mark.integration
END, OFFSETS = 26, 28
"""Keys of requests of Kafka's protocol."""
TIMEOUT = "4100"
"""Of a transaction, milliseconds; the client gives a connection up 100 ms earlier."""


class Relay:
    """Holds the first request that ends a transaction; hands it on when it is told to.

    Its connection breaks, or, `silent`, carries nothing any more until the client gives it up.
    """

    def __init__(self, listener: Listener, *, silent: bool) -> None:
        self._silent = silent
        self._host, _, port = listener.bind.rpartition(":")
        self._port = int(port)
        self._held: tuple[socket.socket, bytes] | None = None
        self._answered = threading.Event()
        self.dying = False
        """Whether no offsets get through any more: so a pod dies in the midst of a transaction."""
        host, _, outside = listener.advertised.rpartition(":")
        self._server = socket.create_server((host, int(outside)))
        self._open: list[socket.socket] = [self._server]
        threading.Thread(target=self._serve, daemon=True).start()

    def release(self) -> None:
        """Returns when the broker has answered."""
        assert self._held is not None
        late, end = self._held
        late.sendall(end)
        assert self._answered.wait(20)

    def close(self) -> None:
        for each in self._open:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                outside, _ = self._server.accept()
                inside = socket.create_connection((self._host, self._port))
                self._open += [outside, inside]
                threading.Thread(target=self._ask, args=(outside, inside), daemon=True).start()
                threading.Thread(target=self._answer, args=(outside, inside), daemon=True).start()

    def _ask(self, outside: socket.socket, inside: socket.socket) -> None:
        with suppress(OSError, EOFError):
            while True:
                size = self._bytes(outside, 4)
                request = size + self._bytes(outside, struct.unpack(">i", size)[0])
                [key] = struct.unpack_from(">h", request, 4)
                if key == END and self._held is None:
                    self._held = inside, request
                    if not self._silent:
                        outside.shutdown(socket.SHUT_RDWR)
                    return
                if not (self.dying and key == OFFSETS):
                    inside.sendall(request)

    def _answer(self, outside: socket.socket, inside: socket.socket) -> None:
        with suppress(OSError):
            while data := inside.recv(1 << 16):
                if self._held is not None and self._held[0] is inside:
                    self._answered.set()
                else:
                    outside.sendall(data)

    @staticmethod
    def _bytes(of: socket.socket, count: int) -> bytes:
        found = b""
        while len(found) < count:
            more = of.recv(count - len(found))
            if not more:
                raise EOFError
            found += more
        return found


@contextmanager
def relaying(listener: Listener, *, silent: bool) -> Iterator[Relay]:
    relay = Relay(listener, silent=silent)
    try:
        yield relay
    finally:
        relay.close()


def advance(delivery: ExactlyOnce, until: Callable[[Progress], bool]) -> None:
    deadline, progress = time.monotonic() + 60, Progress.WAITING
    while not until(progress):
        progress = delivery.advance(0.1)
        assert progress is not Progress.LOST
        assert time.monotonic() < deadline, "it did not come so"


def finish(delivery: ExactlyOnce) -> None:
    advance(delivery, lambda progress: progress is Progress.DONE)


def committed(bootstrap: str, runtime: Runtime) -> tuple[int, list[bytes]]:
    """The group's position, and the alerts that who reads what is committed finds."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": runtime.group_id, "enable.auto.commit": False})
    [place] = consumer.committed([TopicPartition(runtime.kafka.topic, 0)], 20)
    consumer.close()
    return place.offset, [message.value() or b"" for message in verdict.read(bootstrap, runtime.alerts_topic)[0]]


def written(bootstrap: str, topic: str) -> int:
    """The end of the topic, committed or not."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "-", "isolation.level": "read_uncommitted"})
    _, end = consumer.get_watermark_offsets(TopicPartition(topic, 0), 20)
    consumer.close()
    return int(end)


def alert(runtime: Runtime, value: bytes) -> tuple[Record]:
    return (Record(runtime.alerts_topic, b"pump", value, partition=0),)


@pytest.mark.parametrize("silent", [False, True], ids=["broken", "silent"])
def test_a_commit_that_is_read_late_does_not_end_the_next_transaction(silent: bool) -> None:
    doors = network.listeners(1)
    with broker.running(f"tests-{os.getpid()}-late", more=doors) as own, relaying(doors[0], silent=silent) as relay:
        plain = orders.runtime(doors[0].advertised, f"late-{uuid4().hex[:8]}", Delivery.EXACTLY_ONCE, GroupProtocol.CLASSIC)
        kafka = plain.kafka.model_copy(update={"properties": {"transaction.timeout.ms": TIMEOUT}})
        runtime = plain.model_copy(update={"kafka": kafka})
        topics = [NewTopic(name, 1, 1) for name in (kafka.topic, runtime.alerts_topic, runtime.state_topic)]
        admin = AdminClient({"bootstrap.servers": own.bootstrap})
        for made in admin.create_topics(topics).values():
            made.result(30)
        connections = Connections(runtime, "pod", lambda _: lambda _: None)
        delivery = ExactlyOnce(runtime, connections)
        finish(delivery)
        delivery.offer({0: PartitionCommit(1, alert(runtime, b"first"))})
        finish(delivery)
        marked = 2
        advance(delivery, lambda _: written(own.bootstrap, runtime.alerts_topic) == marked)
        relay.dying = True
        delivery.offer({0: PartitionCommit(2, alert(runtime, b"second"))})
        advance(delivery, lambda _: written(own.bootstrap, runtime.alerts_topic) > marked)
        relay.release()
        assert committed(own.bootstrap, runtime) == (1, [b"first"])
        delivery.close()
        connections.close()
