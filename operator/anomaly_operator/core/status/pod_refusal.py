"""Pods that the API server refuses to make: a quota, a LimitRange, an admission policy, a ServiceAccount that is not there.

Their Deployment or Job is accepted, and then nothing happens; what keeps the pods away is said in its own words.
"""

from typing import Any, Final

from anomaly_operator.core.resources.names import DEPLOYMENTS, detector_child
from anomaly_operator.core.snapshot import Snapshot

PODS_REFUSED: Final = "PodsRefused"
_REMEDIES: Final = {
    "exceeded quota": "raise the ResourceQuota",
    "must specify": "have a LimitRange of the namespace give defaults",
    "usage per": "widen the LimitRange",
    "serviceaccount": "create the ServiceAccount",
    "service account": "create the ServiceAccount",
    "podsecurity": "change the namespace's Pod Security level",
}


def refused_scoring_pods(snapshot: Snapshot) -> str:
    """Why no scoring pods are made, with what to do, for people; empty when they are."""
    name = detector_child(snapshot.detector.name)
    live: dict[str, Any] = snapshot.children.get((DEPLOYMENTS, name), {})
    conditions = live.get("status", {}).get("conditions") or []
    failures = [each for each in conditions if each["type"] == "ReplicaFailure" and each["status"] == "True"]
    return _sentence(f"Deployment {name}", failures[0].get("message", ""), "spec.pod") if failures else ""


def refused_training_pod(snapshot: Snapshot, job: str) -> str:
    """Why no pod of the training Job is made, with what to do, for people; empty when one is."""
    words = snapshot.pod_refusals.get(job, "")
    return _sentence(f"Job {job}", words, "spec.training") if words else ""


def _sentence(maker: str, words: str, settings: str) -> str:
    remedy = next((remedy for sign, remedy in _REMEDIES.items() if sign in words.lower()), "correct the policy that refuses them")
    return f"the API server refuses the pods of {maker}: {words}. Change {settings} so that they pass, or {remedy}."
