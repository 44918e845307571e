"""A training on the real parts: what is in Kafka becomes a registered model, and what is in the way is said."""

from __future__ import annotations

import base64
import gzip
import json
import uuid
from typing import Any

import numpy as np
import pytest

from anomaly_api.gate import Verdict
from anomaly_api.meta import CARD_FILE, LABEL_TRAINING
from anomaly_api.model import AnomalyModel
from anomaly_api.source import KafkaSource, Window
from anomaly_detector.core.scoring.artifact import unpack
from anomaly_detector.core.scoring.graphs import GRAPH_INPUT
from tests.training.conftest import order, pipeline, reading

pytestmark = pytest.mark.integration


@pytest.fixture
def topic(kafka: Any) -> Any:
    """A topic of four partitions, and a way to fill it."""
    return Filled(kafka.bootstrap)


class Filled:
    def __init__(self, bootstrap: str) -> None:
        from confluent_kafka import Producer
        from confluent_kafka.admin import AdminClient

        self.bootstrap, self.name = bootstrap, f"readings-{uuid.uuid4().hex[:8]}"
        self.admin = AdminClient({"bootstrap.servers": bootstrap})
        self.producer = Producer({"bootstrap.servers": bootstrap, "enable.idempotence": True})

    @property
    def source(self) -> KafkaSource:
        return KafkaSource(bootstrap_servers=self.bootstrap, topic=self.name)

    def create(self) -> None:
        from confluent_kafka.admin import NewTopic

        self.admin.create_topics([NewTopic(self.name, num_partitions=4)])[self.name].result(30)

    def send(self, first: int, last: int, entities: int = 3) -> None:
        for place in range(first, last):
            for entity in range(entities):
                key, value = reading(place, entity)
                self.producer.produce(self.name, value, key)
        assert self.producer.flush(30) == 0


def test_readings_in_kafka_become_a_registered_model(topic, detector, start):
    topic.create()
    topic.send(0, 300)
    topic.producer.produce(topic.name, b"not json", b"pump-0")
    topic.producer.flush(30)
    windows = [Window(name="short", size=8), Window(name="long", size=16, every=4)]
    asked = order(kafka=topic.source, detector=detector.identity, pipeline=pipeline(windows=windows))
    status, log, last = start(asked, KUBECONFIG=detector.cluster.kubeconfig).end()
    assert (status, last) == (0, ""), log
    [found] = detector.models()
    assert found["metadata"]["labels"][LABEL_TRAINING] == asked.key
    model = AnomalyModel.model_validate(found)
    assert model.spec.trained.readings == 900
    assert model.spec.trained.rejected == 1
    assert model.spec.trained.entities == 3
    assert [(window.name, window.size) for window in model.spec.interface.windows] == [("short", 8), ("long", 16)]
    assert [calibration.window for calibration in model.spec.calibration] == ["short", "long"]
    assert model.spec.interface.features == ["flow", "current", "speed"]
    owners = found["metadata"]["ownerReferences"]
    assert [(owner["kind"], owner["controller"], owner["blockOwnerDeletion"]) for owner in owners] == [
        ("AnomalyDetector", True, False)
    ]

    name = model.spec.artifact.config_map_ref.name
    kept = json.loads(detector.cluster.kubectl("get", "configmap", name, "-n", "default", "-o", "json"))
    assert kept["immutable"] is True
    assert [owner["kind"] for owner in kept["metadata"]["ownerReferences"]] == ["AnomalyModel"]

    card = json.loads(detector.cluster.kubectl("get", "configmap", f"{name}-card", "-n", "default", "-o", "json"))
    assert model.spec.report.config_map_ref.name == f"{name}-card"
    assert [owner["kind"] for owner in card["metadata"]["ownerReferences"]] == ["AnomalyModel"]
    assert "Put-in faults found" in gzip.decompress(base64.b64decode(card["binaryData"][CARD_FILE])).decode()
    assert model.spec.trained.gate.verdict in (Verdict.ACCEPTED, Verdict.NOT_JUDGED)
    artifact = unpack(base64.b64decode(kept["binaryData"]["model.tar"]), model.spec.digest)
    assert artifact.manifest.calibration == model.spec.calibration
    import onnxruntime

    graph = onnxruntime.InferenceSession(artifact.graphs["short"])
    windows = np.zeros((5, 8, 3), np.float32)
    score, errors, expected = graph.run(None, {GRAPH_INPUT: windows})
    assert (score.shape, errors.shape, expected.shape) == ((5,), (5, 3), (5, 3))
    assert (score > model.spec.calibration[0].maximum).all()


def test_training_twice_gives_the_same_model_and_answers_both_orders(topic, detector, start):
    topic.create()
    topic.send(0, 200)
    first, second = (order(kafka=topic.source, detector=detector.identity, request=request) for request in ("1", "2"))
    for asked in (first, second):
        status, log, _ = start(asked, KUBECONFIG=detector.cluster.kubeconfig).end()
        assert status == 0, log
    [found] = detector.models()
    assert found["metadata"]["labels"][LABEL_TRAINING] == second.key


def test_too_little_data_is_said_with_its_numbers_and_more_data_ends_the_waiting(topic, start):
    topic.create()
    topic.send(0, 20)
    trainer = start(order(kafka=topic.source))
    waiting = trainer.until(lambda evidence: evidence.state == "Waiting" and evidence.readings > 0)
    assert (waiting.reason, waiting.needed) == ("TooLittleData", 200)
    assert waiting.message == f"60 readings of 3 entities in topic {topic.name}, 39 of 200 windows"
    topic.send(20, 200)
    status, log, last = trainer.end()
    assert status == 1
    assert last.startswith("no cluster to register the model with"), log


def test_a_topic_that_does_not_exist_is_waited_for_and_said(topic, start):
    trainer = start(order(kafka=topic.source))
    waiting = trainer.until(lambda evidence: evidence.reason == "TopicNotFound")
    assert "create it or correct spec.source.kafka.topic" in waiting.message
    topic.create()
    topic.send(0, 200)
    assert trainer.until(lambda evidence: evidence.readings > 0).reason in ("", "TooLittleData")


def test_a_broker_that_does_not_answer_is_waited_for_and_said(start):
    trainer = start(order())
    waiting = trainer.until(lambda evidence: evidence.reason == "BrokerUnreachable")
    assert waiting.message == "no broker answers at 127.0.0.1:1: check spec.source.kafka.bootstrapServers and that it is up"


def test_readings_that_nobody_can_read_are_said_with_the_last_reason(topic, start):
    topic.create()
    for _ in range(50):
        topic.producer.produce(topic.name, b'{"at": 1, "sensors": {"flow": "high"}}', b"pump-0")
    topic.producer.flush(30)
    waiting = start(order(kafka=topic.source)).until(lambda evidence: evidence.reason == "UnreadableReadings")
    assert waiting.rejected == 50
    assert "sensors.flow" in waiting.message


def test_a_trainer_that_is_told_to_stop_stops_at_once(start):
    trainer = start(order())
    trainer.until(lambda evidence: True)
    trainer.process.terminate()
    assert trainer.process.wait(5) == 128 + 15
