"""Documents as the API server has them: detectors, children, pods."""

from typing import Any

from anomaly_api.meta import LABEL_DETECTOR
from tests.plan.world import SPEC, START, merged, seen_time

KEY = ("plant", "pumps")


def detector(name: str = "pumps", version: int = 1, age: float = 0.0, **spec: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "plant", "uid": f"uid-{name}", "resourceVersion": str(version)}
    metadata["creationTimestamp"] = seen_time(START - age)
    return {"metadata": metadata, "spec": merged(SPEC, spec)}


def child(name: str = "pumps-detector", version: int = 1, owner: str = "pumps", **content: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "plant", "resourceVersion": str(version), "labels": {LABEL_DETECTOR: owner}}
    return {"metadata": {**metadata, "uid": f"uid-{name}", "ownerReferences": [owned_by(f"uid-{owner}")]}, **content}


def owned_by(uid: str) -> dict[str, Any]:
    return {"kind": "AnomalyDetector", "uid": uid, "controller": True}


def group(name: str, brokers: str = "kafka:9092") -> dict[str, Any]:
    return {"source": {"kafka": {"groupId": name, "bootstrapServers": brokers}}}


def scoring_pod(name: str, maker: str) -> dict[str, Any]:
    made = child(name)
    made["metadata"]["ownerReferences"] = [owned_by(maker)]
    return made
