"""Children on a real API server: made, put back, delivered, taken along."""

import base64
import hashlib
import json
import time

import pytest

from anomaly_api.meta import ANNOTATION_ASSIGNMENT, LABEL_DETECTOR, LABEL_TRAINING
from tests.contract.documents import trained_model
from tests.operator.running import Document, Plant, eventually
from tests.plan.world import calibration

pytestmark = pytest.mark.integration

CHILDREN = {
    "deployment": "pumps-detector",
    "service": "pumps-detector",
    "configmap": "pumps-detector",
    "poddisruptionbudget": "pumps-detector",
    "serviceaccount": "pumps-detector",
    "rolebinding": "pumps-trainer",
}
EDITS: dict[str, Document] = {
    "deployment": {"spec": {"template": {"spec": {"containers": [{"name": "detector", "image": "evil:1"}]}}}},
    "service": {"spec": {"selector": {LABEL_DETECTOR: "someone-else"}}},
    "configmap": {"data": {"assignment.json": "{}"}},
    "poddisruptionbudget": {"spec": {"maxUnavailable": 5}},
    "serviceaccount": {"automountServiceAccountToken": True},
    "rolebinding": {"subjects": []},
}


def essence(document: Document | None) -> str:
    """What is compared before and after."""
    assert document, "it is not there"
    kept = {name: value for name, value in document.items() if name not in ("status", "metadata")}
    kept.get("spec", {}).pop("clusterIPs", None)
    return json.dumps(kept, sort_keys=True)


def test_children_are_made_and_what_someone_edits_or_deletes_is_put_back_within_seconds(served: Plant) -> None:
    served.detector()
    before = {kind: eventually(lambda kind=kind, name=name: served.get(kind, name)) for kind, name in CHILDREN.items()}
    waited = {}
    for kind, name in CHILDREN.items():
        for change in ("edit", "delete"):
            if change == "edit":
                served.edit(kind, name, EDITS[kind])
            else:
                served.kubectl("delete", kind, name, "--wait=false")
            started = time.monotonic()
            eventually(lambda kind=kind, name=name: essence(served.get(kind, name)) == essence(before[kind]), 5)
            waited[f"{change} {kind}"] = time.monotonic() - started
    print("put back after (s):", {name: round(seconds, 2) for name, seconds in waited.items()})


def test_a_job_that_someone_deletes_is_made_again(served: Plant) -> None:
    served.detector()
    job = eventually(lambda: served.list("jobs"))[0]["metadata"]
    served.kubectl("delete", "job", job["name"], "--wait=false")
    eventually(lambda: [each for each in served.list("jobs") if each["metadata"]["uid"] != job["uid"]], 5)


def test_what_belongs_to_someone_else_is_not_taken_over(served: Plant) -> None:
    theirs = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "pumps-detector"}, "data": {"mine": "yes"}}
    served.apply(theirs)
    served.detector()
    assert "belongs to someone else" in served.says("Stalled", "ChildRefused")["message"]
    found = served.get("configmap", "pumps-detector")
    assert found
    assert found["data"] == {"mine": "yes"}
    served.kubectl("delete", "configmap", "pumps-detector")
    served.says("Ready", "Training", seconds=70)


def test_replicas_are_put_back_unless_an_autoscaler_owns_them(served: Plant) -> None:
    served.detector()
    eventually(lambda: served.get("deployment", "pumps-detector"))
    served.kubectl("scale", "deployment", "pumps-detector", "--replicas=3")
    eventually(lambda: replicas(served) == 1, 5)
    served.edit("deployment", "pumps-detector", {"spec": {"replicas": 2}}, "--subresource=scale", "--field-manager=an-autoscaler")
    served.edit("anomalydetector", "pumps", {"spec": {"pod": {"labels": {"team": "plant"}}}})
    eventually(lambda: "team" in served.get("deployment", "pumps-detector")["spec"]["template"]["metadata"]["labels"], 5)
    assert replicas(served) == 2


def replicas(plant: Plant) -> int:
    found = plant.get("deployment", "pumps-detector")
    assert found
    return int(found["spec"]["replicas"])


def add_model(plant: Plant, name: str, content: bytes, digest: str | None = None, labels: Document | None = None) -> str:
    """As a trainer registers one."""
    detector = plant.get("anomalydetector", "pumps")
    assert detector
    digest = digest or f"sha256:{hashlib.sha256(content).hexdigest()}"
    owner = {"apiVersion": detector["apiVersion"], "kind": "AnomalyDetector", "name": "pumps", "uid": detector["metadata"]["uid"]}
    meta = {"name": name, "ownerReferences": [owner], "labels": {LABEL_DETECTOR: "pumps", **(labels or {})}}
    artifact = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": meta,
        "immutable": True,
        "binaryData": {"model.tar": base64.b64encode(content).decode()},
    }
    spec = {
        "digest": digest,
        "artifact": {"configMapRef": {"name": name}},
        "interface": {"features": ["temperature", "pressure"], "windows": [{"name": "short", "size": 12}]},
        "calibration": [calibration()],
        "trained": trained_model()["spec"]["trained"],
    }
    plant.apply(artifact, {"apiVersion": "anomaly-operator.dev/v1alpha1", "kind": "AnomalyModel", "metadata": meta, "spec": spec})
    return digest


def test_a_trained_model_reaches_the_pods_without_replacing_them(served: Plant) -> None:
    served.detector()
    pod = served.run_pods()
    key = eventually(lambda: served.list("jobs"))[0]["metadata"]["labels"][LABEL_TRAINING]
    digest = add_model(served, "pumps-model-one", b"x" * 700_000, labels={LABEL_TRAINING: key})
    slot = eventually(lambda: served.get("configmap", "pumps-model-a"), 10)
    assert hashlib.sha256(base64.b64decode(slot["binaryData"]["model.tar"])).hexdigest() in digest

    def told() -> bool:
        settings = served.get("configmap", "pumps-detector")
        annotations = served.get("pod", pod)["metadata"].get("annotations", {})
        return digest in settings["data"]["assignment.json"] and ANNOTATION_ASSIGNMENT in annotations

    eventually(told, 10)
    served.obey()
    served.says("ModelAvailable", "Trained")
    eventually(lambda: served.condition("Verified", "pumps-model-one", "anomalymodel")["status"] == "True")
    assert served.get("anomalymodel", "pumps-model-one")["status"]["usedBy"] == ["pumps"]
    assert served.get("anomalydetector", "pumps")["status"]["stable"]["model"] == "pumps-model-one"


def test_an_artifact_whose_digest_does_not_match_is_not_delivered(served: Plant) -> None:
    served.detector(model={"modelRef": {"name": "brought"}})
    served.says("Stalled", "ModelNotFound")
    add_model(served, "brought", b"content", digest=f"sha256:{'0' * 64}")
    assert "has digest sha256:" in served.says("Stalled", "DigestMismatch")["message"]
    eventually(lambda: served.condition("Verified", "brought", "anomalymodel")["status"] == "False")
    assert served.get("configmap", "pumps-model-a") is None
