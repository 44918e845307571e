"""The pod specs: hardened alike for scoring and training pods, whatever the user asks for. No decision is made here."""

import json
from typing import Any, Final

from anomaly_api.assignment import TrainingOrder
from anomaly_api.detector import DetectorSpec
from anomaly_api.meta import (
    CLAIM_FOLDER,
    CONFIG_FOLDER,
    HTTP_PORT,
    MODEL_FOLDER,
    MODEL_SLOTS,
    STABLE_FOLDER,
    TRAINING_ENV,
)
from anomaly_api.pods import PodShape, UserId
from anomaly_operator.core.resources import credentials
from anomaly_operator.core.resources.names import detector_child, pod_labels, slot_child, trainer_child

_USER: Final = 65532
SECURITY: Final[dict[str, Any]] = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "runAsNonRoot": True,
    "capabilities": {"drop": ["ALL"]},
}
POD_SECURITY: Final[dict[str, Any]] = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
_FIXED_USER: Final[dict[str, Any]] = {"runAsUser": _USER, "runAsGroup": _USER, "fsGroup": _USER}
_SCHEDULING: Final = ("nodeSelector", "tolerations", "affinity", "priorityClassName")


def scoring(detector: str, spec: DetectorSpec, image: str) -> dict[str, Any]:
    """Spec of a scoring pod. It talks to Kafka only, so it has no API token."""
    volumes: list[dict[str, Any]] = [{"name": "config", "configMap": {"name": detector_child(detector)}}]
    mounts: list[dict[str, Any]] = [{"name": "config", "mountPath": CONFIG_FOLDER, "readOnly": True}]
    for slot in MODEL_SLOTS:
        volumes.append({"name": f"model-{slot}", "configMap": {"name": slot_child(detector, slot), "optional": True}})
        mounts.append({"name": f"model-{slot}", "mountPath": f"{MODEL_FOLDER}/{slot}", "readOnly": True})
    container = {
        **_container("detector", image, spec, spec.pod, volumes, mounts, writable=False),
        "resources": spec.pod.resources.document(),
        "startupProbe": {"httpGet": {"path": "/healthz", "port": "http"}, "periodSeconds": 1, "failureThreshold": 120},
        "livenessProbe": {
            "httpGet": {"path": "/healthz", "port": "http"},
            "periodSeconds": 10,
            "timeoutSeconds": 5,
            "failureThreshold": 3,
        },
        "readinessProbe": {"httpGet": {"path": "/readyz", "port": "http"}, "periodSeconds": 2, "timeoutSeconds": 2},
    }
    spread = [
        {"labelSelector": {"matchLabels": pod_labels(detector)}, **each} for each in spec.pod.topology_spread_constraints or []
    ]
    return {
        **_pod(detector_child(detector), spec, spec.pod, token=False),
        **({"topologySpreadConstraints": spread} if spread else {}),
        "terminationGracePeriodSeconds": 30,
        "containers": [container],
        "volumes": volumes,
    }


def training(detector: str, spec: DetectorSpec, image: str, order: TrainingOrder) -> dict[str, Any]:
    """Spec of a training pod. It registers its model, so it has a token of its own service account."""
    volumes: list[dict[str, Any]] = []
    mounts: list[dict[str, Any]] = []
    shape = training_shape(spec)
    stable = order.stable.artifact.config_map_ref if order.stable else None
    if (
        stable is not None
    ):  # mounted, so that the trainer needs no right to read ConfigMaps; deleted meanwhile, it is not compared
        volumes.append({"name": "stable", "configMap": {"name": stable.name, "optional": True}})
        mounts.append({"name": "stable", "mountPath": STABLE_FOLDER, "readOnly": True})
    container = {
        **_container("trainer", image, spec, shape, volumes, mounts, writable=True),
        "resources": spec.training.resources.document(),
    }
    asked = json.dumps(order.document(), sort_keys=True, separators=(",", ":"))
    container["env"] = [*container["env"], {"name": TRAINING_ENV, "value": asked}]
    return {
        **_pod(trainer_child(detector), spec, shape, token=True),
        "restartPolicy": "Never",
        "containers": [container],
        "volumes": volumes,
    }


def training_shape(spec: DetectorSpec) -> PodShape:
    """The training pods' settings: those of the scoring pods where `training.pod` has none, but never their identity."""
    asked, scoring = spec.training.pod, spec.pod
    inherited = (name for name in PodShape.model_fields if name != "service_account_name" and getattr(asked, name) is None)
    return asked.model_copy(update={name: getattr(scoring, name) for name in inherited})


def _pod(service_account: str, spec: DetectorSpec, shape: PodShape, *, token: bool) -> dict[str, Any]:
    asked = {**{name: value for name, value in shape.document().items() if name in _SCHEDULING}}
    if spec.pod.image_pull_secrets:
        asked["imagePullSecrets"] = [reference.document() for reference in spec.pod.image_pull_secrets]
    return {
        "serviceAccountName": shape.service_account_name or service_account,
        "automountServiceAccountToken": token,
        "enableServiceLinks": False,
        "securityContext": {**POD_SECURITY, **(_FIXED_USER if spec.pod.user_id is UserId.FIXED else {})},
        **{name: value for name, value in asked.items() if value},
    }


def _container(
    name: str,
    image: str,
    spec: DetectorSpec,
    shape: PodShape,
    volumes: list[dict[str, Any]],
    mounts: list[dict[str, Any]],
    *,
    writable: bool,
) -> dict[str, Any]:
    """What both have. `volumes` and `mounts` are extended: by /tmp, credentials, the claim of the model store, the user's own."""
    volumes.append({"name": "tmp", "emptyDir": {}})
    mounts.append({"name": "tmp", "mountPath": "/tmp"})  # noqa: S108 - the pod's own
    for kept, found in zip((volumes, mounts), credentials.mounted(spec.source), strict=True):
        kept.extend(found)
    store = spec.model_store.uri
    if store and store.claim_name:
        read_only = {} if writable else {"readOnly": True}
        volumes.append({"name": "store", "persistentVolumeClaim": {"claimName": store.claim_name, **read_only}})
        mounts.append({"name": "store", "mountPath": CLAIM_FOLDER, **read_only})
    volumes.extend(volume.document() for volume in shape.volumes or ())
    mounts.extend(mount.document() for mount in shape.volume_mounts or ())
    sources = [{"secretRef": {"name": store.secret_ref.name}}] if store and store.secret_ref else []
    sources += shape.env_from or []
    policy = spec.pod.image_pull_policy
    own = {"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}
    return {
        "name": name,
        "image": image,
        **({"imagePullPolicy": policy.value} if policy else {}),
        "env": [own, *(variable.document() for variable in shape.env or ())],
        **({"envFrom": sources} if sources else {}),
        "ports": [{"name": "http", "containerPort": HTTP_PORT}],
        "securityContext": SECURITY,
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": mounts,
    }
