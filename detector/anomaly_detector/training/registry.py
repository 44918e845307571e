"""Registers a model with the cluster: its ConfigMap, where that is its store, and its AnomalyModel. Twice is as good as once."""

import base64
import json
import logging
import time
from collections.abc import Callable
from typing import Any, Final, TypeVar

import urllib3
from kubernetes import client, config
from kubernetes.client.exceptions import ApiException

from anomaly_api.assignment import TrainingOrder
from anomaly_api.meta import API_VERSION, GROUP, LABEL_COMPONENT, LABEL_DETECTOR, LABEL_TRAINING, MODEL_FILE, VERSION
from anomaly_api.model import MAX_CONFIG_MAP_BYTES, AnomalyModel, Artifact, ArtifactUri, ModelSpec
from anomaly_api.policy import LocalReference
from anomaly_detector.training.failures import TrainingError
from anomaly_detector.training.store import store

_PLURAL: Final = "anomalymodels"
_FIELD_MANAGER: Final = "anomaly-operator-trainer"
_PATIENCE: Final = 300.0
_Answer = TypeVar("_Answer")

log = logging.getLogger(__name__)


def connect() -> client.ApiClient:
    """The cluster that this runs in, or that KUBECONFIG names."""
    try:
        config.load_incluster_config()
    except config.ConfigException:
        try:
            config.load_kube_config()
        except config.ConfigException as error:
            raise TrainingError(f"no cluster to register the model with: {error}; run in a pod or set KUBECONFIG") from error
    return client.ApiClient()


def model_name(order: TrainingOrder, digest: str) -> str:
    """Name of the AnomalyModel."""
    return f"{order.detector.name}-{digest.removeprefix('sha256:')[:8]}"


class Registry:
    """Makes what the operator looks for."""

    def __init__(self, api: client.ApiClient, order: TrainingOrder) -> None:
        self._order = order
        self._namespace = order.detector.namespace
        self._core, self._custom = client.CoreV1Api(api), client.CustomObjectsApi(api)

    def keep(self, digest: str, archive: bytes) -> Artifact:
        """Stores the archive as the order says. Raises TrainingError."""
        target = self._order.model_store.uri
        if target is not None:
            url = store(target.uri, digest, archive)
            return Artifact(uri=ArtifactUri(url=url, secret_ref=target.secret_ref, claim_name=target.claim_name))
        if len(archive) > MAX_CONFIG_MAP_BYTES:
            raise TrainingError(
                f"the model has {len(archive) / 1024:,.0f} KiB and a ConfigMap holds {MAX_CONFIG_MAP_BYTES // 1024}: set "
                "spec.modelStore.uri (s3://..., or file:///... with claimName), or smaller spec.model.autoencoder.layers"
            )
        name = model_name(self._order, digest)
        manifest = self._config_map(name, archive)
        self._create("ConfigMap", name, lambda: self._core.create_namespaced_config_map(self._namespace, manifest))
        return Artifact(config_map_ref=LocalReference(name=name))

    def register(self, spec: ModelSpec) -> str:
        """Creates the AnomalyModel, and gives its ConfigMap to it. Returns its name. Raises TrainingError."""
        name = model_name(self._order, spec.digest)
        metadata = {"name": name, "namespace": self._namespace, "labels": self._labels(), "ownerReferences": [self._detector()]}
        document = AnomalyModel(metadata=metadata, spec=spec).document()
        place = (GROUP, VERSION, self._namespace, _PLURAL)
        made = self._create(
            "AnomalyModel",
            name,
            lambda: self._custom.create_namespaced_custom_object(*place, document, field_manager=_FIELD_MANAGER),
        )
        if made is None:  # the same data and seed gave the same model before: say that it answers this order too
            labels = {"metadata": {"labels": self._labels()}}
            made = self._asked(
                f"label AnomalyModel {name}", lambda: self._custom.patch_namespaced_custom_object(*place, name, labels)
            )
            if made["spec"]["digest"] != spec.digest:
                raise TrainingError(f"AnomalyModel {name} exists with another digest: delete it and train again")
        if spec.artifact.config_map_ref is not None:
            self._give(spec.artifact.config_map_ref.name, made)
        return name

    def _config_map(self, name: str, archive: bytes) -> dict[str, Any]:
        metadata = {"name": name, "labels": self._labels(), "ownerReferences": [self._detector(controller=False)]}
        data = {MODEL_FILE: base64.b64encode(archive).decode()}
        return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "immutable": True, "binaryData": data}

    def _give(self, name: str, model: dict[str, Any]) -> None:
        """The ConfigMap goes when its AnomalyModel goes; before that it was the detector's: no orphans."""
        owner = {
            "apiVersion": API_VERSION,
            "kind": "AnomalyModel",
            "name": model["metadata"]["name"],
            "uid": model["metadata"]["uid"],
            "controller": True,
            "blockOwnerDeletion": False,
        }
        patch = [{"op": "replace", "path": "/metadata/ownerReferences", "value": [owner]}]
        self._asked(f"patch ConfigMap {name}", lambda: self._core.patch_namespaced_config_map(name, self._namespace, patch))

    def _labels(self) -> dict[str, str]:
        return {
            "app.kubernetes.io/name": "anomaly-model",
            "app.kubernetes.io/instance": self._order.detector.name,
            "app.kubernetes.io/managed-by": "anomaly-operator",
            LABEL_DETECTOR: self._order.detector.name,
            LABEL_COMPONENT: "model",
            LABEL_TRAINING: self._order.key,
        }

    def _detector(self, *, controller: bool = True) -> dict[str, Any]:
        owner = self._order.detector
        reference = {"apiVersion": API_VERSION, "kind": "AnomalyDetector", "name": owner.name, "uid": owner.uid}
        return {**reference, "controller": controller, "blockOwnerDeletion": False}

    def _create(self, kind: str, name: str, call: Callable[[], _Answer]) -> _Answer | None:
        """None when it exists already."""
        made: _Answer | None = self._asked(f"create {kind} {name}", call, existing=True)
        return made

    def _asked(self, what: str, call: Callable[[], _Answer], *, existing: bool = False) -> Any:
        """Asks the API server until it answers; a training is not thrown away because it is restarting."""
        pause, until = 1.0, time.monotonic() + _PATIENCE
        while True:
            try:
                return call()
            except ApiException as error:
                if error.status == 409 and existing:
                    return None
                if error.status not in (429, 500, 502, 503, 504) or time.monotonic() > until:
                    raise TrainingError(
                        f"the API server refused to {what} in namespace {self._namespace}: {_message(error)}"
                    ) from error
                said = f"{error.status} {error.reason}"
            except (urllib3.exceptions.HTTPError, OSError) as error:
                if time.monotonic() > until:
                    raise TrainingError(f"the API server does not answer: could not {what} in {self._namespace}") from error
                said = type(error).__name__
            log.warning("could not %s: %s; trying again in %.0f s", what, said, pause)
            time.sleep(pause)
            pause = min(pause * 2, 15.0)


def _message(error: ApiException) -> str:
    """What the API server said, without headers and JSON around it."""
    try:
        return str(json.loads(error.body)["message"])
    except (TypeError, ValueError, KeyError):
        return f"{error.status} {error.reason}"
