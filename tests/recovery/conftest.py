"""A broker for tests of groups, shared by them: it loses patience with silent members soon."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from dev.environment.kafka.broker import Broker


@pytest.fixture(scope="session")
def impatient() -> Iterator[Broker]:
    """A broker that waits for silent members of the consumer protocol for two seconds instead of 45, for others as they ask."""
    from dev.environment.kafka import broker

    overrides = {
        "group.min.session.timeout.ms": "500",
        "group.consumer.min.session.timeout.ms": "2000",
        "group.consumer.session.timeout.ms": "2000",
        "group.consumer.min.heartbeat.interval.ms": "300",
        "group.consumer.heartbeat.interval.ms": "300",
    }
    with broker.running(f"tests-{os.getpid()}-group", overrides=overrides) as running:
        yield running
