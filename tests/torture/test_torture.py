"""Kills, zombies, outages and changes leave the alerts as they are: schedules of a few seeds here, `make torture` for more."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from anomaly_api.source import GroupProtocol
from dev.torture.schedule import schedule, undisturbed
from dev.torture.trial import OVERRIDES, SECONDS, Trial

if TYPE_CHECKING:
    from dev.kafka.broker import Broker

pytestmark = pytest.mark.integration
SEEDS = (4, 5, 8, 10, 13)


@pytest.fixture(scope="module")
def own() -> Iterator[Broker]:
    """A broker that may be killed."""
    from dev.kafka import broker

    with broker.running(f"tests-{os.getpid()}-torture", overrides=OVERRIDES) as running:
        yield running


def test_one_process_that_nobody_disturbs_decides_as_the_core_alone(own: Broker, tmp_path: Path) -> None:
    result = Trial(own, undisturbed(1), tmp_path, print).run()
    assert result.wrong == []
    assert result.alerts > 100


@pytest.mark.parametrize("seed", SEEDS)
def test_whatever_happens_to_pods_and_broker_the_alerts_are_the_same(own: Broker, tmp_path: Path, seed: int) -> None:
    result = Trial(own, schedule(seed, SECONDS), tmp_path, print).run()
    assert result.wrong == [], f"again: python -m dev.torture --schedules 1 --seed {seed}"


def test_with_the_consumer_protocol_they_are_the_same_too(own: Broker, tmp_path: Path) -> None:
    result = Trial(own, schedule(3, SECONDS), tmp_path, print, GroupProtocol.CONSUMER).run()
    assert result.wrong == [], "again: python -m dev.torture --schedules 1 --seed 3 --protocol Consumer"
