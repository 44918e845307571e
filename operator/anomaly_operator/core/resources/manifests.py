"""The children of a detector, as manifests for server-side apply. Only what we own stands in them."""

import json
from dataclasses import dataclass
from typing import Any

from anomaly_api.assignment import Assignment, Revision, Runtime, TrainingOrder
from anomaly_api.meta import (
    ANNOTATION_RUNTIME,
    API_VERSION,
    ASSIGNMENT_FILE,
    HTTP_PORT,
    LABEL_COMPONENT,
    LABEL_DETECTOR,
    LABEL_TRAINING,
    RUNTIME_FILE,
)
from anomaly_api.pods import PodShape
from anomaly_api.schema import digest
from anomaly_operator.core.resources import podspec
from anomaly_operator.core.resources.names import (
    ANNOTATION_CONTENT,
    ANNOTATION_SLOT,
    CONFIG_MAPS,
    CONTROLLER_REVISIONS,
    DEPLOYMENTS,
    DETECTOR,
    DISRUPTION_BUDGETS,
    FIELD_MANAGER,
    JOBS,
    ROLE_BINDINGS,
    SERVICE_ACCOUNTS,
    SERVICES,
    TRAINER,
    Kind,
    detector_child,
    job_name,
    pod_labels,
    revision_child,
    slot_child,
    trainer_child,
)
from anomaly_operator.core.snapshot import Detector, Manifest


@dataclass(frozen=True)
class Installation:
    """What the operator was installed with."""

    detector_image: str
    trainer_image: str
    trainer_role: str
    """ClusterRole that the trainers are bound to, in their own namespace."""


def always(detector: Detector) -> list[Manifest]:
    """What every detector has besides its pods' settings."""
    name = detector_child(detector.name)
    selector = pod_labels(detector.name)
    return [
        _account(detector, name, DETECTOR, detector.spec.pod),
        {
            **_child(detector, SERVICES, name),
            "spec": {
                "clusterIP": "None",  # for scraping the pods one by one; nobody calls the service as such
                "publishNotReadyAddresses": True,
                "selector": selector,
                "ports": [{"name": "http", "port": HTTP_PORT, "targetPort": "http", "protocol": "TCP"}],
            },
        },
        {
            **_child(detector, DISRUPTION_BUDGETS, name),
            "spec": {"maxUnavailable": 1, "unhealthyPodEvictionPolicy": "AlwaysAllow", "selector": {"matchLabels": selector}},
        },
    ]


def for_training(detector: Detector, installation: Installation) -> list[Manifest]:
    """What a trainer needs besides its Job: an identity, and the right to register its model."""
    name, asked = trainer_child(detector.name), podspec.training_shape(detector.spec)
    return [
        _account(detector, name, TRAINER, asked),
        {
            **_child(detector, ROLE_BINDINGS, name, TRAINER),
            "roleRef": {"apiGroup": ROLE_BINDINGS.group, "kind": "ClusterRole", "name": installation.trainer_role},
            "subjects": [{"kind": "ServiceAccount", "name": asked.service_account_name or name, "namespace": detector.namespace}],
        },
    ]


def record(detector: Detector, revision: Revision, number: int) -> Manifest:
    """The ControllerRevision that keeps what a revision is."""
    manifest = _child(detector, CONTROLLER_REVISIONS, revision_child(detector.name, revision.name))
    return {**manifest, "revision": number, "data": revision.document()}


def _account(detector: Detector, name: str, component: str, asked: PodShape) -> Manifest:
    """An identity; clouds tie it to one of theirs by annotations."""
    account = _child(detector, SERVICE_ACCOUNTS, name, component)
    if asked.service_account_annotations:
        account["metadata"]["annotations"] = dict(asked.service_account_annotations)
    return {**account, "automountServiceAccountToken": False}


def settings(detector: Detector, runtime: Runtime, assignment: Assignment) -> Manifest:
    """The ConfigMap that the scoring pods mount."""
    manifest = _child(detector, CONFIG_MAPS, detector_child(detector.name))
    manifest["metadata"]["annotations"] = {ANNOTATION_CONTENT: assignment.digest}
    return {**manifest, "data": {RUNTIME_FILE: _json(runtime.document()), ASSIGNMENT_FILE: _json(assignment.document())}}


def slot(detector: Detector, letter: str, model: str) -> Manifest:
    """The ConfigMap that delivers a model, without its content."""
    manifest = _child(detector, CONFIG_MAPS, slot_child(detector.name, letter))
    manifest["metadata"]["annotations"] = {ANNOTATION_SLOT: model}
    return manifest


def deployment(detector: Detector, installation: Installation, runtime: Runtime, replicas: int | None) -> Manifest:
    """The scoring pods. `replicas` is None where an autoscaler owns the number."""
    asked = detector.spec.pod
    pod = podspec.scoring(detector.name, detector.spec, asked.image or installation.detector_image)
    annotations = {**(asked.annotations or {}), ANNOTATION_RUNTIME: runtime.digest}
    return {
        **_child(detector, DEPLOYMENTS, detector_child(detector.name)),
        "spec": {
            **({} if replicas is None else {"replicas": replicas}),
            "revisionHistoryLimit": 2,
            # One member more and then one less: never a moment without a member, and the group rebalances twice a pod.
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "selector": {"matchLabels": pod_labels(detector.name)},
            "template": {
                "metadata": {"labels": {**(asked.labels or {}), **_labels(detector.name, DETECTOR)}, "annotations": annotations},
                "spec": pod,
            },
        },
    }


def job(detector: Detector, installation: Installation, order: TrainingOrder) -> Manifest:
    """One training. Kubernetes retries it, with growing pauses; failed pods stay, so that their last words can be read."""
    spec = detector.spec
    pod = podspec.training(detector.name, spec, spec.training.image or installation.trainer_image, order)
    manifest = _child(detector, JOBS, job_name(detector.name, order.key), TRAINER)
    manifest["metadata"]["labels"][LABEL_TRAINING] = order.key
    manifest["metadata"]["annotations"] = {ANNOTATION_RUNTIME: digest(order.kafka.essentials())}
    labels = {**(spec.pod.labels or {}), **_labels(detector.name, TRAINER), LABEL_TRAINING: order.key}
    return {
        **manifest,
        "spec": {
            "backoffLimit": spec.training.backoff_limit,
            # A drained node is not the training's fault.
            "podFailurePolicy": {
                "rules": [{"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}]
            },
            "template": {"metadata": {"labels": labels, "annotations": spec.pod.annotations or {}}, "spec": pod},
        },
    }


def _child(detector: Detector, kind: Kind, name: str, component: str = DETECTOR) -> Manifest:
    owner = {
        "apiVersion": API_VERSION,
        "kind": "AnomalyDetector",
        "name": detector.name,
        "uid": detector.uid,
        "controller": True,
        "blockOwnerDeletion": False,
    }
    metadata: dict[str, Any] = {
        "namespace": detector.namespace,
        "name": name,
        "labels": _labels(detector.name, component),
        "ownerReferences": [owner],
    }
    return {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata}


def _labels(detector: str, component: str) -> dict[str, str]:
    return {
        "app.kubernetes.io/name": "anomaly-detector",
        "app.kubernetes.io/instance": detector,
        "app.kubernetes.io/component": component,
        "app.kubernetes.io/managed-by": FIELD_MANAGER,
        LABEL_DETECTOR: detector,
        LABEL_COMPONENT: component,
    }


def _json(document: dict[str, Any]) -> str:
    """A line a member: people read it. Indenting all of it would take ten times as long, at each look at each detector."""
    members = (f"{json.dumps(name)}: {json.dumps(document[name], sort_keys=True)}" for name in sorted(document))
    return "{\n " + ",\n ".join(members) + "\n}"
