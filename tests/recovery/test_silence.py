"""Connections that fall silent, as when a node vanishes: nobody is told, and nothing but a timeout ends them."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from anomaly_api.assignment import Assignment
from anomaly_api.policy import Delivery
from anomaly_detector.training.data.messages import Messages
from anomaly_detector.training.data.topic import Topic
from dev.environment.kafka import broker, network
from tests.stream.pods import Topics, broken, calm, pod, revision, runtime

pytestmark = pytest.mark.integration
SOON = 40.0
"""Seconds, with time to spare for a slow machine: 17 were measured, beside other work."""


@pytest.mark.parametrize("delivery", list(Delivery))
def test_connections_that_fall_silent_are_given_up_within_half_a_minute(tmp_path: Path, delivery: Delivery) -> None:
    doors = network.listeners(1)
    with broker.running(f"tests-{os.getpid()}-silence", more=doors) as own, network.links(doors) as [link]:
        topics = Topics(own.bootstrap)
        topics.create(partitions=1)
        order = runtime(Topics(link.address, topics.name)).model_copy(update={"delivery": delivery})
        with pod(tmp_path / "pod", order, Assignment(stable=revision())) as running:
            topics.readings(range(1000, 1100), calm)
            running.until(lambda found: found.readings == 100)
            link.silence()
            topics.readings(range(1100, 1110), broken)
            running.until(lambda found: found.alerts > 0, SOON)
            assert running.terminate() == 0


def test_a_training_pod_whose_connections_fall_silent_reads_on_with_others() -> None:
    doors = network.listeners(1)
    with broker.running(f"tests-{os.getpid()}-silence", more=doors) as own, network.links(doors) as [link]:
        topics = Topics(own.bootstrap)
        topics.create(partitions=1)
        topics.readings(range(1000, 1100), calm)
        topic = Topic(runtime(Topics(link.address, topics.name)).kafka, 0, lambda *_: None)
        read = topic.read()
        assert sum(len(messages) for messages in until_nothing_is_left(read)) == 100
        link.silence()
        topics.readings(range(1100, 1110), calm)
        deadline = time.monotonic() + 2 * SOON
        messages = next(found for found in read if found is not None or time.monotonic() > deadline)
        assert messages is not None, "it waits for ever"
        assert len(messages) == 10
        topic.close()


def until_nothing_is_left(read: Iterator[Messages | None]) -> list[Messages]:
    return list(iter(partial(next, read), None))
