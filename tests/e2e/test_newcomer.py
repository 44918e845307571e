"""Somebody has run `make up` and writes a detector for a topic of their own: it must work the first time."""

from __future__ import annotations

import json
import random
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient

from tests.e2e.conftest import Kubectl, wait_until

if TYPE_CHECKING:
    from dev.environment.prerequisites import Surroundings

pytestmark = pytest.mark.e2e
EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
NAME, TOPIC = "first-steps", "first-steps-readings"


@pytest.fixture
def shortest(around: Surroundings) -> dict[str, Any]:
    """The shortest example, for the topic of this test."""
    document: dict[str, Any] = yaml.safe_load((EXAMPLES / "shortest.yaml").read_text())
    document["metadata"]["name"] = NAME
    document["spec"]["source"]["kafka"] = {"bootstrapServers": around.bootstrap_in_cluster, "topic": TOPIC}
    return document


@pytest.fixture
def readings(around: Surroundings) -> None:
    """Two machines' readings in a topic that nobody has made: 600 each, a tenth of a second apart."""
    rng, began = random.Random(1), time.time() - 60
    producer = Producer({"bootstrap.servers": around.bootstrap, "enable.idempotence": True})
    for number in range(600):
        for machine in ("press-1", "press-2"):
            reading = {name: rng.gauss(50, 1) for name in ("temperature", "pressure", "vibration")}
            when = int((began + number / 10) * 1000)
            producer.produce(TOPIC, json.dumps(reading).encode(), machine.encode(), timestamp=when)
    assert producer.flush(30) == 0


@pytest.mark.usefixtures("readings")
def test_the_shortest_example_trains_a_model_and_gets_its_alerts_topic_made(
    around: Surroundings, kubectl: Kubectl, shortest: dict[str, Any]
) -> None:
    kubectl.apply(shortest)

    status = wait_until(
        "a model", lambda: kubectl.json("get", "adet", NAME).get("status", {}).get("stable", {}).get("model"), 150
    )

    assert status.startswith(f"{NAME}-")
    wait_until("the pod's word that it reads", lambda: kubectl.condition(NAME, "SourceReachable").get("status") == "True")
    assert f"{TOPIC}.alerts" in AdminClient({"bootstrap.servers": around.bootstrap}).list_topics(timeout=10).topics
    kubectl("delete", "anomalydetector", NAME)
