"""Partitions in the middle of a rebalance: lost while one begins, and left half way by pods and a broker that died."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest
from confluent_kafka import Consumer, TopicPartition

from anomaly_api.assignment import Assignment
from anomaly_api.evidence import SourceState
from anomaly_detector.adapters.kafka.consume.reader import Reader
from anomaly_detector.adapters.kafka.produce.connections import Connections
from tests.recovery.groups import eventually, group, hasty
from tests.stream.pods import Topics, calm, pod, revision

if TYPE_CHECKING:
    from dev.environment.kafka.broker import Broker


pytestmark = pytest.mark.integration
ORDER = Assignment(stable=revision())


class Hesitant:
    """A consumer that is expelled from its group in the instant before it assigns a partition."""

    def __init__(self, consumer: Consumer) -> None:
        self._consumer = consumer
        self.expelled: Callable[[], object] = lambda: None

    def incremental_assign(self, places: list[TopicPartition]) -> None:
        self.expelled()
        self._consumer.incremental_assign(places)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._consumer, name)


@pytest.mark.parametrize("instant", ["before", "while"])
def test_partitions_that_were_lost_are_told_as_lost_though_one_of_them_begins(impatient: Broker, instant: str) -> None:
    topics = Topics(impatient.bootstrap)
    topics.create()
    topics.readings(range(1000, 1010), calm)
    order = hasty(topics, session_timeout_ms="1000", max_poll_interval_ms="1000", heartbeat_interval_ms="300")
    told: list[tuple[list[int], bool]] = []
    connections = Connections(order, "pod", lambda _: lambda _: None)
    hesitant = Hesitant(connections.member)
    connections.member = cast("Consumer", hesitant)
    reader = Reader(order, connections, lambda _: None, lambda partitions, ours: told.append((partitions, ours)))

    def expelled() -> None:
        """Nobody has polled for too long: the client has given up, and waits to say so."""
        eventually(lambda: group(topics)[1] == [])

    try:
        reader.join()
        eventually(lambda: reader.read(1, 0.1) is None and reader.partitions == 2)
        reader.begin({0: 5})
        eventually(lambda: (found := reader.read(1, 0.1)) is not None and found.offsets[:].tolist() == [5])
        if instant == "before":
            expelled()
        else:
            hesitant.expelled = expelled
        reader.begin({1: 0})
        hesitant.expelled = lambda: None
        eventually(lambda: reader.read(1, 0.1) is None and told)
        assert told == [([0, 1], False)], "what was decided of them is not ours to commit"
    finally:
        reader.close()


@pytest.fixture
def own() -> Iterator[Broker]:
    """A broker that may be killed."""
    from dev.environment.kafka import broker

    with broker.running(f"tests-{os.getpid()}-half-way") as running:
        yield running


def test_partitions_that_a_rebalance_left_half_way_are_shared_anew(own: Broker, tmp_path: Path) -> None:
    topics = Topics(own.bootstrap)
    topics.create()
    order = hasty(topics, max_poll_interval_ms="10000")  # a rebalance waits so long for those who do not answer
    with pod(tmp_path / "giver", order, ORDER) as giver:
        giver.until(lambda found: found.source.partitions == 2 and not found.source.recovering)
        with pod(tmp_path / "taker", order, ORDER) as taker:
            eventually(lambda: "partitions given up" in giver.log.read_text())
            for process in (giver.process, taker.process):
                process.kill()
            own.kill()
            own.start()
    with pod(tmp_path / "giver", order, ORDER) as giver, pod(tmp_path / "taker", order, ORDER) as taker:
        pods = (giver, taker)
        for each in pods:
            each.until(lambda found: found.source.state is SourceState.READING)
        eventually(lambda: sum(each.evidence().source.partitions for each in pods) == 2, 90)
