"""A pod dies in the midst of a transaction, and one of another name takes over, long before a broker ends it by itself."""

from __future__ import annotations

from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from anomaly_api.assignment import Assignment, Runtime
from anomaly_api.policy import Delivery
from anomaly_detector.adapters.kafka import clients
from anomaly_detector.adapters.kafka.produce.connections import Connections
from anomaly_detector.adapters.kafka.produce.delivery import Progress
from anomaly_detector.adapters.kafka.produce.exactly_once import ExactlyOnce
from anomaly_detector.adapters.kafka.produce.hanging_transactions import HangingTransactions
from anomaly_detector.core.state.records import PartitionCommit
from tests.stream.pods import Topics, calm, pod, revision, runtime

pytestmark = pytest.mark.integration
LASTING = "120000"
"""How long a broker leaves a transaction open, in milliseconds."""
SOON = 40.0


def lasting(topics: Topics) -> Runtime:
    order = runtime(topics)
    return order.model_copy(update={"kafka": order.kafka.model_copy(update={"properties": {"transaction.timeout.ms": LASTING}})})


def committed_by(order: Runtime, name: str) -> None:
    """A pod commits the first reading, and is gone."""
    connections = Connections(order, name, lambda _: lambda _: None)
    delivery = ExactlyOnce(order, connections)
    delivery.offer({0: PartitionCommit(1, ())})
    while delivery.advance(0.1) is not Progress.DONE:
        pass
    delivery.close()
    connections.close()


def left_open_by(order: Runtime, name: str, topic: str | None) -> Producer:
    """A transaction of a pod that has died in the midst of it: with the position alone, or with a record of `topic` alone."""
    producer = Producer(clients.transactional(order, name))
    producer.init_transactions(20)
    producer.begin_transaction()
    if topic is not None:
        producer.produce(topic, b"value", b"key", partition=0)
        producer.flush(20)
    else:
        consumer = Consumer(clients.recovery(order, name))
        places = [TopicPartition(order.kafka.topic, 0, 2, name)]
        producer.send_offsets_to_transaction(places, consumer.consumer_group_metadata(), 20)
        consumer.close()
    return producer


@pytest.mark.parametrize("delivery", list(Delivery))
@pytest.mark.parametrize("what", ["the position", "what is remembered"])
def test_what_a_pod_left_open_that_is_gone_does_not_hold_its_successor_up(
    topics: Topics, tmp_path: Path, what: str, delivery: Delivery
) -> None:
    topics.create(partitions=1)
    order = lasting(topics).model_copy(update={"delivery": delivery})
    topics.readings(range(1000, 1100), calm)
    with pod(tmp_path / "first", order, Assignment(stable=revision())) as first:
        first.until(lambda found: found.readings == 100)
        assert first.terminate() == 0
    committed_by(order, "gone")
    dead = left_open_by(order, "gone", None if what == "the position" else order.state_topic)
    with pod(tmp_path / "heir", order, Assignment(stable=revision())) as heir:
        found = heir.until(lambda found: found.readings == 99, SOON)
        assert found.windows
        assert heir.terminate() == 0
    with pytest.raises(Exception, match=r"(?i)fenced"):
        dead.commit_transaction(20)


def test_who_is_in_the_group_is_left_alone(topics: Topics) -> None:
    topics.create(partitions=1)
    order = lasting(topics)
    committed_by(order, "alive")
    open_still = left_open_by(order, "alive", None)
    members = [Consumer(clients.member(order, name)) for name in ("alive", "other")]
    try:
        for member in members:
            member.subscribe([order.kafka.topic])
        while not all(member.memberid() for member in members):
            for member in members:
                member.poll(0.1)
        HangingTransactions(order, "other").end([0])
        open_still.commit_transaction(20)
    finally:
        for member in members:
            member.close()


def test_who_is_not_in_the_group_takes_nobody_for_gone(topics: Topics) -> None:
    topics.create(partitions=1)
    order = lasting(topics)
    committed_by(order, "pod")
    open_still = left_open_by(order, "pod", None)
    HangingTransactions(order, "stranger").end([0])
    open_still.commit_transaction(20)
