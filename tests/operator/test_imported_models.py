"""A model that somebody brings, on a real API server: the operator has it checked; the check is the one that the Job runs."""

import base64
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from anomaly_detector.core.scoring.artifact import artifact_digest
from tests.artifact.test_artifact import calibration
from tests.artifact.test_verification import NAMES, SIZE, a_graph, archive_of
from tests.operator.running import Plant, eventually

pytestmark = pytest.mark.integration


def bring(plant: Plant, name: str, archive: bytes) -> None:
    content = {"model.tar": base64.b64encode(archive).decode()}
    spec = {
        "digest": artifact_digest(archive),
        "artifact": {"configMapRef": {"name": name}},
        "interface": {"features": NAMES, "windows": [{"name": "short", "size": SIZE}]},
        "calibration": [calibration("short").document()],
        "imported": {"origin": "a test"},
    }
    model = {"apiVersion": "anomaly-operator.dev/v1alpha1", "kind": "AnomalyModel", "metadata": {"name": name}, "spec": spec}
    plant.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "binaryData": content}, model)
    plant.detector(name, features=[{"name": each} for each in NAMES], model={"modelRef": {"name": name}})


def run_check(plant: Plant, name: str, archive: bytes, folder: Path) -> None:
    """What kubelet would do: run the pod's command with its environment, and report how it ended."""
    jobs = "anomaly-operator.dev/component=verifier"

    def pod_of_model() -> dict[str, Any] | None:
        pods = plant.list("pods", jobs)
        return next((each for each in pods if each["metadata"]["annotations"]["anomaly-operator.dev/model"] == name), None)

    pod = eventually(pod_of_model)
    [container] = pod["spec"]["containers"]
    told = {each["name"]: each["value"] for each in container["env"]}
    order = json.loads(told["ANOMALY_VERIFICATION_ORDER"])
    assert order["location"] == "/var/lib/anomaly-models/imported/model.tar"
    (folder / "model.tar").write_bytes(archive)
    order["location"] = str(folder / "model.tar")
    environment = {**os.environ, "ANOMALY_VERIFICATION_ORDER": json.dumps(order), "TERMINATION_LOG": str(folder / "log")}
    status = subprocess.run([sys.executable, *container["command"][3:]], env=environment, check=False).returncode
    terminated = {"exitCode": status, "message": (folder / "log").read_text(), "finishedAt": "2026-01-01T00:00:00Z"}
    report = {
        "phase": "Failed" if status else "Succeeded",
        "containerStatuses": [
            {
                "name": "verifier",
                "image": "example/detector:1",
                "imageID": "",
                "ready": False,
                "restartCount": 0,
                "state": {"terminated": terminated},
            }
        ],
    }
    plant.edit("pod", pod["metadata"]["name"], {"status": report}, "--subresource=status")


def verified(plant: Plant, name: str, status: str) -> dict[str, Any]:
    def found() -> dict[str, Any]:
        condition = plant.condition("Verified", name, "anomalymodel")
        assert condition["status"] == status, condition
        return condition

    return eventually(found)


def test_a_model_that_fits_decides_once_it_was_checked(served: Plant, tmp_path: Path) -> None:
    archive = archive_of(a_graph())
    bring(served, "good", archive)
    served.says("ModelAvailable", "ModelUnverified", "good")
    run_check(served, "good", archive, tmp_path)
    assert verified(served, "good", "True")["reason"] == "Checked"

    def told() -> bool:
        settings = served.get("configmap", "good-detector")
        return settings is not None and artifact_digest(archive) in settings["data"]["assignment.json"]

    assert eventually(told)


def test_a_model_that_does_not_fit_is_refused_and_the_detector_says_so(served: Plant, tmp_path: Path) -> None:
    archive = archive_of(a_graph(opset=99))
    bring(served, "bad", archive)
    run_check(served, "bad", archive, tmp_path)
    condition = verified(served, "bad", "False")
    assert condition["reason"] == "OpsetNotSupported"
    assert "opset 99" in served.says("ModelAvailable", "ModelRefused", "bad")["message"]
    settings = served.get("configmap", "bad-detector")
    assert settings is not None
    assert artifact_digest(archive) not in settings["data"]["assignment.json"]
