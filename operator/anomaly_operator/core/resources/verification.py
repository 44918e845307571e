"""The Job that checks a model: no rights, no token, nothing writable but /tmp, and only what it needs to fetch the archive."""

import json
from typing import Any, Final

from anomaly_api.meta import (
    ANNOTATION_MODEL,
    API_VERSION,
    CLAIM_FOLDER,
    LABEL_COMPONENT,
    LABEL_DETECTOR,
    MODEL_FILE,
    MODEL_FOLDER,
    VERIFICATION_ENV,
)
from anomaly_api.schema import digest
from anomaly_api.verification import VerificationOrder
from anomaly_operator.core.models.slots import location
from anomaly_operator.core.resources.names import FIELD_MANAGER, JOBS, VERIFIER
from anomaly_operator.core.resources.podspec import POD_SECURITY, SECURITY
from anomaly_operator.core.snapshot import Manifest, Model

_FOLDER: Final = f"{MODEL_FOLDER}/imported"
_REFUSED: Final = [2, 3]
"""Exit statuses after which another try would say the same."""
_RESOURCES: Final = {"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": {"memory": "2560Mi"}}


def job_name(model: Model) -> str:
    """Job that checks the model, and no other of its name."""
    return f"{model.name[:40].rstrip('.-')}-verify-{digest([model.uid, model.spec.digest])[:10]}"


def job(namespace: str, model: Model, image: str) -> Manifest:
    """The Job; it goes with its model, or a day after it has ended."""
    labels = {
        "app.kubernetes.io/name": "anomaly-model",
        "app.kubernetes.io/managed-by": FIELD_MANAGER,
        LABEL_DETECTOR: "",  # by its presence children are watched; it is no detector's
        LABEL_COMPONENT: VERIFIER,
    }
    owner = {
        "apiVersion": API_VERSION,
        "kind": "AnomalyModel",
        "name": model.name,
        "uid": model.uid,
        "controller": True,
        "blockOwnerDeletion": False,
    }
    annotations = {ANNOTATION_MODEL: model.name}
    return {
        "apiVersion": JOBS.api_version,
        "kind": JOBS.kind,
        "metadata": {
            "namespace": namespace,
            "name": job_name(model),
            "labels": labels,
            "annotations": annotations,
            "ownerReferences": [owner],
        },
        "spec": {
            "backoffLimit": 2,
            "activeDeadlineSeconds": 900,
            "ttlSecondsAfterFinished": 86400,
            "podFailurePolicy": {
                "rules": [
                    {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
                    {"action": "FailJob", "onExitCodes": {"containerName": VERIFIER, "operator": "In", "values": _REFUSED}},
                ]
            },
            "template": {"metadata": {"labels": labels, "annotations": annotations}, "spec": _pod(model, image)},
        },
    }


def _pod(model: Model, image: str) -> dict[str, Any]:
    artifact = model.spec.artifact
    volumes: list[dict[str, Any]] = [{"name": "tmp", "emptyDir": {"sizeLimit": "1Gi"}}]
    mounts: list[dict[str, Any]] = [{"name": "tmp", "mountPath": "/tmp"}]  # noqa: S108 - the pod's own
    sources: list[dict[str, Any]] = []
    where = f"{_FOLDER}/{MODEL_FILE}"
    if artifact.config_map_ref is not None:
        volumes.append({"name": "archive", "configMap": {"name": artifact.config_map_ref.name, "optional": True}})
        mounts.append({"name": "archive", "mountPath": _FOLDER, "readOnly": True})
    if artifact.uri is not None:
        where = location(model)
        sources = [{"secretRef": {"name": artifact.uri.secret_ref.name}}] if artifact.uri.secret_ref else []
        if artifact.uri.claim_name:
            claim = {"claimName": artifact.uri.claim_name, "readOnly": True}
            volumes.append({"name": "store", "persistentVolumeClaim": claim})
            mounts.append({"name": "store", "mountPath": CLAIM_FOLDER, "readOnly": True})
    order = VerificationOrder(location=where, digest=model.spec.digest, interface=model.spec.interface)
    container = {
        "name": VERIFIER,
        "image": image,
        "command": ["tini", "--", "python", "-m", "anomaly_detector.verification"],
        "env": [{"name": VERIFICATION_ENV, "value": json.dumps(order.document(), sort_keys=True, separators=(",", ":"))}],
        **({"envFrom": sources} if sources else {}),
        "resources": _RESOURCES,
        "securityContext": SECURITY,
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": mounts,
    }
    return {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "restartPolicy": "Never",
        "securityContext": POD_SECURITY,
        "containers": [container],
        "volumes": volumes,
    }
