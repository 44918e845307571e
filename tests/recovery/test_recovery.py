"""What is found out of a partition is all there is, or it is asked for again: over a network that breaks, on a real broker."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from anomaly_api.assignment import Runtime
from anomaly_detector.adapters.kafka.recovery import Recovery, Wanted
from anomaly_detector.core import journal
from anomaly_detector.core.journal import Fact
from anomaly_detector.core.stream import Stream
from tests.recovery.test_custody import REVISIONS, SOURCE
from tests.stream.pods import Topics, runtime

if TYPE_CHECKING:
    from dev.kafka.network import Link

pytestmark = pytest.mark.integration
TIMES = 12


@dataclass
class Place:
    """A partition of which the group has a position, and the state topic a fact; and the link to it."""

    runtime: Runtime
    link: Link


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    from dev.kafka import broker, network

    doors = network.listeners(1)
    with broker.running(f"tests-{os.getpid()}-recovery", more=doors) as own, network.links(doors) as [link]:
        topics = Topics(own.bootstrap)
        topics.create()
        order = runtime(topics)
        admin = AdminClient({"bootstrap.servers": own.bootstrap})
        admin.create_topics([NewTopic(order.state_topic, 2, 1)])[order.state_topic].result(30)
        fact = Fact(number=1, offset=0, begin=True, regime=Stream(SOURCE, REVISIONS[0]).regime)
        producer = Producer({"bootstrap.servers": own.bootstrap})
        producer.produce(order.state_topic, fact.model_dump_json().encode(), journal.fact_key(1), partition=0)
        for _ in range(10):
            topics.send(b"{}")
        assert producer.flush(30) == topics.producer.flush(30) == 0
        commit(own.bootstrap, order, 5)
        kafka = order.kafka.model_copy(update={"bootstrap_servers": link.address})
        yield Place(order.model_copy(update={"kafka": kafka}), link)


def commit(bootstrap: str, order: Runtime, offset: int) -> None:
    from confluent_kafka import Consumer

    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": order.group_id})
    consumer.commit(offsets=[TopicPartition(order.kafka.topic, 0, offset)], asynchronous=False)
    consumer.close()


def test_connections_that_break_while_it_asks_leave_nothing_out(place: Place) -> None:
    recovery = Recovery(place.runtime, "pod", lambda _: None)
    try:
        for turn in range(TIMES):
            if turn % 4:
                place.link.cut()
            recovery.ask(Wanted(0, turn))
            wanted, found = recovery.found.get(timeout=60)
            assert wanted.turn == turn
            assert (found.start, found.until, found.number) == (0, 5, 1), found.note
            assert found.regime is not None
    finally:
        recovery.stop()
