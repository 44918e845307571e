"""A status of a newer version is read as far as this one understands it: an operator that was rolled back goes on."""

from __future__ import annotations

from typing import Any

import pytest

from anomaly_api.lenient import read_leniently
from anomaly_api.model import ModelStatus
from anomaly_api.status import DetectorStatus
from tests.contract.schemas import MISSING, Path, nodes, placed, schema_of, written

NOW = "2026-01-01T10:00:00Z"
READY = {"type": "Ready", "status": "True", "reason": "Scoring", "message": "scores", "observedGeneration": 1}
STATUS: dict[str, Any] = {
    "observedGeneration": 3,
    "conditions": [{**READY, "lastTransitionTime": NOW}, {**READY, "type": "Scoring", "lastTransitionTime": NOW}],
    "stable": {"revision": "3f2a91c0", "model": "pumps-7d41c0e2", "since": NOW},
    "training": {"state": "Training", "job": "pumps-train-1", "progress": 40},
    "scaling": {"replicas": 3, "reason": "Lag", "since": NOW},
    "replicas": 3,
}
SCHEMA = schema_of("AnomalyDetector")["properties"]["status"]
PLACES = [path for path, _ in nodes(SCHEMA) if path]


@pytest.mark.parametrize("path", PLACES, ids=written)
@pytest.mark.parametrize(
    "value", ["FromTheFuture", 7, [], {}, None, MISSING], ids=["text", "number", "list", "object", "null", "missing"]
)
def test_whatever_a_newer_version_writes_somewhere_the_rest_is_read(path: Path, value: Any) -> None:
    document = placed(STATUS, SCHEMA, path, value)
    read, unread = read_leniently(DetectorStatus, document)
    kept = read.document()
    assert {name: kept.get(name) for name in STATUS if name != path[0]} == {k: v for k, v in STATUS.items() if k != path[0]}
    assert set(unread) <= {path[0]}


def test_an_unknown_value_is_left_out_with_the_smallest_thing_that_needs_it() -> None:
    conditions = [{**STATUS["conditions"][0], "status": "Perhaps"}, STATUS["conditions"][1]]
    training = {"state": "Training", "job": "pumps-train-1", "progress": "forty"}
    read, unread = read_leniently(
        DetectorStatus, {**STATUS, "conditions": conditions, "training": training, "rollout": {"step": 2}}
    )
    assert [condition.type for condition in read.conditions or []] == ["Scoring"]
    assert read.training is not None
    assert (read.training.state, read.training.progress) == ("Training", None)
    assert unread == {"conditions": conditions, "training": training}


def test_what_can_be_read_is_read_whole() -> None:
    read, unread = read_leniently(DetectorStatus, STATUS)
    assert (read.document(), unread) == (STATUS, {})


def test_the_status_of_a_model_is_read_in_the_same_way() -> None:
    read, _ = read_leniently(ModelStatus, {"usedBy": ["pumps"], "conditions": [{"type": "Verified", "status": "Maybe"}]})
    assert (read.used_by, read.conditions) == (["pumps"], [])
