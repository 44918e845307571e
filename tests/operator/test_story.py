"""What conditions and Events tell on a real API server."""

import time
from typing import Any

import pytest

from anomaly_api.meta import LABEL_COMPONENT, LABEL_DETECTOR
from tests.operator.running import Plant, eventually

pytestmark = pytest.mark.integration

TRAINER = f"{LABEL_DETECTOR}=pumps,{LABEL_COMPONENT}=trainer"


def events(plant: Plant, reason: str) -> list[dict[str, Any]]:
    found = plant.list("events")
    return [each for each in found if each["reason"] == reason and each["involvedObject"]["kind"] == "AnomalyDetector"]


def test_a_spec_that_is_edited_while_its_job_runs_starts_another_job(served: Plant) -> None:
    served.detector()
    before = eventually(lambda: served.list("jobs"))[0]["metadata"]
    served.edit("anomalydetector", "pumps", {"spec": {"alerts": {"open": {"windows": 4}}}})
    eventually(lambda: served.condition("Ready")["observedGeneration"] == 2)
    assert [job["metadata"]["uid"] for job in served.list("jobs")] == [before["uid"]]
    served.edit("anomalydetector", "pumps", {"spec": {"training": {"epochs": 7}}})
    eventually(lambda: [job["metadata"]["name"] for job in served.list("jobs")] not in ([], [before["name"]]), 10)
    eventually(lambda: len(served.list("jobs")) == 1)


def test_of_two_with_one_group_the_older_keeps_it_and_the_younger_follows_when_it_goes(served: Plant) -> None:
    shared = {"kafka": {"bootstrapServers": "kafka:9092", "topic": "pump-readings", "groupId": "shared"}}
    served.detector("elder", source=shared)
    eventually(lambda: served.get("deployment", "elder-detector"))
    created = served.get("anomalydetector", "elder")["metadata"]["creationTimestamp"]
    eventually(lambda: time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()) > created)  # Kubernetes counts ages in seconds
    served.detector("younger", source=shared)
    conflict = served.says("Stalled", "GroupConflict", "younger")
    assert f"{served.namespace}/elder" in conflict["message"]
    eventually(lambda: served.get("deployment", "younger-detector")["spec"]["replicas"] == 0)
    assert served.condition("Ready", "elder")["reason"] == "Training"
    served.kubectl("delete", "anomalydetector", "elder")
    eventually(lambda: served.get("deployment", "younger-detector")["spec"]["replicas"] == 1, 5)


def test_the_last_words_of_a_failed_training_reach_the_condition(served: Plant) -> None:
    served.detector(training={"backoffLimit": 0})
    pod = eventually(lambda: served.list("pods", TRAINER))[0]["metadata"]["name"]
    words = "feature pressure is missing in every reading of topic pump-readings"
    ended = {"exitCode": 1, "reason": "Error", "message": words, "startedAt": None, "finishedAt": "2026-01-01T00:00:00Z"}
    container = {
        "name": "trainer",
        "image": "example/trainer:1",
        "imageID": "",
        "ready": False,
        "restartCount": 0,
        "state": {"terminated": ended},
    }
    served.edit("pod", pod, {"status": {"phase": "Failed", "containerStatuses": [container]}}, "--subresource=status")
    failed = served.says("Stalled", "TrainingFailed", seconds=40)
    assert words in failed["message"]
    assert "delete Job" in failed["message"]
    assert served.get("anomalydetector", "pumps")["status"]["training"]["state"] == "Failed"
    warning = eventually(lambda: events(served, "TrainingFailed"))[0]
    assert warning["type"] == "Warning"
    assert words in warning["message"]


def test_an_image_that_cannot_be_pulled_is_named_with_the_pod(served: Plant) -> None:
    served.detector(pod={"image": "registry.invalid/nothing:1"})
    pod = served.run_pods()
    container = {
        "name": "detector",
        "image": "registry.invalid/nothing:1",
        "imageID": "",
        "ready": False,
        "restartCount": 0,
        "state": {"waiting": {"reason": "ImagePullBackOff", "message": "Back-off pulling image"}},
    }
    served.evidence.answers.clear()
    pulled = {"phase": "Pending", "conditions": [], "containerStatuses": [container]}
    served.edit("pod", pod, {"status": pulled}, "--subresource=status")
    told = served.says("Stalled", "ImagePullFailed", seconds=40)["message"]
    assert pod in told
    assert "registry.invalid/nothing:1" in told


def test_what_the_pods_say_about_the_source_becomes_the_condition_and_one_event(served: Plant) -> None:
    served.detector(model={"statistical": {}})
    served.run_pods()
    served.says("SourceReachable", "Reading")
    source = {"state": "TopicNotFound", "message": "topic pump-readings is not on kafka:9092: create it"}
    served.obey(source=source)
    assert served.says("SourceReachable", "TopicNotFound")["message"] == source["message"]
    assert served.condition("Scoring")["status"] == "False"
    eventually(lambda: len(events(served, "TopicNotFound")) == 1)


def test_a_renamed_field_becomes_a_condition_and_one_event_that_name_it(served: Plant) -> None:
    served.detector(model={"statistical": {}})
    served.run_pods()
    served.says("Scoring", "Scoring")
    renamed = {"name": "temperature", "field": "temperature", "lacking": 300, "seen": 900, "likely": "temp"}
    served.obey(presence={"sampled": 960, "features": [renamed]})
    told = served.says("Scoring", "FeatureMissing")
    assert "31% of the last minute's readings lack the feature temperature" in told["message"]
    assert "a field temp, which is new" in told["message"]
    assert served.condition("Ready")["status"] == "False"
    warning = eventually(lambda: events(served, "FeatureMissing"))[0]
    assert warning["type"] == "Warning"
    served.obey()
    served.says("Scoring", "Scoring")


def test_paused_takes_the_pods_away_and_says_so(served: Plant) -> None:
    served.detector()
    eventually(lambda: served.list("jobs"))
    served.edit("anomalydetector", "pumps", {"spec": {"paused": True}})
    served.says("Ready", "Paused")
    eventually(lambda: served.get("deployment", "pumps-detector")["spec"]["replicas"] == 0)
    eventually(lambda: not served.list("jobs"))
