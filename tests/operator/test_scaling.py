"""Who sets the number of pods, on a real API server with its HorizontalPodAutoscaler controller."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.contract.documents import example_of_kind
from tests.operator import metrics_api
from tests.operator.running import Document, eventually

if TYPE_CHECKING:
    from tests.operator.running import Plant

pytestmark = pytest.mark.integration


LAG = "anomaly_detector_lag_messages"


def replicas(plant: Plant, deployment: str = "pumps-detector") -> int:
    found = plant.get("deployment", deployment)
    assert found, "it is not there yet"
    return int(found["spec"]["replicas"])


def edited(plant: Plant, detector: str) -> None:
    """Its Deployment is written again, for another reason than the number of pods."""
    plant.edit("anomalydetector", detector, {"spec": {"pod": {"labels": {"team": "plant"}}}})
    written = f"{detector}-detector"
    eventually(lambda: "team" in plant.get("deployment", written)["spec"]["template"]["metadata"]["labels"], 10)


def autoscaler(target: Document, fewest: int) -> Document:
    """Without metrics, its controller still keeps to the fewest."""
    resource = {"type": "Pods", "pods": {"metric": {"name": "anomaly_detector_lag_seconds"}}}
    resource["pods"]["target"] = {"type": "AverageValue", "averageValue": "30"}  # type: ignore[index]
    spec = {"scaleTargetRef": target, "minReplicas": fewest, "maxReplicas": 8, "metrics": [resource]}
    return {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "pumps"}, "spec": spec}


def test_a_detector_is_scaled_as_a_deployment_is(served: Plant) -> None:
    served.detector()
    eventually(lambda: replicas(served) == 1)
    served.kubectl("scale", "anomalydetector", "pumps", "--replicas=2")
    eventually(lambda: replicas(served) == 2)
    path = f"/apis/anomaly-operator.dev/v1alpha1/namespaces/{served.namespace}/anomalydetectors/pumps/scale"

    def told() -> Document | None:
        found = json.loads(served.cluster.kubectl("get", "--raw", path))
        return found if found["status"].get("selector") else None

    scale = eventually(told)
    assert scale["spec"]["replicas"] == 2
    pods = served.list("pods", scale["status"]["selector"])
    assert {pod["metadata"]["labels"]["anomaly-operator.dev/detector"] for pod in pods} <= {"pumps"}


def test_a_horizontal_pod_autoscaler_of_the_deployment_has_the_say(served: Plant) -> None:
    served.detector(scaling={"minReplicas": 1, "maxReplicas": 4})
    eventually(lambda: replicas(served) == 1)
    served.apply(autoscaler({"apiVersion": "apps/v1", "kind": "Deployment", "name": "pumps-detector"}, 3))
    eventually(lambda: replicas(served) == 3, 60)
    edited(served, "pumps")
    assert replicas(served) == 3
    eventually(lambda: "scaling" not in served.get("anomalydetector", "pumps")["status"])
    served.kubectl("delete", "hpa", "pumps")
    served.edit("anomalydetector", "pumps", {"spec": {"scaling": {"maxReplicas": 2}}})
    eventually(lambda: replicas(served) == 2)


def test_the_lag_that_the_example_asks_for_is_a_metric_that_pods_have() -> None:
    from anomaly_detector.core.health.progress import ProgressTracker
    from anomaly_detector.telemetry import Telemetry

    assert f"\n{LAG} " in Telemetry(ProgressTracker()).text().decode()


def test_a_horizontal_pod_autoscaler_follows_the_lag(served: Plant, tmp_path: Path) -> None:
    detector, hpa = (example_of_kind("scaled-by-lag.yaml", kind) for kind in ("AnomalyDetector", "HorizontalPodAutoscaler"))
    name = hpa["spec"]["scaleTargetRef"]["name"]
    hpa["spec"]["behavior"] = {way: {"stabilizationWindowSeconds": 0} for way in ("scaleUp", "scaleDown")}

    with metrics_api.served(served.cluster, tmp_path) as lag:
        served.apply(detector)
        eventually(lambda: replicas(served, name) == 1)
        served.apply(hpa)
        lag.value = 250_000
        eventually(lambda: replicas(served, name) == 3, 90)
        edited(served, detector["metadata"]["name"])
        assert replicas(served, name) == 3
        lag.value = 0
        eventually(lambda: replicas(served, name) == 1, 90)
    assert lag.asked == {(served.namespace, LAG, f"detector={detector['metadata']['name']}")}


def test_a_horizontal_pod_autoscaler_of_the_detector_edits_nothing_that_is_the_users(served: Plant) -> None:
    served.detector(scaling={"minReplicas": 1})
    eventually(lambda: replicas(served) == 1)
    served.apply(autoscaler({"apiVersion": "anomaly-operator.dev/v1alpha1", "kind": "AnomalyDetector", "name": "pumps"}, 2))
    eventually(lambda: replicas(served) == 2, 60)
    detector = served.get("anomalydetector", "pumps")
    assert detector
    assert (detector["spec"]["replicas"], detector["spec"]["scaling"]["minReplicas"]) == (2, 1)


def test_between_its_bounds_the_operator_says_how_many_and_why(served: Plant) -> None:
    served.detector(scaling={"minReplicas": 2, "maxReplicas": 4})
    eventually(lambda: replicas(served) == 2)
    decided = eventually(lambda: served.get("anomalydetector", "pumps")["status"].get("scaling"))
    assert (decided["replicas"], decided["reason"]) == (2, "Begun")
    served.edit("anomalydetector", "pumps", {"spec": {"scaling": {"minReplicas": 3}}})
    eventually(lambda: replicas(served) == 3)
    assert eventually(lambda: served.list("pods", "anomaly-operator.dev/detector=pumps"))
    served.kubectl("scale", "deployment", "pumps-detector", "--replicas=1")
    eventually(lambda: replicas(served) == 3, 10)
