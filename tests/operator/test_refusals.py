"""What the API server refuses, on a real one: pods, and children behind a webhook that is dead. It is told in its own words."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.operator.running import Document, Plant, eventually

pytestmark = pytest.mark.integration

LIMITS: Document = {
    "apiVersion": "v1",
    "kind": "LimitRange",
    "metadata": {"name": "team"},
    "spec": {"limits": [{"type": "Container", "max": {"memory": "16Mi"}}]},
}
QUOTA: Document = {
    "apiVersion": "v1",
    "kind": "ResourceQuota",
    "metadata": {"name": "team"},
    "spec": {"hard": {"limits.cpu": "8", "pods": "0"}},
}


@pytest.mark.parametrize(("policy", "words"), [(LIMITS, "maximum memory usage per Container is 16Mi"), (QUOTA, "quota: team")])
def test_pods_that_are_refused_are_told_within_half_a_minute(served: Plant, policy: Document, words: str) -> None:
    served.apply(policy)
    started = time.monotonic()
    served.detector()
    told = served.says("Stalled", "PodsRefused", seconds=30)
    assert words in told["message"]
    assert told["status"] == "True"

    def training_told() -> bool:
        model = served.condition("ModelAvailable")
        return model["reason"] == "PodsRefused" and words in model["message"]

    eventually(training_told, 30 - (time.monotonic() - started))
    print(f"told after {time.monotonic() - started:.1f} s")


@contextmanager
def dead_webhook(plant: Plant, group: str, resource: str) -> Iterator[None]:
    """Whoever writes such an object in the plant's namespace is answered 500, for the webhook is not there."""
    name = f"dead-{plant.namespace}"
    rule = {"apiGroups": [group], "apiVersions": ["*"], "operations": ["CREATE", "UPDATE"], "resources": [resource]}
    hook: dict[str, Any] = {
        "name": "dead.example.com",
        "clientConfig": {"url": "https://127.0.0.1:1/"},
        "rules": [rule],
        "failurePolicy": "Fail",
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "timeoutSeconds": 1,
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": plant.namespace}},
    }
    kind = {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration"}
    plant.apply({**kind, "metadata": {"name": name}, "webhooks": [hook]})
    try:
        eventually(lambda: "dead.example.com" in _refused(plant, group, resource), 20)
        yield
    finally:
        plant.cluster.kubectl("delete", "validatingwebhookconfiguration", name)


def _refused(plant: Plant, group: str, resource: str) -> str:
    """What is said when something of the kind is made for a try."""
    assert (group, resource) == ("policy", "poddisruptionbudgets")
    made = ("create", "poddisruptionbudget", "try", "--selector=a=b", "--min-available=1", "--dry-run=server")
    return plant.cluster.run("--namespace", plant.namespace, *made).stderr


def test_a_dead_webhook_of_one_child_stops_neither_the_status_nor_the_others_nor_polling(served: Plant) -> None:
    with dead_webhook(served, "policy", "poddisruptionbudgets"):
        served.detector(model={"statistical": {}})
        told = served.says("Ready", "ApplyFailed")
        assert "dead.example.com" in told["message"]
        assert served.condition("Stalled")["status"] == "False"
        served.run_pods()
        served.says("Scoring", "Scoring")
        served.obey(source={"state": "TopicNotFound", "message": "the topic is gone"})
        served.says("SourceReachable", "TopicNotFound")
        assert [each for each in served.list("events") if each["reason"] == "ApplyFailed"]
        served.obey()
    served.says("Ready", "Ready", seconds=70)
    assert served.get("poddisruptionbudget", "pumps-detector")


def test_a_foreign_job_with_the_detectors_label_is_left_alone(served: Plant) -> None:
    served.detector()
    eventually(lambda: served.list("jobs"))
    pod = {"restartPolicy": "Never", "containers": [{"name": "x", "image": "example/x:1"}]}
    metadata = {"name": "mine", "labels": {"anomaly-operator.dev/detector": "pumps"}}
    spec = {"template": {"spec": pod}}
    served.apply({"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec})
    served.edit("anomalydetector", "pumps", {"spec": {"training": {"epochs": 7}}})
    eventually(lambda: len([job for job in served.list("jobs") if job["metadata"]["name"] != "mine"]) == 1)
    eventually(lambda: served.condition("Ready")["observedGeneration"] == 2)
    assert served.get("job", "mine")


def test_a_detector_that_was_deleted_as_an_orphan_takes_its_children_up_again(served: Plant) -> None:
    served.detector()
    eventually(lambda: served.list("jobs"))
    before = served.get("deployment", "pumps-detector")
    assert before
    served.kubectl("delete", "anomalydetector", "pumps", "--cascade=orphan")
    served.detector()

    def adopted() -> bool:
        detector, now = served.get("anomalydetector", "pumps"), served.get("deployment", "pumps-detector")
        assert detector
        assert now
        owners = now["metadata"].get("ownerReferences", [])
        return [owner["uid"] for owner in owners] == [detector["metadata"]["uid"]] and now["metadata"]["uid"] == before[
            "metadata"
        ]["uid"]

    eventually(adopted)
    assert served.says("Ready", "Training")
