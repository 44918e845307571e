"""What the cache keeps, what it forgets, and whom a change concerns."""

import asyncio
import base64
import hashlib
from typing import Any

import pytest

from anomaly_operator.core.group_conflict import group_conflict
from anomaly_operator.core.models.slots import HASHES
from anomaly_operator.core.resources.names import (
    ANNOTATION_SLOT,
    AUTOSCALERS,
    CONFIG_MAPS,
    DEPLOYMENTS,
    DETECTORS,
    MODELS,
    PODS,
    SERVICES,
)
from anomaly_operator.core.scaling import SCALED_BY
from anomaly_operator.kube.configmap_reader import ConfigMapReader
from anomaly_operator.kube.entries import InvalidSpecError
from anomaly_operator.kube.informers import Cache
from anomaly_operator.kube.trimming import trimmed
from tests.operator.api_stub import ApiStub, serving
from tests.operator.documents import KEY, child, detector, group, scoring_pod
from tests.plan.world import SPEC, START, calibration, seen_time, trained


def test_an_older_version_never_replaces_a_newer_one() -> None:
    cache = Cache()
    cache.put(DETECTORS, detector())
    cache.put(SERVICES, child(version=7, spec={"new": True}))
    cache.put(SERVICES, child(version=6, spec={"new": False}))
    kept = cache.child(KEY, SERVICES, "pumps-detector")
    assert kept is not None
    assert kept["spec"] == {"new": True}


def test_a_deletion_told_late_does_not_take_the_successor_away() -> None:
    cache = Cache()
    cache.put(DETECTORS, detector())
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


def test_an_answer_that_comes_after_the_deletion_does_not_bring_the_object_back() -> None:
    cache = Cache()
    cache.put(DETECTORS, detector(version=5))
    cache.drop(DETECTORS, "plant", "pumps", version=9)
    cache.put(DETECTORS, detector(version=7))
    assert cache.snapshot(KEY) is None
    cache.put(DETECTORS, detector(version=12))
    assert cache.snapshot(KEY) is not None, "another one of that name"


def test_ends_that_are_remembered_are_bounded() -> None:
    cache = Cache()
    for number in range(6000):
        cache.drop(SERVICES, "plant", f"service-{number}", version=number)
    assert len(cache._tombstones) <= 4096


def test_nothing_is_left_of_what_is_gone() -> None:
    cache = Cache()
    cache.put(DETECTORS, detector())
    cache.put(SERVICES, child())
    cache.put(PODS, scoring_pod("real", "uid-replicas"))
    for kind, name in ((PODS, "real"), (SERVICES, "pumps-detector"), (DETECTORS, "pumps")):
        cache.drop(kind, "plant", name, version=9)
    cache.models_used(("nowhere", "nobody"))
    cache.pods(("no", "body"))
    indices = (vars(cache), vars(cache._models), vars(cache._detectors))
    values = ((name, value) for index in indices for name, value in index.items() if isinstance(value, dict))
    kept = {name: value for name, value in values if value and name != "_tombstones"}
    assert kept == {}


def autoscaler(version: int, deployment: str) -> dict[str, Any]:
    metadata = {"name": "hpa", "namespace": "plant", "resourceVersion": str(version)}
    return {"metadata": metadata, "spec": {"scaleTargetRef": {"kind": "Deployment", "name": deployment}}}


def test_an_autoscaler_concerns_the_detector_whose_pods_it_scales_until_it_is_gone() -> None:
    cache = Cache()
    cache.put(DETECTORS, detector())

    def autoscaled() -> bool:
        snapshot = cache.snapshot(KEY)
        assert snapshot is not None
        return snapshot.autoscaled

    cache.put(AUTOSCALERS, autoscaler(1, "pumps-detector"))
    assert cache.concerned(AUTOSCALERS, "plant", "hpa") == {KEY}
    assert autoscaled()
    cache.put(AUTOSCALERS, autoscaler(2, "another"))
    assert cache.concerned(AUTOSCALERS, "plant", "hpa") == {KEY}
    assert not autoscaled()
    cache.put(AUTOSCALERS, autoscaler(3, "pumps-detector"))
    assert cache.drop(AUTOSCALERS, "plant", "hpa", version=4) == {KEY}
    assert not autoscaled()


@pytest.mark.parametrize(
    ("writers", "fetched"),
    [(["anomaly-operator"], False), (["anomaly-operator", "kubectl-edit"], True), (["kubectl-edit"], True)],
)
def test_a_slot_is_fetched_only_where_somebody_else_has_written_its_content(writers: list[str], fetched: bool) -> None:
    content = base64.b64encode(b"model").decode()
    document = child("pumps-model-a", binaryData={"model.tar": content})
    document["metadata"]["annotations"] = {ANNOTATION_SLOT: "sha256:as-filled"}
    document["metadata"]["managedFields"] = [
        {"manager": name, "fieldsV1": {"f:binaryData": {"f:model.tar": {}}}} for name in writers
    ]

    async def story() -> Cache:
        stub, cache = ApiStub(), Cache()
        cache.put(DETECTORS, detector())
        stub.objects[CONFIG_MAPS.path("plant", "pumps-model-a")] = document
        async with serving(stub) as api:
            await ConfigMapReader(api, cache).read(document["metadata"])
        assert bool(stub.requests) is fetched
        return cache

    kept = asyncio.run(story()).child(KEY, CONFIG_MAPS, "pumps-model-a")
    assert kept is not None
    assert (kept[HASHES]["model.tar"] == "sha256:as-filled") is not fetched


def a_model(name: str, owner: str = "", version: int = 1, used_by: list[str] | None = None) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": name, "namespace": "plant", "resourceVersion": str(version), "uid": f"uid-{name}"}
    if owner:
        metadata["ownerReferences"] = [{"kind": "AnomalyDetector", "uid": owner, "name": "some"}]
    spec = {
        "digest": f"sha256:{hashlib.sha256(name.encode()).hexdigest()}",
        "artifact": {"configMapRef": {"name": name}},
        "interface": {"features": ["temperature", "pressure"], "windows": [{"name": "short", "size": 12}]},
        "calibration": [calibration()],
        "imported": {"origin": "a test"},
    }
    return {"metadata": metadata, "spec": spec, "status": {"usedBy": used_by} if used_by else {}}


def test_a_detector_sees_its_own_models_and_those_that_it_names_or_uses() -> None:
    cache = Cache()
    cache.put(DETECTORS, detector("others", model={"modelRef": {"name": "own"}}))
    cache.put(DETECTORS, detector(model={"modelRef": {"name": "named"}}))
    uid = detector()["metadata"]["uid"]
    for document in (a_model("own", uid), a_model("named"), a_model("used", used_by=["pumps"]), a_model("foreign", "uid-x")):
        cache.put(MODELS, document)
    snapshot = cache.snapshot(KEY)
    assert snapshot is not None
    assert set(snapshot.models) == {"own", "named", "used"}
    assert snapshot.models_referred == ({"own"})
    assert cache.concerned(MODELS, "plant", "named") == {KEY}
    assert KEY in cache.concerned(MODELS, "plant", "own")
    assert cache.concerned(MODELS, "plant", "foreign") == set()
    cache.put(MODELS, a_model("used", version=2))
    assert cache.concerned(MODELS, "plant", "used") == {KEY}, "it no longer says so, which concerns the one that used it"
    after = cache.snapshot(KEY)
    assert after is not None
    assert set(after.models) == {"own", "named"}
