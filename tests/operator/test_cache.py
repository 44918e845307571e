"""What the cache keeps, what it forgets, and whom a change concerns."""

import base64
import hashlib
from typing import Any

import pytest

from anomaly_api.meta import LABEL_DETECTOR
from anomaly_operator.core.group_conflict import group_conflict
from anomaly_operator.core.models.slots import HASHES
from anomaly_operator.core.resources.names import CONFIG_MAPS, DEPLOYMENTS, DETECTORS, MODELS, PODS, SERVICES
from anomaly_operator.core.scaling import SCALED_BY
from anomaly_operator.kube.informers import Cache, InvalidSpecError, trimmed
from tests.plan.world import SPEC, START, merged, seen_time, trained

KEY = ("plant", "pumps")


def detector(name: str = "pumps", version: int = 1, age: float = 0.0, **spec: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "plant", "uid": f"uid-{name}", "resourceVersion": str(version)}
    metadata["creationTimestamp"] = seen_time(START - age)
    return {"metadata": metadata, "spec": merged(SPEC, spec)}


def child(name: str = "pumps-detector", version: int = 1, owner: str = "pumps", **content: Any) -> dict[str, Any]:
    labels = {LABEL_DETECTOR: owner}
    return {"metadata": {"name": name, "namespace": "plant", "resourceVersion": str(version), "labels": labels}, **content}


def group(name: str, brokers: str = "kafka:9092") -> dict[str, Any]:
    return {"source": {"kafka": {"groupId": name, "bootstrapServers": brokers}}}


def test_an_older_version_never_replaces_a_newer_one() -> None:
    cache = Cache()
    cache.put(SERVICES, child(version=7, spec={"new": True}))
    cache.put(SERVICES, child(version=6, spec={"new": False}))
    kept = cache.child(KEY, SERVICES, "pumps-detector")
    assert kept is not None
    assert kept["spec"] == {"new": True}


def test_a_deletion_told_late_does_not_take_the_successor_away() -> None:
    cache = Cache()
    cache.put(SERVICES, child(version=7))
    assert cache.drop(SERVICES, "plant", "pumps-detector", version=5) == set()
    assert cache.child(KEY, SERVICES, "pumps-detector") is not None
    assert cache.drop(SERVICES, "plant", "pumps-detector", version=8) == {KEY}
    assert cache.child(KEY, SERVICES, "pumps-detector") is None


def test_whom_a_change_concerns_is_told_once() -> None:
    cache = Cache()
    cache.put(PODS, child("pumps-detector-1"))
    assert cache.concerned(PODS, "plant", "pumps-detector-1") == {KEY}
    assert cache.concerned(PODS, "plant", "pumps-detector-1") == set()


def test_a_change_of_the_group_concerns_the_old_rivals_and_the_new_ones() -> None:
    cache = Cache()
    for name, of in (("elder", "a"), ("pumps", "a"), ("third", "b")):
        cache.put(DETECTORS, detector(name, **group(of)))
        cache.concerned(DETECTORS, "plant", name)
    cache.put(DETECTORS, detector("pumps", version=2, **group("b")))
    assert cache.concerned(DETECTORS, "plant", "pumps") == {("plant", name) for name in ("elder", "pumps", "third")}


@pytest.mark.parametrize(
    ("mine", "theirs", "conflict"),
    [
        (group("g"), group("g"), True),
        (group("g"), group("h"), False),
        (group("g", "a:9092,b:9092"), group("g", "B:9092, c:9092"), True),
        (group("g", "a:9092"), group("g", "b:9092"), False),
    ],
)
def test_a_rival_has_the_same_group_on_the_same_brokers_and_is_older(
    mine: dict[str, Any], theirs: dict[str, Any], conflict: bool
) -> None:
    cache = Cache()
    cache.put(DETECTORS, detector("pumps", **mine))
    cache.put(DETECTORS, detector("elder", age=60, **theirs))
    snapshot, elders = cache.snapshot(KEY), cache.snapshot(("plant", "elder"))
    assert snapshot is not None
    assert elders is not None
    assert (group_conflict(snapshot) is not None) is conflict
    assert group_conflict(elders) is None


def test_a_detector_that_is_going_is_looked_at_no_more() -> None:
    cache = Cache()
    going = detector()
    going["metadata"]["deletionTimestamp"] = seen_time(START)
    cache.put(DETECTORS, going)
    assert cache.snapshot(KEY) is None


def test_a_spec_that_cannot_be_read_is_named_by_its_field() -> None:
    cache = Cache()
    cache.put(DETECTORS, detector(features="temperature"))
    with pytest.raises(InvalidSpecError, match=r"spec\.features"):
        cache.snapshot(KEY)


def test_a_schedule_that_makes_no_sense_is_an_invalid_spec_until_it_is_corrected() -> None:
    cache = Cache()
    rule = {"name": "night", "schedule": "0 2 * * *", "duration": "1h", "timeZone": "Europe/Atlantis"}
    cache.put(DETECTORS, detector(alerts={"suppress": [rule]}))
    with pytest.raises(
        InvalidSpecError, match=r"spec\.alerts\.suppress\[night\]\.timeZone: there is no time zone 'Europe/Atlantis'"
    ):
        cache.snapshot(KEY)
    cache.put(DETECTORS, detector(version=2, alerts={"suppress": [rule | {"timeZone": "Europe/Athens"}]}))
    assert cache.snapshot(KEY) is not None


def test_a_model_concerns_its_owner_those_that_refer_to_it_and_those_that_used_it() -> None:
    cache = Cache()
    cache.put(DETECTORS, detector())
    cache.put(DETECTORS, detector("refers", model={"modelRef": {"name": "pumps-1"}}))
    metadata = {"name": "pumps-1", "namespace": "plant", "resourceVersion": "3"}
    metadata["ownerReferences"] = [{"kind": "AnomalyDetector", "uid": "uid-pumps"}]  # type: ignore[assignment]
    points = [{"level": 0.0, "score": 0.0}, {"level": 1.0, "score": 1.0}]
    figures = {"windows": 9, "entitySeconds": 9, "mean": 0.1, "standardDeviation": 0.1, "maximum": 1.0, "peaks": []}
    spec = {
        "digest": f"sha256:{'1' * 64}",
        "artifact": {"configMapRef": {"name": "pumps-1"}},
        "interface": {"features": ["temperature"], "windows": [{"name": "short", "size": 12}]},
        "calibration": [{"window": "short", "quantiles": points, **figures}],
        "trained": trained(SPEC),
    }
    cache.put(MODELS, {"metadata": metadata, "spec": spec, "status": {"usedBy": ["former"]}})
    assert cache.concerned(MODELS, "plant", "pumps-1") == {("plant", name) for name in ("pumps", "refers", "former")}


def test_artifacts_are_kept_as_hashes() -> None:
    content = b"x" * 1000
    document = child("pumps-model-a", binaryData={"model.tar": base64.b64encode(content).decode()})
    kept = trimmed(CONFIG_MAPS, document)
    assert kept[HASHES] == {"model.tar": f"sha256:{hashlib.sha256(content).hexdigest()}"}
    assert "binaryData" not in kept


@pytest.mark.parametrize(("manager", "owner"), [("kube-controller-manager", "kube-controller-manager"), ("kubectl-scale", "")])
def test_an_autoscaler_is_told_from_a_person_with_kubectl(manager: str, owner: str) -> None:
    managed = [{"manager": manager, "subresource": "scale", "fieldsV1": {"f:spec": {"f:replicas": {}}}}]
    document = child(spec={"replicas": 3})
    document["metadata"]["managedFields"] = managed
    kept = trimmed(DEPLOYMENTS, document)
    assert kept[SCALED_BY] == owner
    assert "managedFields" not in kept["metadata"]
