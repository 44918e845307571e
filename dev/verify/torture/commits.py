"""`python -m dev.verify.torture.commits`: exactly once over a network that stalls or loses answers while the pod commits.

One partition, one way to write, no pods: so that dozens of commits a minute meet what a schedule meets once in a thousand. What
is offered is either there, once and in order, or the group's position says that it is not.
"""

from __future__ import annotations

import argparse
import os
import random
import socket
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from uuid import uuid4

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
from dev.environment.kafka.network import Link, Weather
from dev.verify.torture import orders

_TRANSACTION = "3100"
"""Milliseconds; a second less than a network stands still at most."""
_ASK_SECONDS = 20.0


@dataclass
class Found:
    """The result of one run of commits."""

    commits: int = 0
    stays: int = 0
    """Times that it had to begin anew, as a pod does with a new stay."""
    offered: list[bytes] = field(default_factory=list)
    read: list[bytes] = field(default_factory=list)
    """By who reads committed records."""

    @property
    def missing(self) -> list[bytes]:
        return list((Counter(self.offered) - Counter(self.read)).elements())

    @property
    def twice(self) -> list[bytes]:
        return list((Counter(self.read) - Counter(self.offered)).elements())

    @property
    def sound(self) -> bool:
        """Everything is there, once and in order."""
        return self.read == self.offered

    def __str__(self) -> str:
        counts = f"{self.commits} commits, {self.stays} stays: {len(self.offered)} records offered, {len(self.read)} read"
        return f"{counts}, {len(self.missing)} missing, {len(self.twice)} too many"


class Commits:
    """Drives a pod's delivery. An instance belongs to one thread."""

    def __init__(self, bootstrap: str, link: Link, seed: int) -> None:
        self.found = Found()
        self._dice = random.Random(seed)
        self._bootstrap, self._link = bootstrap, link
        plain = orders.runtime(link.address, f"commits-{uuid4().hex[:8]}", Delivery.EXACTLY_ONCE, GroupProtocol.CLASSIC)
        kafka = plain.kafka.model_copy(update={"properties": {"transaction.timeout.ms": _TRANSACTION}})
        self._runtime: Runtime = plain.model_copy(update={"kafka": kafka})
        topics = [NewTopic(name, 1, 1) for name in (kafka.topic, plain.alerts_topic, plain.state_topic)]
        admin = AdminClient({"bootstrap.servers": bootstrap})
        for made in admin.create_topics(topics).values():
            made.result(30)
        self._look = Consumer({"bootstrap.servers": bootstrap, "group.id": plain.group_id, "enable.auto.commit": False})
        self._offset = 0
        self._begin()

    def disturbed(self) -> None:
        """A commit while half of the connections stand still or lose answers, for about as long as a transaction may take."""
        host, _, port = self._link.address.rpartition(":")
        for _ in range(self._dice.randrange(3)):  # others come and go, so that it is not always the same half
            socket.create_connection((host, int(port))).close()
        weather = self._dice.choice([Weather.STILL, Weather.STILL, Weather.LOSSY])
        self._link.turn(weather, share=(2, self._dice.randrange(2)))
        self._commit(self._dice.randint(1, 4), self._dice.uniform(2.5, 3.8))

    def undisturbed(self) -> None:
        """A commit on a sound network."""
        self._commit(1)

    def read(self) -> Found:
        """Ends, and reads what has been committed."""
        self._delivery.close()
        self._connections.close()
        place = TopicPartition(self._runtime.alerts_topic, 0, 0)
        _, end = self._look.get_watermark_offsets(place, _ASK_SECONDS)
        self._look.assign([place])
        while self._look.position([place])[0].offset < end:
            message = self._look.poll(1.0)
            if message is not None and message.error() is None:
                self.found.read.append(message.value() or b"")
        self._look.close()
        return self.found

    def _begin(self) -> None:
        progress = Progress.LOST
        while progress is Progress.LOST:
            self._connections = Connections(self._runtime, "pod", lambda _: lambda _: None)
            self._delivery = ExactlyOnce(self._runtime, self._connections)
            progress = self._done()

    def _commit(self, count: int, patience: float = 0.0) -> None:
        self._offset += 1
        self.found.commits += 1
        values = [b"%d-%d" % (self._offset, number) for number in range(count)]
        self.found.offered += values
        records = tuple(Record(self._runtime.alerts_topic, b"pump", value, partition=0) for value in values)
        while not self._committed():
            self._delivery.offer({0: PartitionCommit(self._offset, records)})
            if patience:
                self._delivery.advance(patience)
                self._link.clear()
                patience = 0.0
            if self._done() is Progress.DONE:
                return
            self.found.stays += 1
            self._delivery.close()
            self._connections.close()
            self._begin()

    def _done(self) -> Progress:
        progress = Progress.WAITING
        while progress is Progress.WAITING:
            progress = self._delivery.advance(1.0)
        return progress

    def _committed(self) -> bool:
        """Whether the group's position says that the commit has come through after all."""
        [place] = self._look.committed([TopicPartition(self._runtime.kafka.topic, 0)], _ASK_SECONDS)
        return place.offset == self._offset


def play(seconds: float, seed: int) -> Found:
    """For about so long."""
    doors = network.listeners(1)
    with broker.running(f"commits-{os.getpid()}", more=doors) as own, network.links(doors) as [link]:
        commits, until = Commits(own.bootstrap, link, seed), time.monotonic() + seconds
        while time.monotonic() < until:
            commits.disturbed()
            commits.undisturbed()
        return commits.read()


def main() -> int:
    """Exit status 1 when anything is missing, or there twice."""
    parser = argparse.ArgumentParser(prog="python -m dev.verify.torture.commits", description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    found = play(asked.seconds, asked.seed)
    print(found)
    for value in [*found.missing, *found.twice][:20]:
        print(f"    {value.decode()}")
    return int(not found.sound)


if __name__ == "__main__":
    sys.exit(main())
