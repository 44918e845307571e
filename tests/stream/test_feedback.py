"""Labels on a real broker: what somebody calls normal ends once, whatever is killed; how right alerts were; what is no label."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from anomaly_api.assignment import Assignment, Runtime
from tests.stream.pods import Topics, broken, calm, pod, revision, runtime

pytestmark = pytest.mark.integration


def labelled(topics: Topics) -> Runtime:
    return runtime(topics).model_copy(update={"labels_topic": f"{topics.name}.labels"})


def say(topics: Topics, **label: object) -> None:
    topics.producer.produce(f"{topics.name}.labels", json.dumps({"by": "ann", **label}))
    topics.producer.flush(30)


def events(topics: Topics, count: int) -> list[dict[str, Any]]:
    return [json.loads(message.value() or b"") for message in topics.received(topics.alerts, count)]


def of(event: dict[str, Any]) -> tuple[str, str, bool]:
    return event["type"].rpartition(".")[2], event["data"]["reason"], event["data"]["suppressed"]


def test_a_new_level_for_good_ends_when_somebody_calls_it_normal_and_stays_ended(topics: Topics, tmp_path: Path) -> None:
    topics.create()
    topics.create(f"{topics.name}.labels", partitions=1)
    order, asked = Assignment(stable=revision(warmup=60)), labelled(topics)
    with pod(tmp_path / "pod", asked, order) as running:
        topics.readings(range(1000, 1100), calm)
        topics.readings(range(1100, 1105), broken)
        [opened] = events(topics, 1)
        assert of(opened) == ("opened", "Opened", False)
        say(topics, label="Normal", episode=opened["data"]["episode"], note="a new pump")
        _, closed = events(topics, 2)
        assert of(closed) == ("closed", "Accepted", False)
        assert closed["data"]["episode"] == opened["data"]["episode"]
        running.until(lambda found: found.feedback is not None and found.feedback.labels == 1)
        running.kill()
        running.restart(order)
        topics.readings(range(1105, 1110), broken)
        *_, again = events(topics, 3)
        assert of(again) == ("opened", "Opened", True)
        assert again["data"]["suppressedBy"] == "accepted"
        found = running.until(lambda found: found.feedback is not None and found.feedback.normal_since is not None)
        assert found.feedback is not None
        [row] = found.feedback.revisions
        assert (row.revision, row.false_alarms, row.true_alarms) == (order.stable.name, 1, 0)
        told = f'anomaly_detector_feedback_precision_ratio{{revision="{order.stable.name}"}} 0.0'
        running.until(lambda _: told in running.get("/metrics")[1])
    assert len(topics.everything(topics.alerts)) == 3


def test_a_record_that_is_no_label_is_one_dead_letter_and_the_stream_goes_on(topics: Topics, tmp_path: Path) -> None:
    topics.create()
    topics.create(f"{topics.name}.labels", partitions=1)
    order = Assignment(stable=revision())
    with pod(tmp_path / "one", labelled(topics), order) as running:
        topics.readings(range(1000, 1010), calm)
        say(topics, label="Perhaps", entity="pump-1")
        [letter] = topics.received(topics.dead_letters, 1)
        headers = dict(letter.headers() or ())
        assert headers["reason"] == b"NotALabel"
        assert headers["topic"] == f"{topics.name}.labels".encode()
        running.until(lambda found: found.feedback is not None and found.feedback.rejected == 1)
    with pod(tmp_path / "two", labelled(topics), order) as running:
        say(topics, label="Missed", entity="pump-1")
        running.until(lambda found: found.feedback is not None and found.feedback.rejected == 2)
        assert len(topics.received(topics.dead_letters, 2)) == 2
        running.until(lambda found: found.source.lag == 0)
    assert len(topics.everything(topics.dead_letters)) == 2


def test_people_give_labels_from_a_pod_and_what_is_no_label_is_refused_there(
    topics: Topics, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from anomaly_detector.cli import label

    topics.create(f"{topics.name}.labels", partitions=1)
    (tmp_path / "runtime.json").write_text(labelled(topics).model_dump_json())
    monkeypatch.setenv("ANOMALY_CONFIG_FOLDER", str(tmp_path))
    assert label.main(["Missed", "--entity", "pump-1", "--by", "ann"]) == 1
    assert "Missed needs entity, from and until" in capsys.readouterr().err
    assert label.main(["FalseAlarm", "--episode", "0" * 32, "--by", "ann", "--note", "die Pumpe wurde gespült"]) == 0
    [record] = topics.everything(f"{topics.name}.labels")
    said = {"label": "FalseAlarm", "episode": "0" * 32, "by": "ann", "note": "die Pumpe wurde gespült"}
    assert json.loads(record.value() or b"") == said
    (tmp_path / "runtime.json").write_text(runtime(topics).model_dump_json())
    assert label.main(["FalseAlarm", "--episode", "0" * 32, "--by", "ann"]) == 1
    assert "set spec.feedback" in capsys.readouterr().err


def test_without_a_topic_of_labels_the_stream_is_scored_and_that_is_told(topics: Topics, tmp_path: Path) -> None:
    topics.create()
    with pod(tmp_path / "pod", labelled(topics), Assignment(stable=revision())) as running:
        topics.readings(range(1000, 1100), calm)
        found = running.until(lambda found: found.windows > 0 and found.feedback is not None)
        assert found.feedback is not None
        assert ".labels cannot be read" in found.feedback.message
