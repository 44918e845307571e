"""A scoring pod with room for two entities and a real broker: what is forgotten stays so, though it is killed or restarted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from anomaly_api.assignment import Assignment, Runtime
from anomaly_detector.core.entities.quota import MemoryQuota
from anomaly_detector.core.pipeline import DetectionPipeline
from anomaly_detector.core.scoring.revisions import LoadedRevision
from tests.stream.pods import Topics, broken, calm, pod, revision, runtime

pytestmark = pytest.mark.integration


def with_room_for(entities: int, topics: Topics, partitions: int) -> Runtime:
    bounds = DetectionPipeline("x", LoadedRevision(revision()), MemoryQuota(10**9, partitions, 60.0)).configuration.intake.bounds
    assert bounds is not None
    budget = (partitions + 1) * entities * (bounds.entity_bytes + len("pump-1"))
    return runtime(topics).model_copy(update={"memory_budget": budget})


def events(topics: Topics, count: int = 0) -> list[tuple[str, str]]:
    """The first `count` alerts, once they are there; 0: all that there are now."""
    records = topics.received(topics.alerts, count) if count else topics.everything(topics.alerts)
    found: list[dict[str, Any]] = [json.loads(record.value() or b"") for record in records]
    return [(alert["subject"], alert["type"].rpartition(".")[2]) for alert in found]


def test_an_entity_that_is_forgotten_has_its_episode_closed_and_begins_anew_whatever_happens_to_the_pod(
    topics: Topics, tmp_path: Path
) -> None:
    topics.create(partitions=1)
    order, assignment = with_room_for(2, topics, partitions=1), Assignment(stable=revision())
    with pod(tmp_path / "pod", order, assignment) as first:
        topics.readings(range(1000, 1050), calm)
        topics.readings(range(1050, 1052), broken)
        topics.readings(range(1052, 1072), calm, key=b"pump-2")
        assert events(topics, 1) == [("pump-1", "opened")]
        first.until(lambda found: found.readings == 72 and found.entities == 2 and not found.source.lag)
        first.process.kill()
        first.process.wait()
    with pod(tmp_path / "pod", order, assignment) as second:
        topics.readings(range(1072, 1092), calm, key=b"pump-3")
        assert events(topics, 2) == [("pump-1", "opened"), ("pump-1", "closed")]
        evidence = second.until(lambda found: found.memory.evicted and found.entities == 2)
        assert evidence.memory.evicted == {"Budget": 1}
        assert evidence.memory.recently_cut_off == 1
        assert 0 < evidence.memory.used <= evidence.memory.share
        assert 'anomaly_detector_entities_evicted_total{reason="Budget"} 1.0' in second.get("/metrics")[1]
        assert second.terminate() == 0
    with pod(tmp_path / "pod", order, assignment) as third:
        topics.readings(range(1092, 1107), broken, key=b"pump-1")
        evidence = third.until(lambda found: found.readings == 15 and found.memory.evicted)
        assert evidence.windows == 15 - 12, "it warms up again: no window reaches across the hole"
        assert evidence.memory.evicted == {"Budget": 1}, "pump-2 had to go"
        assert third.terminate() == 0
    assert events(topics) == [("pump-1", "opened"), ("pump-1", "closed")]


def test_an_entity_that_sends_nothing_for_long_is_forgotten(topics: Topics, tmp_path: Path) -> None:
    topics.create(partitions=1)
    order = with_room_for(100, topics, partitions=1).model_copy(update={"expire_after": "10m"})
    with pod(tmp_path / "pod", order, Assignment(stable=revision())) as running:
        topics.readings(range(1000, 1050), calm)
        topics.readings(range(1050, 1052), broken)
        topics.readings(range(1651, 1653), calm, key=b"pump-2")
        evidence = running.until(lambda found: found.memory.evicted and found.readings == 54)
        assert (evidence.memory.evicted, evidence.entities, evidence.memory.recently_cut_off) == ({"Idle": 1}, 1, 0)
        assert events(topics, 2) == [("pump-1", "opened"), ("pump-1", "closed")]
