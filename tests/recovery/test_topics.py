"""What is written to is refused, or gone: the pod waits and says so, reads no more than it can hold, and then goes on."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from anomaly_api.assignment import Assignment
from anomaly_api.evidence import SourceState
from anomaly_api.policy import Delivery
from anomaly_detector.adapters.kafka.state.topics import StateTopic
from anomaly_detector.core.columns import Messages
from anomaly_detector.core.pipeline import DetectionPipeline
from anomaly_detector.core.scoring.revisions import LoadedRevision
from dev.harness.scoring_pod import ScoringPod
from tests.stream.pods import Topics, broken, calm, pod, revision, runtime

if TYPE_CHECKING:
    from dev.environment.kafka.broker import Broker

pytestmark = pytest.mark.integration
ENTITIES = 50
CHUNK = 100
BEYOND = 20
PATIENCE_SECONDS = 90.0
MOST_GROWTH_BYTES = 96 * 2**20


@pytest.fixture
def topics(kafka: Broker) -> Topics:
    found = Topics(kafka.bootstrap)
    found.create()
    return found


def refuse(topics: Topics, name: str, *, refused: bool) -> None:
    """A topic that takes no record of more than a few bytes takes no alert."""
    admin = AdminClient({"bootstrap.servers": topics.bootstrap})
    wanted = ConfigEntry("max.message.bytes", "100" if refused else "1048588", incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, name, incremental_configs=[wanted])
    admin.incremental_alter_configs([resource])[resource].result(30)


def resident_bytes(running: ScoringPod) -> int:
    status = Path(f"/proc/{running.process.pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) * 1024


def readings(first: int) -> Iterator[tuple[int, bytes, bytes]]:
    """Partition, key and value for CHUNK steps; every entity is out of its mind now and then."""
    for step in range(first, first + CHUNK):
        pressure = 90.0 if step % CHUNK >= CHUNK - 5 else 3.0 + step % 2 * 0.1
        value = json.dumps({"at": 1000 + step, "temperature": 20.0 + step % 3 * 0.1, "pressure": pressure}).encode()
        for entity in range(ENTITIES):
            yield entity % 2, b"pump-%d" % entity, value


def flood(topics: Topics, first: int) -> None:
    for partition, key, value in readings(first):
        topics.send(value, key, partition=partition)
    assert topics.producer.flush(120) == 0


def expected_alerts(source: str, chunks: int) -> set[bytes]:
    """What the core alone makes of it."""
    written_ms = int(time.time() * 1000)
    stream = DetectionPipeline(source, LoadedRevision(revision()))
    found: set[bytes] = set()
    for chunk in range(chunks):
        rows = list(readings(chunk * CHUNK))
        partitions = np.array([partition for partition, *_ in rows], np.int64)
        stamps = np.full(len(rows), written_ms, np.int64)
        messages = Messages([value for *_, value in rows], [key for _, key, _ in rows], stamps, partitions)
        found |= {alert.value for alert in stream.process(messages).alerts}
    return found


def stands_still(running: ScoringPod) -> bool:
    slowest = running.evidence().source.slowest
    return slowest is not None and slowest.waiting > 4.0


@pytest.mark.parametrize("delivery", list(Delivery))
def test_alerts_that_cannot_be_written_hold_reading_up_and_memory_does_not_grow(
    topics: Topics, tmp_path: Path, delivery: Delivery
) -> None:
    order = runtime(topics).model_copy(update={"delivery": delivery})
    with pod(tmp_path / "pod", order, Assignment(stable=revision())) as running:
        flood(topics, 0)
        running.until(lambda found: found.alerts > 0 and found.source.lag == 0, seconds=60)
        before = resident_bytes(running)
        refuse(topics, topics.alerts, refused=True)
        chunks, deadline = 1, time.monotonic() + PATIENCE_SECONDS
        while not stands_still(running):
            flood(topics, chunks * CHUNK)
            chunks += 1
            assert time.monotonic() < deadline, "it reads on and on"
        for _ in range(BEYOND):
            flood(topics, chunks * CHUNK)
            chunks += 1
        running.until(lambda found: found.source.lag >= BEYOND * CHUNK * ENTITIES, seconds=60)
        assert resident_bytes(running) - before < MOST_GROWTH_BYTES
        assert running.get("/healthz")[0] == 200
        refuse(topics, topics.alerts, refused=False)
        done = running.until(lambda found: found.source.lag == 0 and found.source.recovering == 0, seconds=300)
        assert done.source.slowest is None
        assert resident_bytes(running) - before < MOST_GROWTH_BYTES
        assert running.terminate() == 0
    written = {message.value() for message in topics.everything(topics.alerts)}
    assert written == expected_alerts(order.detector.source, chunks)


@pytest.mark.parametrize("which", ["alerts", "source"])
def test_a_topic_that_is_deleted_while_it_runs_is_waited_for(topics: Topics, tmp_path: Path, which: str) -> None:
    name, state = {
        "alerts": (topics.alerts, SourceState.ALERTS_TOPIC_NOT_FOUND),
        "source": (topics.name, SourceState.TOPIC_NOT_FOUND),
    }[which]
    with pod(tmp_path / "pod", runtime(topics), Assignment(stable=revision())) as running:
        topics.readings(range(1000, 1050), calm)
        running.until(lambda found: found.readings == 50)
        admin = AdminClient({"bootstrap.servers": topics.bootstrap})
        admin.delete_topics([name])[name].result(30)
        running.until(lambda found: found.source.state is state, seconds=60)
        assert running.get("/readyz")[0] == 503
        assert running.get("/healthz")[0] == 200
        topics.create(name)
        running.until(lambda found: found.source.state is SourceState.READING, seconds=60)
        again = Topics(topics.bootstrap, topics.name)
        again.readings(range(2000, 2050), calm)
        again.readings(range(2050, 2053), broken)
        assert len(topics.received(topics.alerts, 1, seconds=60)) == 1
        assert running.terminate() == 0


@pytest.mark.parametrize(
    ("before", "now", "another"),
    [
        (StateTopic("x", 0), StateTopic("x", 0), False),
        (StateTopic("", 1), StateTopic("x", 1), False),  # nobody had told its id
        (StateTopic("x", 0), StateTopic("y", 0), True),  # another pod has made it
        (StateTopic("", 1), StateTopic("y", 2), True),  # it went before anybody had told its id
        (StateTopic("x", 1), StateTopic("x", 2), True),  # the broker has not told its new id yet
    ],
)
def test_a_state_topic_is_another_one_when_it_was_made_again(before: StateTopic, now: StateTopic, another: bool) -> None:
    assert now.another(before) is another


def test_a_state_topic_that_forgets_is_told_while_all_is_scored(topics: Topics, tmp_path: Path) -> None:
    order = runtime(topics)
    topics.create(order.state_topic, cleanup_policy="delete")
    with pod(tmp_path / "pod", order, Assignment(stable=revision())) as running:
        topics.readings(range(1000, 1020), calm)
        found = running.until(lambda found: found.readings == 20 and found.source.state is SourceState.STATE_TOPIC_FORGETS)
        assert f"{order.state_topic} has cleanup.policy=delete" in found.source.message
        assert "set it to compact" in found.source.message


def test_a_state_topic_that_takes_small_messages_only_is_told_before_anything_is_lost(topics: Topics, tmp_path: Path) -> None:
    order = runtime(topics)
    topics.create(order.state_topic, cleanup_policy="compact", max_message_bytes="100000")
    with pod(tmp_path / "pod", order, Assignment(stable=revision())) as running:
        found = running.until(lambda found: found.source.state is SourceState.STATE_TOPIC_UNUSABLE)
        assert f"{order.state_topic} takes no more than 100,000 bytes at once (max.message.bytes)" in found.source.message
        right = ConfigEntry("max.message.bytes", "1048588", incremental_operation=AlterConfigOpType.SET)
        resource = ConfigResource(ResourceType.TOPIC, order.state_topic, incremental_configs=[right])
        admin = AdminClient({"bootstrap.servers": topics.bootstrap})
        admin.incremental_alter_configs([resource])[resource].result(30)
        topics.readings(range(1000, 1020), calm)
        running.until(lambda found: found.readings == 20 and found.source.state is SourceState.READING)


def test_a_state_topic_that_is_deleted_while_it_runs_is_made_again(topics: Topics, tmp_path: Path) -> None:
    order = runtime(topics)
    with pod(tmp_path / "pod", order, Assignment(stable=revision())) as running:
        topics.readings(range(1000, 1050), calm)
        running.until(lambda found: found.readings == 50)
        admin = AdminClient({"bootstrap.servers": topics.bootstrap})
        admin.delete_topics([order.state_topic])[order.state_topic].result(30)
        deadline = time.monotonic() + 60
        while order.state_topic not in admin.list_topics(timeout=10).topics:
            assert time.monotonic() < deadline, "nobody has made it again"
        topics.readings(range(1050, 1100), calm)
        topics.readings(range(1100, 1103), broken)
        assert len(topics.received(topics.alerts, 1, seconds=60)) == 1
        assert running.terminate() == 0


def test_what_is_remembered_is_written_again_at_once_when_the_state_topic_is_deleted(topics: Topics, tmp_path: Path) -> None:
    order = runtime(topics)
    with pod(tmp_path / "pod", order, Assignment(stable=revision())) as running:
        topics.readings(range(1000, 1050), calm)
        topics.readings(range(1050, 1053), broken)
        assert len(topics.received(topics.alerts, 1, seconds=60)) == 1
        running.until(lambda found: found.readings == 53)
        topics.delete(order.state_topic)
        deadline = time.monotonic() + 90
        while not {b"checkpoint", b"episodes/pump-1"} <= keys_of(topics, order.state_topic):
            assert time.monotonic() < deadline, "nothing is written"
        running.process.kill()
        running.process.wait()
    with pod(tmp_path / "pod", order, Assignment(stable=revision())) as second:
        topics.readings(range(1053, 1073), calm)
        evidence = second.until(lambda found: found.readings == 20)
        assert evidence.windows == 20, "none waits for a window"
        opened, closed = (json.loads(message.value() or b"")["data"] for message in topics.received(topics.alerts, 2))
        assert closed["episode"] == opened["episode"]
        assert closed["reason"] == "Recovered"
        assert second.terminate() == 0


def keys_of(topics: Topics, name: str) -> set[bytes | str | None]:
    """Of all records that a topic holds; none while it is not there."""
    if name not in AdminClient({"bootstrap.servers": topics.bootstrap}).list_topics(timeout=10).topics:
        return set()
    return {message.key() for message in topics.everything(name)}
