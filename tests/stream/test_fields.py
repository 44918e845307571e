"""Fields that readings have and lack: what is looked at, what may have come in the place of a field that is gone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from anomaly_api.assignment import Assignment
from anomaly_api.evidence import FeatureEvidence
from anomaly_api.schema import Empty
from anomaly_api.source import Entity, Feature, Pipeline, Time, Window
from anomaly_detector.field_monitor import FieldMonitor
from tests.stream.pods import Topics, pod, revision, runtime

if TYPE_CHECKING:
    from dev.environment.kafka.broker import Broker

PIPELINE = Pipeline(
    entity=Entity(key=Empty()),
    time=Time(field="at"),
    features=[Feature(name="temperature", field="sensors.temperature"), Feature(name="pressure")],
    windows=[Window(name="short")],
)


def reading(**changes: Any) -> dict[str, Any]:
    return {"at": "x", "sensors": {"temperature": 1.5, "humidity": 3}, "pressure": 2, "site": "north"} | changes


def found(*batches: list[Any]) -> dict[str, FeatureEvidence]:
    """After a batch a second, by feature."""
    presence = FieldMonitor(PIPELINE)
    for second, batch in enumerate(batches):
        presence.look([json.dumps(value).encode() if isinstance(value, dict) else value for value in batch], second)
    return {feature.name: feature for feature in presence.evidence(len(batches) - 1).features}


def test_nothing_is_said_of_readings_that_have_everything_and_of_what_is_no_reading() -> None:
    assert found([reading(), None, b"", b"{", b"[1]", b"\xff", b"[" * 100_000]) == {}


@pytest.mark.parametrize(
    ("sensors", "likely"),
    [
        ({"temp": 1.5}, "sensors.temp"),
        ({"temperature_c": 1.5}, "sensors.temperature_c"),
        ({"Temperature": 1.5}, "sensors.Temperature"),
        ({"temparature": 1.5}, "sensors.temparature"),
        ({"temp": "hot"}, ""),
        ({"humidity": 3}, ""),
        ({"flow": 1.5}, ""),
        ({"temperature": {"value": 1.5}}, ""),
    ],
)
def test_a_number_of_similar_name_that_is_new_may_be_the_renamed_field(sensors: dict[str, Any], likely: str) -> None:
    [feature] = found([reading()] * 20, [reading(sensors=sensors)] * 20).values()
    assert (feature.name, feature.field, feature.likely) == ("temperature", "sensors.temperature", likely)
    assert (feature.lacking, feature.seen, feature.last_seen) == (20, 20, 0.0)


def test_a_field_that_was_always_there_is_no_new_name() -> None:
    both = reading(sensors={"temperature": 1.5, "temp": 2.5})
    assert found([both] * 20, [reading(sensors={"temp": 2.5})] * 20)["temperature"].likely == ""


def test_a_moved_field_is_found_by_its_last_name() -> None:
    assert found([reading(sensors={}, temperature=1.5)])["temperature"].likely == "temperature"


def test_what_was_lacking_is_forgotten_after_a_minute() -> None:
    assert found([reading(sensors={"temp": 1})], *([[reading()]] * 59))["temperature"].lacking == 1
    assert found([reading(sensors={"temp": 1})], *([[reading()]] * 60)) == {}


def test_few_messages_are_looked_at_whatever_their_number() -> None:
    presence = FieldMonitor(PIPELINE)
    for at in (0.0, 0.2, 0.9):
        presence.look([json.dumps(reading()).encode()] * 4000, at)
    assert 16 <= presence.evidence(1.0).sampled <= 17


@pytest.mark.integration
def test_a_pod_tells_which_field_was_renamed(kafka: Broker, tmp_path: Path) -> None:
    topics = Topics(kafka.bootstrap)
    topics.create()

    def send(times: range, name: str) -> None:
        for at in times:
            topics.send(json.dumps({"at": at, name: 20.0, "pressure": 3.0}).encode())
        topics.producer.flush(30)

    with pod(tmp_path / "pod", runtime(topics), Assignment(stable=revision())) as running:
        send(range(1000, 1100), "temperature")
        running.until(lambda found: found.readings == 100 and found.presence.sampled)
        sent = 1100

        def told(found: Any) -> bool:
            nonlocal sent
            send(range(sent, sent + 10), "temp")  # a batch now and then: some are looked at each second
            sent += 10
            return bool(found.presence.features)

        [feature] = running.until(told).presence.features
        assert (feature.name, feature.field, feature.likely) == ("temperature", "temperature", "temp")
        assert feature.last_seen is not None
