"""Connections that fall silent, as when a node vanishes: nobody is told, and nothing but a timeout ends them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from anomaly_api.assignment import Assignment
from anomaly_api.policy import Delivery
from dev.kafka import broker, network
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
