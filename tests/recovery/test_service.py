"""A scoring pod that is killed or comes back late, against a real broker: what it remembers, and what it says was lost."""

from __future__ import annotations

from pathlib import Path

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from anomaly_api.assignment import Assignment
from anomaly_api.policy import Delivery
from tests.stream.pods import Topics, broken, calm, pod, revision, runtime

pytestmark = pytest.mark.integration


def distinct_alerts(topics: Topics, count: int) -> list[bytes]:
    """At least once, some come again as they were."""
    for repeated in range(3):
        found = list(dict.fromkeys(message.value() or b"" for message in topics.received(topics.alerts, count + repeated)))
        if len(found) == count:
            break
    return found


@pytest.mark.parametrize("delivery", list(Delivery))
def test_a_pod_that_is_killed_goes_on_with_its_windows_and_its_episodes(
    topics: Topics, tmp_path: Path, delivery: Delivery
) -> None:
    topics.create()
    order = runtime(topics).model_copy(update={"delivery": delivery})
    assignment = Assignment(stable=revision())
    with pod(tmp_path / "pod", order, assignment) as first:
        topics.readings(range(1000, 1100), calm)
        topics.readings(range(1100, 1102), broken)
        assert len(topics.received(topics.alerts, 1)) == 1
        first.process.kill()
        first.process.wait()
    with pod(tmp_path / "pod", order, assignment) as second:
        topics.readings(range(1102, 1120), calm)
        opened, closed = distinct_alerts(topics, 2)
        assert b"episode.opened" in opened
        assert b"episode.closed" in closed
        evidence = second.until(lambda found: found.readings >= 18)
        if delivery is Delivery.EXACTLY_ONCE:
            assert evidence.readings == evidence.windows == 18, "none is decided again, and none waits for a window"
        assert second.terminate() == 0
    if delivery is Delivery.EXACTLY_ONCE:
        assert len(topics.everything(topics.alerts)) == 2


def test_readings_that_are_gone_before_they_were_read_are_counted(topics: Topics, tmp_path: Path) -> None:
    topics.create()
    order, assignment = runtime(topics), Assignment(stable=revision())
    with pod(tmp_path / "pod", order, assignment) as first:
        topics.readings(range(1000, 1050), calm)
        first.until(lambda found: found.readings == 50)
        assert first.terminate() == 0
    topics.readings(range(1050, 1100), calm)
    admin = AdminClient({"bootstrap.servers": topics.bootstrap})
    for future in admin.delete_records([TopicPartition(topics.name, 0, 70)]).values():
        future.result(30)
    with pod(tmp_path / "pod", order, assignment) as second:
        evidence = second.until(lambda found: found.readings == 30)
        assert evidence.source.skipped == evidence.source.recently_skipped == 20
        assert "anomaly_detector_skipped_messages_total 20.0" in second.get("/metrics")[1]
        assert evidence.windows == 30 - 12, "windows begin empty after what is missing"


def test_a_topic_that_was_made_anew_is_read_from_its_beginning(topics: Topics, tmp_path: Path) -> None:
    topics.create()
    order, assignment = runtime(topics), Assignment(stable=revision())
    with pod(tmp_path / "pod", order, assignment) as first:
        topics.readings(range(1000, 1050), calm)
        first.until(lambda found: found.readings == 50)
        assert first.terminate() == 0
    admin = AdminClient({"bootstrap.servers": topics.bootstrap})
    for future in admin.delete_topics([topics.name]).values():
        future.result(30)
    again = Topics(topics.bootstrap, topics.name)
    for _ in range(100):
        if topics.name not in admin.list_topics(timeout=10).topics:
            break
    again.create(topics.name)
    again.readings(range(2000, 2020), calm)
    with pod(tmp_path / "pod", order, assignment) as second:
        evidence = second.until(lambda found: found.readings == 20)
        assert evidence.windows == 20 - 12
        assert "made anew" in second.log.read_text()
