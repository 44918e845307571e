"""A scoring pod against a real broker: readings in, alerts and dead letters out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from anomaly_api.alert import Alert, EpisodeEvent, ScorerKind
from anomaly_api.assignment import Assignment
from anomaly_api.evidence import RevisionFailure, SourceState
from tests.scoring.graphs import archive
from tests.stream.pods import PIPELINE, Topics, broken, calm, pod, revision, runtime

pytestmark = pytest.mark.integration


def test_an_anomaly_becomes_an_alert_and_its_end_another(topics: Topics, tmp_path: Path) -> None:
    topics.create()
    with pod(tmp_path / "pod", runtime(topics), Assignment(stable=revision())) as running:
        topics.readings(range(1000, 1100), calm)
        topics.readings(range(1100, 1103), broken)
        topics.readings(range(1103, 1120), calm)
        alerts = [Alert.model_validate_json(record.value() or b"") for record in topics.received(topics.alerts, 2)]
        assert [alert.type for alert in alerts] == [EpisodeEvent.OPENED, EpisodeEvent.CLOSED]
        opened, closed = alerts
        assert (opened.subject, opened.time) == ("pump-1", "1970-01-01T00:18:21Z")
        assert opened.source == "/namespaces/plant/anomalydetectors/pumps"
        assert opened.data.scorer is ScorerKind.STATISTICAL
        assert opened.data.contributors[0].feature == "pressure"
        assert opened.data.contributors[0].actual == 90.0
        assert opened.data.contributors[0].expected == pytest.approx(3.05, abs=0.2)
        assert closed.data.episode == opened.data.episode
        assert closed.data.end == closed.time
        evidence = running.until(lambda found: found.alerts == 2 and found.source.lag == 0)
        assert evidence.source.state is SourceState.READING
        assert evidence.readings == 120
        assert evidence.revisions[0].episodes == 1
        assert running.get("/readyz")[0] == running.get("/healthz")[0] == 200
        assert "anomaly_detector_alerts_total 2.0" in running.get("/metrics")[1]
        assert "pump-1" not in running.get("/metrics")[1]
        assert running.terminate() == 0


def test_what_cannot_be_read_goes_to_the_dead_letters_with_its_reason(topics: Topics, tmp_path: Path) -> None:
    topics.create()
    bad = {
        b"not json": "NotJson",
        b'{"at": 1, "temp": 20.0, "pressure": null}': "FeatureMissing",  # null is there, and no value
        b'{"at": 1, "temperature": "low", "pressure": "high"}': "FeatureInvalid",
        b'{"at": "yesterday", "temperature": 20.0, "pressure": 3.0}': "TimeInvalid",
        b'{"at": 99999999999, "temperature": 20.0, "pressure": 3.0}': "FutureTime",
    }
    with pod(tmp_path / "pod", runtime(topics), Assignment(stable=revision())) as running:
        topics.readings(range(1000, 1010), calm)
        for value in bad:
            topics.send(value)
        topics.readings(range(1010, 1020), calm)
        records = topics.received(topics.dead_letters, len(bad))
        assert {record.value(): dict(record.headers() or [])["reason"].decode() for record in records} == bad
        headers = {name: text.decode() for name, text in records[0].headers() or []}
        assert headers["topic"] == topics.name
        assert headers["partition"] == "0"
        assert headers["offset"] == "10"
        assert headers["message"].startswith("the message is not JSON")
        assert headers["time"].endswith("Z")
        assert records[0].key() == b"pump-1"
        evidence = running.until(lambda found: found.readings == 20 + len(bad))
        assert evidence.dead_letters == dict.fromkeys(bad.values(), 1)
        assert evidence.recent_dead_letters == len(bad)
        assert evidence.windows == 20 - 12


def test_readings_out_of_order_there_twice_and_with_values_missing_are_counted(topics: Topics, tmp_path: Path) -> None:
    topics.create()
    patient = PIPELINE.model_copy(update={"time": PIPELINE.time.model_copy(update={"lateness": "3s", "max_waiting": 8})})
    with pod(tmp_path / "pod", runtime(topics), Assignment(stable=revision(patient))) as running:
        topics.readings(range(1000, 1030), calm)
        for at in (1031, 1030, 1030, 1000):  # out of order, there twice, late
            topics.send(json.dumps({"at": at, "temperature": 20.0, "pressure": None}).encode())
        topics.readings(range(1032, 1040), calm)
        evidence = running.until(lambda found: found.readings == 42)
        assert (evidence.late, evidence.duplicates, evidence.released_early) == (1, 1, 0)
        assert (evidence.missing, evidence.imputed) == ({"pressure": 4}, 2)
        assert evidence.windows == 40 - 3 - 12, "the last three wait"
        metrics = running.get("/metrics")[1]
        for name, count in {
            "late_readings": 1,
            "duplicate_readings": 1,
            "released_early_readings": 0,
            "dropped_pending_readings": 0,
            "imputed_values": 2,
        }.items():
            assert f"anomaly_detector_{name}_total {count}.0" in metrics
        assert 'anomaly_detector_missing_values_total{feature="pressure"} 4.0' in metrics


def test_after_a_restart_it_goes_on_where_it_was(topics: Topics, tmp_path: Path) -> None:
    topics.create()
    order, assignment = runtime(topics), Assignment(stable=revision())
    topics.readings(range(1000, 1050), calm)
    with pod(tmp_path / "first", order, assignment) as first:
        first.until(lambda found: found.readings == 50)
        assert first.terminate() == 0
    topics.readings(range(1050, 1060), calm)
    with pod(tmp_path / "second", order, assignment) as second:
        assert second.until(lambda found: found.readings >= 10).readings == 10


def test_a_model_takes_over_while_running_and_keeps_the_windows(topics: Topics, tmp_path: Path) -> None:
    topics.create()
    digest, packed = archive(PIPELINE, center=20.0)
    place = tmp_path / "model.tar"
    with pod(tmp_path / "pod", runtime(topics), Assignment(stable=revision())) as running:
        topics.readings(range(1000, 1003), calm)
        running.until(lambda found: found.readings == 3)
        with_model = Assignment(stable=revision(model=digest, threshold=1000.0), artifacts={digest: str(place)})
        running.assign(with_model)
        waiting = running.until(lambda found: len(found.revisions) == 2)
        assert waiting.revisions[1].failure is RevisionFailure.ARTIFACT_MISSING
        assert waiting.revisions[1].revision == with_model.stable.name
        assert waiting.revisions[0].loaded
        place.write_bytes(packed)
        running.until(lambda found: found.assignment == with_model.digest)
        topics.readings(range(1003, 1004), calm)
        evidence = running.until(lambda found: found.readings == 4)
        assert evidence.windows == 1, "the window is full with readings from before the change"
        assert [(each.revision, each.loaded, each.windows) for each in evidence.revisions] == [(with_model.stable.name, True, 1)]


def test_a_model_with_another_digest_never_decides(topics: Topics, tmp_path: Path) -> None:
    topics.create()
    digest, _ = archive(PIPELINE)
    _, other = archive(PIPELINE, center=5.0)
    place = tmp_path / "model.tar"
    place.write_bytes(other)
    assignment = Assignment(stable=revision(model=digest), artifacts={digest: str(place)})
    topics.readings(range(1000, 1020), calm)
    with pod(tmp_path / "pod", runtime(topics), assignment) as running:
        evidence = running.until(lambda found: found.readings == 20 and found.windows)
        [mine] = evidence.revisions
        assert (mine.loaded, mine.failure) == (False, RevisionFailure.DIGEST_MISMATCH)
        assert "has digest" in mine.message
        assert mine.fallback_windows == mine.windows == 8, "the fallback scorer decides meanwhile"


@pytest.mark.parametrize(
    ("missing", "state"),
    [
        ("source", SourceState.TOPIC_NOT_FOUND),
        ("alerts", SourceState.ALERTS_TOPIC_NOT_FOUND),
        ("dead_letters", SourceState.DEAD_LETTER_TOPIC_NOT_FOUND),
    ],
)
def test_a_missing_topic_is_named_and_used_once_it_is_there(
    topics: Topics, tmp_path: Path, missing: str, state: SourceState
) -> None:
    names = {"source": topics.name, "alerts": topics.alerts, "dead_letters": topics.dead_letters}
    late = names.pop(missing)
    topics.create(*names.values())
    with pod(tmp_path / "pod", runtime(topics), Assignment(stable=revision())) as running:
        evidence = running.until(lambda found: found.source.state is state)
        assert f"topic {late} does not exist" in evidence.source.message
        assert running.get("/readyz")[0] == 503
        assert running.get("/healthz")[0] == 200
        topics.create(late)
        topics.readings(range(1000, 1010), calm)
        running.until(lambda found: found.readings == 10)


def test_a_broker_that_does_not_answer_is_said_so(tmp_path: Path) -> None:
    nowhere = Topics("127.0.0.1:1")
    with pod(tmp_path / "pod", runtime(nowhere), Assignment(stable=revision())) as running:
        evidence = running.until(lambda found: found.source.state is SourceState.BROKER_UNREACHABLE)
        assert "no broker answers at 127.0.0.1:1" in evidence.source.message
        assert running.terminate() == 0


@pytest.mark.parametrize(
    ("name", "value"), [("fetch.wait.maximum.ms", "10"), ("max.poll.interval.ms", "5000"), ("acks", "1"), ("retries", "0")]
)
def test_a_property_of_which_no_client_can_be_made_is_said_so_and_ends_nothing(
    topics: Topics, tmp_path: Path, name: str, value: str
) -> None:
    topics.create()
    order = runtime(topics)
    wrong = order.kafka.model_copy(update={"properties": {name: value}})
    with pod(tmp_path / "pod", order.model_copy(update={"kafka": wrong}), Assignment(stable=revision())) as running:
        evidence = running.until(lambda found: found.source.state is SourceState.FAILED)
        assert "spec.source.kafka makes no sense" in evidence.source.message
        assert name in evidence.source.message
        assert running.get("/healthz")[0] == 200
        assert running.terminate() == 0


def test_properties_that_people_set_for_their_networks_and_messages_are_taken(topics: Topics, tmp_path: Path) -> None:
    topics.create()
    order = runtime(topics)
    patient = {"socket.timeout.ms": "60000", "message.timeout.ms": "300000", "session.timeout.ms": "60000"}
    kafka = order.kafka.model_copy(update={"properties": patient | {"message.max.bytes": "8000000"}})
    with pod(tmp_path / "pod", order.model_copy(update={"kafka": kafka}), Assignment(stable=revision())) as running:
        topics.readings(range(1000, 1010), calm)
        running.until(lambda found: found.readings == 10)
        assert running.terminate() == 0


def test_orders_that_make_no_sense_end_the_process_with_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "runtime.json").write_text(json.dumps({"detector": {}}))
    environment = {"ANOMALY_CONFIG_FOLDER": str(tmp_path)}
    command = [sys.executable, "-m", "anomaly_detector"]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 2
    assert "runtime.json: detector.namespace: Field required" in ended.stderr


def test_a_broker_that_goes_and_comes_back_loses_nothing(tmp_path: Path) -> None:
    from dev.environment.kafka import broker

    with broker.running(f"tests-{os.getpid()}-outage") as own:
        topics = Topics(own.bootstrap)
        topics.create()
        with pod(tmp_path / "pod", runtime(topics), Assignment(stable=revision())) as running:
            topics.readings(range(1000, 1100), calm)
            running.until(lambda found: found.readings == 100)
            own.kill()
            evidence = running.until(lambda found: found.source.state is SourceState.BROKER_UNREACHABLE)
            assert "no broker answers" in evidence.source.message
            assert running.get("/readyz")[0] == 503
            own.start()
            topics.readings(range(1100, 1103), broken)
            running.until(lambda found: found.readings >= 103 and found.source.state is SourceState.READING)
            assert len(topics.received(topics.alerts, 1)) == 1
            assert running.terminate() == 0


def test_two_pods_share_the_partitions_and_standing_by_is_ready(topics: Topics, tmp_path: Path) -> None:
    topics.create(partitions=1)
    order, assignment = runtime(topics), Assignment(stable=revision())
    with pod(tmp_path / "first", order, assignment) as first:
        first.until(lambda found: found.source.partitions == 1)
        with pod(tmp_path / "second", order, assignment) as second:
            second.until(lambda found: found.source.state is SourceState.READING)
            assert second.get("/readyz")[0] == 200
            both = [first.evidence().source.partitions, second.evidence().source.partitions]
            assert sorted(both) == [0, 1]
            assert first.terminate() == 0
            topics.readings(range(1000, 1010), calm)
            second.until(lambda found: found.source.partitions == 1 and found.readings == 10)
