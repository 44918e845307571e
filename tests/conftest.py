"""The real parts that tests run on, started when the first test asks and gone when the session ends, even if killed.

The machinery is in `dev/`; it is imported when needed, so that tests of the pure cores start in milliseconds.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from tests import effort

if TYPE_CHECKING:
    from dev.environment.cluster.control_plane import Cluster
    from dev.environment.kafka.broker import Broker
    from dev.environment.prerequisites import Surroundings
    from tests.stream.pods import Topics

effort.load()

LONGEST: Final = (
    "torture/test_torture.py",  # keeps a core busy: beside it comes what needs no broker of its own
    "training/test_trainer.py",
    "recovery/test_leaders.py",
    "recovery/test_topics.py",
    "recovery/test_group.py",
    "chart/test_work.py",
    "security/test_pods.py",
    "stream/test_service.py",
)
"""Files whose tests take longest. They begin first, so that no worker is left with one of them when the others have ended."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """By file, the longest first."""
    tests = Path(__file__).parent
    places = {tests / name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path, len(LONGEST)))


@pytest.fixture(scope="session")
def api_server() -> Iterator[Cluster]:
    """A real API server with its controllers and no nodes; `.kubeconfig`, and `.kubectl(*arguments)`."""
    from dev.environment.cluster import control_plane

    with control_plane.alone(f"tests-{os.getpid()}-api") as cluster:
        yield cluster


@pytest.fixture(scope="session")
def kafka() -> Iterator[Broker]:
    """A real broker on the loopback, shared by the session. To kill one, use `dev.environment.kafka.broker.running`."""
    from dev.environment.kafka import broker

    with broker.running(f"tests-{os.getpid()}-kafka") as running:
        yield running


@pytest.fixture
def topics(kafka: Broker) -> Topics:
    """Names of topics that no other test uses; `.create()` makes them."""
    from tests.stream.pods import Topics

    return Topics(kafka.bootstrap)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Surroundings]:
    """A whole cluster with a broker and the images: `.cluster.kubectl(...)`, `.cluster.helm(...)`, `.bootstrap`, `.images`."""
    from dev.environment import prerequisites
    from dev.progress import plain

    name = f"tests-{os.getpid()}"
    try:
        yield prerequisites.up(name, plain, leashed=True)
    finally:
        prerequisites.down(name, plain)
