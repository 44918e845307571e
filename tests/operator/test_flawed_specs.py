"""Specs that make no sense, though the schema admits them: what stays in force, and in the consumer group."""

from typing import Any

import pytest

from anomaly_operator.core.group_conflict import group_conflict
from anomaly_operator.core.resources.names import (
    DETECTORS,
)
from anomaly_operator.kube.entries import InvalidSpecError
from anomaly_operator.kube.informers import Cache
from tests.operator.documents import KEY, detector, group
from tests.plan.world import merged

NONSENSE = {"alerts": {"suppress": [{"name": "x", "schedule": "0 2 * * *", "duration": "1h", "timeZone": "Europe/Atlantis"}]}}


@pytest.mark.parametrize("nonsense", [NONSENSE, {"features": "temperature"}])
def test_a_member_of_a_group_whose_spec_makes_no_sense_leaves_the_group_when_it_is_deleted(nonsense: dict[str, Any]) -> None:
    cache = Cache()
    cache.put(DETECTORS, detector("elder", age=60, **group("g")))
    cache.put(DETECTORS, detector("elder", version=2, age=60, **merged(group("g"), nonsense)))
    cache.put(DETECTORS, detector("pumps", **group("g")))
    before = cache.snapshot(KEY)
    assert before is not None
    assert group_conflict(before) is not None, "its pods go on with the last spec"
    cache.drop(DETECTORS, "plant", "elder", version=9)
    after = cache.snapshot(KEY)
    assert after is not None
    assert group_conflict(after) is None


def test_a_spec_that_makes_no_sense_is_told_and_the_last_one_stays_in_force() -> None:
    cache = Cache()
    cache.put(DETECTORS, detector())
    newest = detector(version=2, **NONSENSE)
    newest["metadata"]["generation"] = 2
    cache.put(DETECTORS, newest)
    snapshot = cache.snapshot(KEY)
    assert snapshot is not None
    assert "Europe/Atlantis" in snapshot.spec_error
    assert (snapshot.detector.generation, snapshot.detector.resource_version) == (2, "2")
    assert snapshot.detector.spec.alerts.suppress is None


def test_the_last_spec_of_a_namesake_is_not_taken_over() -> None:
    cache = Cache()
    cache.put(DETECTORS, detector())
    another = detector(version=2, **NONSENSE)
    another["metadata"]["uid"] = "uid-another"
    cache.put(DETECTORS, another)
    with pytest.raises(InvalidSpecError):
        cache.snapshot(KEY)
