"""Alerts and labels on a real broker, and the times that a training leaves out for them."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest

from anomaly_api.source import KafkaSource
from anomaly_detector.core.alerts.alert import identity, rfc3339
from anomaly_detector.core.columns import MICROSECONDS
from anomaly_detector.core.feedback.ledger import Period
from tests.training.conftest import order, reading

pytestmark = pytest.mark.integration
START = 20_600 * 86_400


def micros(second: int) -> int:
    return (START + second) * MICROSECONDS


class Written:
    """Topics for alerts and labels; what is aborted is none of ours."""

    def __init__(self, bootstrap: str) -> None:
        from confluent_kafka import Producer
        from confluent_kafka.admin import AdminClient, NewTopic

        self.alerts, self.labels = (f"{kind}-{uuid.uuid4().hex[:8]}" for kind in ("alerts", "labels"))
        admin = AdminClient({"bootstrap.servers": bootstrap})
        for made in admin.create_topics([NewTopic(self.alerts, 3), NewTopic(self.labels, 1)]).values():
            made.result(30)
        self.producer = Producer({"bootstrap.servers": bootstrap, "transactional.id": uuid.uuid4().hex})
        self.producer.init_transactions(30)
        self.asked = order(
            kafka=KafkaSource(bootstrap_servers=bootstrap, topic="readings"), alerts_topic=self.alerts, labels_topic=self.labels
        )

    def episode(self, entity: str, begin: int, end: int, *, aborted: bool = False) -> str:
        self.producer.begin_transaction()
        name = identity(self.asked.detector.source, entity, "short", str(micros(begin)))
        for kind, second in (("opened", begin), ("closed", end)):
            data = {"episode": name, "entity": entity, "start": rfc3339(micros(begin)), "suppressed": False, "revision": "aaaa"}
            event = {
                "source": self.asked.detector.source,
                "type": f"dev.anomaly-operator.episode.{kind}",
                "time": rfc3339(micros(second)),
                "data": data,
            }
            self.producer.produce(self.alerts, json.dumps(event), entity)
        self.producer.abort_transaction(30) if aborted else self.producer.commit_transaction(30)
        return name

    def label(self, **label: str) -> None:
        self.producer.begin_transaction()
        self.producer.produce(self.labels, json.dumps(label))
        self.producer.commit_transaction(30)


@pytest.fixture
def written(kafka: Any) -> Written:
    return Written(kafka.bootstrap)


def test_labels_and_committed_alerts_say_which_times_are_left_out(written):
    from anomaly_detector.training.data.known_times import known_times

    written.episode("pump-1", 100, 160)
    nothing = written.episode("pump-2", 200, 260)
    fault = written.episode("pump-3", 300, 360)
    written.episode("pump-4", 400, 460, aborted=True)
    written.label(label="FalseAlarm", episode=nothing, by="ann")
    written.label(label="TrueAlarm", episode=fault, by="ann")
    written.label(label="Perhaps", episode=fault, by="bob")
    found = known_times(written.asked, 0)
    assert list(found.alerted) == [Period("pump-1", micros(100), micros(160))]
    assert list(found.wrong) == [Period("pump-3", micros(300), micros(360))]
    assert found.unread == ""


def test_topics_that_are_not_there_have_no_records_and_brokers_that_do_not_answer_are_told(written):
    from anomaly_detector.training.data import records
    from anomaly_detector.training.data.known_times import known_times

    missing = written.asked.model_copy(update={"alerts_topic": "no-such-alerts", "labels_topic": ""})
    assert known_times(missing, 0).unread == ""
    nowhere = KafkaSource(bootstrap_servers="127.0.0.1:1", topic="readings", properties={"socket.timeout.ms": "500"})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(records, "_ANSWER", 0.5)
        assert "could not be read" in records.read_records(nowhere, "alerts", 0, lambda _: None)


def test_a_trained_model_says_how_many_windows_were_left_out(written, kafka, detector, start):
    from confluent_kafka import Producer
    from confluent_kafka.admin import AdminClient, NewTopic

    topic = f"readings-{uuid.uuid4().hex[:8]}"
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    admin.create_topics([NewTopic(topic, 2)])[topic].result(30)
    # Without idempotence a batch that the new topic refuses at first comes after those that it takes: nearly all would be late.
    producer = Producer({"bootstrap.servers": kafka.bootstrap, "enable.idempotence": True})
    times = []
    for place in range(300):
        for entity in range(2):
            key, value = reading(place, entity)
            producer.produce(topic, value, key)
            times.append(json.loads(value)["at"])
    assert producer.flush(30) == 0
    begin = rfc3339(round(times[200] * MICROSECONDS))
    written.label(label="Missed", entity="pump-1", by="ann", **{"from": begin, "until": begin})
    asked = written.asked.model_copy(
        update={"kafka": KafkaSource(bootstrap_servers=kafka.bootstrap, topic=topic), "detector": detector.identity}
    )
    status, log, _ = start(asked, KUBECONFIG=detector.cluster.kubeconfig).end()
    assert status == 0, log
    [found] = detector.models()
    excluded = found["spec"]["trained"]["excluded"]
    assert excluded["labels"] > 0
    assert excluded["alerts"] == 0
    assert "left out of" in log
