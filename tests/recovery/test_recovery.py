"""What is found out of a partition is all there is, or it is asked for again: over a network that breaks, on a real broker."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from anomaly_api.assignment import Runtime
from anomaly_detector.adapters.kafka import clients
from anomaly_detector.adapters.kafka.consume.member import Member
from anomaly_detector.adapters.kafka.produce.at_least_once import AtLeastOnce
from anomaly_detector.adapters.kafka.produce.connections import Connections
from anomaly_detector.adapters.kafka.produce.delivery import Progress
from anomaly_detector.adapters.kafka.produce.exactly_once import ExactlyOnce
from anomaly_detector.adapters.kafka.state.recovery import Recovery, Wanted
from anomaly_detector.core.pipeline import DetectionPipeline
from anomaly_detector.core.state import changelog
from anomaly_detector.core.state.changelog import Change
from anomaly_detector.core.state.records import PartitionCommit
from tests.recovery.crash_model import REVISIONS, SOURCE
from tests.stream.pods import Topics, runtime

if TYPE_CHECKING:
    from dev.environment.kafka.network import Link

pytestmark = pytest.mark.integration
TIMES = 12


@dataclass
class Place:
    """A partition of which the group has a position, and the state topic a fact; and the link to it."""

    runtime: Runtime
    link: Link


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    from dev.environment.kafka import broker, network

    doors = network.listeners(1)
    with broker.running(f"tests-{os.getpid()}-recovery", more=doors) as own, network.links(doors) as [link]:
        topics = Topics(own.bootstrap)
        topics.create()
        order = runtime(topics)
        admin = AdminClient({"bootstrap.servers": own.bootstrap})
        admin.create_topics([NewTopic(order.state_topic, 2, 1)])[order.state_topic].result(30)
        fact = Change(number=1, offset=0, begin=True, configuration=DetectionPipeline(SOURCE, REVISIONS[0]).configuration)
        producer = Producer({"bootstrap.servers": own.bootstrap})
        producer.produce(order.state_topic, fact.model_dump_json().encode(), changelog.change_key(1), partition=0)
        for _ in range(10):
            topics.send(b"{}")
        assert producer.flush(30) == topics.producer.flush(30) == 0
        commit(own.bootstrap, order, 5)
        kafka = order.kafka.model_copy(update={"bootstrap_servers": link.address})
        yield Place(order.model_copy(update={"kafka": kafka}), link)


def commit(bootstrap: str, order: Runtime, offset: int) -> None:
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": order.group_id})
    consumer.commit(offsets=[TopicPartition(order.kafka.topic, 0, offset)], asynchronous=False)
    consumer.close()


def connections(place: Place, pod: str) -> Connections:
    return Connections(place.runtime, pod, lambda _: lambda _: None)


def test_connections_that_break_while_it_asks_leave_nothing_out(place: Place) -> None:
    recovery = Recovery(place.runtime, connections(place, "pod"))
    try:
        for turn in range(TIMES):
            if turn % 4:
                place.link.cut()
            recovery.ask(Wanted(0, turn))
            wanted, found = recovery.found.get(timeout=60)
            assert wanted.turn == turn
            assert (found.start, found.until, found.number) == (0, 5, 1), found.note
            assert found.configuration is not None
    finally:
        recovery.stop()


@pytest.mark.parametrize("way", [ExactlyOnce, AtLeastOnce])
def test_what_a_killed_pod_left_open_is_ended_before_the_first_decision_of_its_successor(
    place: Place, way: type[ExactlyOnce] | type[AtLeastOnce]
) -> None:
    name = way.__name__
    made = connections(place, name)
    killed = Producer(clients.transactional(place.runtime, name))
    killed.init_transactions(30)
    killed.begin_transaction()
    killed.send_offsets_to_transaction(
        [TopicPartition(place.runtime.kafka.topic, 0, 7)], made.member.consumer_group_metadata(), 30
    )
    successor = AtLeastOnce(place.runtime, name, made) if way is AtLeastOnce else ExactlyOnce(place.runtime, made)
    recovery = Recovery(place.runtime, made)
    try:
        recovery.ask(Wanted(0, 1))
        deadline = time.monotonic() + 9  # the coordinator ends it after 10 s, or up to 20
        while recovery.found.empty() and time.monotonic() < deadline:
            successor.advance(0.05)
            time.sleep(0.01)
        _, found = recovery.found.get(block=False)
        assert found.until == 5, "what was not committed does not count"
    finally:
        recovery.stop()
        successor.close()
        made.member.close()


def test_a_commit_for_a_group_that_the_client_has_left_is_lost_and_nothing_is_raised(place: Place) -> None:
    made = connections(place, "left")
    way = ExactlyOnce(place.runtime, made)
    while (progress := way.advance(1.0)) is Progress.WAITING:
        pass
    assert progress is Progress.DONE
    way.offer({0: PartitionCommit(6, ())})
    made.close()
    assert way.advance(1.0) is Progress.LOST
    way.close()


def test_what_goes_wrong_while_the_client_tells_of_partitions_is_raised_as_it_is(place: Place) -> None:
    made = connections(place, "clumsy")
    known: dict[str, list[int]] = {}
    member = Member(place.runtime, made.member, lambda _: known["nothing"].clear(), lambda _, ours: None)
    member.join()
    with pytest.raises(KeyError, match="nothing"):
        read_on(member)
    made.close()


def test_partitions_are_ours_only_once_it_is_asked_where_they_begin(place: Place) -> None:
    made = connections(place, "asked")
    ours: list[list[int]] = []
    member = Member(place.runtime, made.member, lambda _: ours.append(member.owned), lambda _, ours: None)
    member.join()
    while not member.joined:
        member.read(1, 1.0)
    assert (ours, member.owned) == ([[]], [0, 1]), "else it could be told that none of ours has still to begin"
    made.close()


def read_on(member: Member) -> None:
    while True:
        member.read(1, 1.0)
