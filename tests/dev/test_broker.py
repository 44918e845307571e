"""The development broker, used as tests and people use it."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient, NewTopic

from dev.environment.kafka import broker
from dev.environment.kafka.broker import Broker

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def own() -> Iterator[Broker]:
    with broker.running(f"tests-{os.getpid()}-own-broker") as running:
        yield running


def _write(own: Broker, topic: str, *values: bytes) -> None:
    admin = AdminClient({"bootstrap.servers": own.bootstrap})
    admin.create_topics([NewTopic(topic, num_partitions=1)])[topic].result(20)
    producer = Producer({"bootstrap.servers": own.bootstrap})
    for value in values:
        producer.produce(topic, value)
    assert producer.flush(20) == 0


def _read(own: Broker, topic: str, protocol: str = "classic") -> bytes | None:
    consumer = Consumer(
        {
            "bootstrap.servers": own.bootstrap,
            "group.id": f"{topic}-{protocol}",
            "auto.offset.reset": "earliest",
            "group.protocol": protocol,
        }
    )
    consumer.subscribe([topic])
    try:
        message = consumer.poll(20)
        return message.value() if message else None
    finally:
        consumer.close()


@pytest.mark.parametrize("end", ["kill", "stop"])
def test_a_broker_that_was_ended_and_started_again_has_its_data(own: Broker, end: str) -> None:
    _write(own, f"kept-{end}", b"reading")
    getattr(own, end)()
    own.start()
    assert _read(own, f"kept-{end}") == b"reading"


def test_a_paused_broker_answers_again_when_resumed(own: Broker) -> None:
    _write(own, "paused", b"reading")
    own.pause()
    own.resume()
    assert _read(own, "paused") == b"reading"


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_both_group_protocols_work(own: Broker, protocol: str) -> None:
    _write(own, f"protocol-{protocol}", b"reading")
    assert _read(own, f"protocol-{protocol}", protocol) == b"reading"
