"""Brokers that are killed one after the other: leaders and coordinators move, alerts have too few replicas, nothing is lost."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from anomaly_api.policy import Delivery
from dev.environment.kafka import several
from dev.harness.scoring_pod import ScoringPod
from dev.verify.torture import orders, verdict
from dev.verify.torture.acting import OFTEN
from dev.verify.torture.feed import Feed
from dev.verify.torture.ground import OVERRIDES

pytestmark = pytest.mark.integration
PATIENCE_SECONDS = 180.0
RATE = 200.0


@pytest.mark.parametrize("delivery", list(Delivery))
def test_leaders_and_coordinators_that_move_and_replicas_that_lack_lose_nothing(tmp_path: Path, delivery: Delivery) -> None:
    with several.running(f"tests-{os.getpid()}-several", overrides=OVERRIDES) as kafka:
        order = orders.runtime(kafka.bootstrap, "readings", delivery)
        assignments = orders.assignments(tmp_path)
        feed = Feed(order, 1, PATIENCE_SECONDS, RATE)
        feed.create(replicas=several.COUNT)
        demand_all_replicas(kafka.bootstrap, order.alerts_topic)
        member = ScoringPod(tmp_path / "pod", dict(OFTEN))
        member.start(order, assignments[0])
        try:
            member.await_ready(PATIENCE_SECONDS)
            feed.start()
            for place, broker in enumerate(kafka.brokers):
                broker.kill()
                kafka.await_led_without(place)
                broker.start()
                kafka.await_whole()
            feed.join()
            assert feed.await_decided() == []
            member.leave()
            assert member.ended() == 0
        finally:
            member.kill()
        found = verdict.collect(order)
        assert verdict.judge(found, assignments, delivery) == []
        assert sum(map(len, found.alerts.values())) > 100


def demand_all_replicas(bootstrap: str, topic: str) -> None:
    """While one broker is away, nothing can be written."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    wanted = ConfigEntry("min.insync.replicas", str(several.COUNT), incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[wanted])
    admin.incremental_alter_configs([resource])[resource].result(30)
