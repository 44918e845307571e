"""The producer and the alert reader on a real broker."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from dev.demo import producer as producing
from dev.demo import topics
from dev.demo.scenario import Judged, Scenario, pump_scenario
from dev.demo.topics import AlertReader

if TYPE_CHECKING:
    from dev.environment.kafka.broker import Broker

pytestmark = pytest.mark.integration
HISTORY, WAITING = 50, 20


def short(topic: str) -> Scenario:
    """Five pumps' worth of a demo within two seconds."""
    whole = pump_scenario(time.time(), each=1)

    def judge_from(tick: int) -> Judged:
        judged = whole.judge_from(tick)
        return replace(judged, stretch=replace(judged.stretch, end=tick + 30))

    return replace(
        whole,
        topic=topic,
        history=HISTORY,
        waiting_end=HISTORY + WAITING,
        waiting_rate=200.0,
        judged_rate=200.0,
        judge_from=judge_from,
    )


def wait_for(what: str, holds: Callable[[], bool]) -> None:
    give_up = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < give_up, f"not within 20 s: {what}"
        time.sleep(0.01)


def everything_in(bootstrap: str, topic: str, count: int) -> list[tuple[bytes, str]]:
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "test", "enable.auto.commit": False})
    consumer.assign([TopicPartition(topic, partition, 0) for partition in range(4)])
    try:
        messages = consumer.consume(count + 1, timeout=5.0)
    finally:
        consumer.close()
    return [(message.key(), json.loads(message.value())["timestamp"]) for message in messages]


def test_a_run_writes_history_waits_for_a_model_and_ends_with_the_judged_part(kafka: Broker) -> None:
    scenario = short("producer-test")
    topics.make_anew(kafka.bootstrap, [scenario.topic])
    with producing.Producer(kafka.bootstrap, scenario) as producer:
        assert producer.write_history() == HISTORY * 20
        producer.play()
        wait_for("all that may be played without a model is played", lambda: producer.progress().waiting)
        judged = producer.begin_judged()
        wait_for("the end", lambda: producer.progress().done)

    ticks = HISTORY + WAITING + 30
    assert judged.stretch.first == HISTORY + WAITING
    assert sorted(producer.written) == list(range(HISTORY, ticks))
    written = everything_in(kafka.bootstrap, scenario.topic, ticks * 20)
    assert len(written) == len(set(written)) == ticks * 20


def test_topics_of_an_earlier_run_are_emptied(kafka: Broker) -> None:
    topics.make_anew(kafka.bootstrap, ["again"])
    writer = Producer({"bootstrap.servers": kafka.bootstrap, "enable.idempotence": True})
    writer.produce("again", b"old")
    writer.flush(10)

    topics.make_anew(kafka.bootstrap, ["again"])

    consumer = Consumer({"bootstrap.servers": kafka.bootstrap, "group.id": "test"})
    ends = [consumer.get_watermark_offsets(TopicPartition("again", partition), 10)[1] for partition in range(4)]
    consumer.close()
    assert ends == [0, 0, 0, 0]


def test_alerts_are_read_from_the_beginning_with_the_moment_of_their_arrival(kafka: Broker) -> None:
    topics.make_anew(kafka.bootstrap, ["some.alerts"])
    alert = {
        "type": "dev.anomaly-operator.episode.opened",
        "source": "/namespaces/demo/anomalydetectors/pumps",
        "id": "1",
        "subject": "pump-01",
        "time": "2026-01-01T10:00:05Z",
        "data": {
            "episode": "e", "entity": "pump-01", "window": "short", "start": "2026-01-01T10:00:05Z", "score": 2.0, "peak": 2.0,
            "reason": "Opened", "suppressed": False, "durationSeconds": 0.0, "windows": 1,
            "threshold": 0.1, "severity": "warning", "scorer": "Autoencoder", "revision": "12345678", "contributors": [],
        },
    }  # fmt: skip
    writer = Producer({"bootstrap.servers": kafka.bootstrap, "enable.idempotence": True})
    limited = alert | {"type": "dev.anomaly-operator.alerts.limited", "data": {"limit": "Total"}}
    for record in (limited, alert):
        writer.produce("some.alerts", json.dumps(record).encode(), b"pump-01")
    writer.flush(10)

    with AlertReader(kafka.bootstrap, "some.alerts") as reader:
        wait_for("the alert", lambda: bool(reader.arrivals))

    assert len(reader.arrivals) == 1
    assert reader.arrivals[0].alert.subject == "pump-01"
    assert reader.arrivals[0].at == pytest.approx(time.time(), abs=20)
