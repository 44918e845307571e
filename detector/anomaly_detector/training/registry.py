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
from anomaly_api.meta import (
    ANNOTATION_REQUEST,
    API_VERSION,
    CARD_FILE,
    GROUP,
    LABEL_COMPONENT,
    LABEL_DETECTOR,
    LABEL_TRAINING,
    MODEL_FILE,
    VERSION,
)
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
        self._models = (GROUP, VERSION, self._namespace, _PLURAL)
        self._core, self._custom = client.CoreV1Api(api), client.CustomObjectsApi(api)

    def place(self, digest: str, archive: bytes) -> Artifact:
        """Where the archive goes: stored already, when by URI; else the ConfigMap that `register` makes. Raises TrainingError."""
        target = self._order.model_store.uri
        if target is not None:
            url = store(target.uri, digest, archive)
            return Artifact(uri=ArtifactUri(url=url, secret_ref=target.secret_ref, claim_name=target.claim_name))
        if len(archive) > MAX_CONFIG_MAP_BYTES:
            raise TrainingError(
                f"the model has {len(archive) / 1024:,.0f} KiB and a ConfigMap holds {MAX_CONFIG_MAP_BYTES // 1024}: set "
                "spec.modelStore.uri (s3://..., or file:///... with claimName), or smaller spec.model.autoencoder.layers"
            )
        return Artifact(config_map_ref=LocalReference(name=model_name(self._order, digest)))

    def card(self, digest: str) -> LocalReference:
        """The ConfigMap that the model's card goes into."""
        return LocalReference(name=f"{model_name(self._order, digest)}-card")

    def register(self, spec: ModelSpec, archive: bytes, card: bytes | None = None) -> str:
        """Creates the AnomalyModel and the ConfigMaps that it owns. Returns its name. Raises TrainingError.

        The label by which the operator finds the model comes last, when the artifact is there: whenever this breaks off, a
        second run completes it, and deleting the AnomalyModel leaves no ConfigMap behind.
        """
        name = model_name(self._order, spec.digest)
        made = self._model(name, spec)
        if made["spec"]["digest"] != spec.digest:
            raise TrainingError(f"AnomalyModel {name} exists with another digest: delete it and train again")
        if spec.artifact.config_map_ref is not None:
            self._keep(spec.artifact.config_map_ref.name, MODEL_FILE, archive, made)
        if spec.report is not None and card is not None:
            self._keep(spec.report.config_map_ref.name, CARD_FILE, card, made)
        self._label(name, self._labels(), {ANNOTATION_REQUEST: self._order.request or None})
        return name

    def _model(self, name: str, spec: ModelSpec) -> dict[str, Any]:
        """The AnomalyModel, made now or before: the same data and seed give the same model."""
        labels = {key: value for key, value in self._labels().items() if key != LABEL_TRAINING}
        metadata = {"name": name, "namespace": self._namespace, "labels": labels, "ownerReferences": [self._detector()]}
        document = AnomalyModel(metadata=metadata, spec=spec).document()
        made = self._create(
            "AnomalyModel",
            name,
            lambda: self._custom.create_namespaced_custom_object(*self._models, document, field_manager=_FIELD_MANAGER),
        )
        return made if made is not None else self._label(name, labels)

    def _label(self, name: str, labels: dict[str, str], annotations: dict[str, str | None] | None = None) -> dict[str, Any]:
        """The AnomalyModel, as it is then; an annotation that is None goes."""
        patch = {"metadata": {"labels": labels, "annotations": annotations or {}}}
        labelled: dict[str, Any] = self._asked(
            f"label AnomalyModel {name}", lambda: self._custom.patch_namespaced_custom_object(*self._models, name, patch)
        )
        return labelled

    def _keep(self, name: str, key: str, content: bytes, model: dict[str, Any]) -> None:
        """The ConfigMap `name` with the content, made now or before."""
        manifest = self._config_map(name, {key: base64.b64encode(content).decode()}, model)
        self._create("ConfigMap", name, lambda: self._core.create_namespaced_config_map(self._namespace, manifest))

    def _config_map(self, name: str, data: dict[str, str], model: dict[str, Any]) -> dict[str, Any]:
        owner = {
            "apiVersion": API_VERSION,
            "kind": "AnomalyModel",
            "name": model["metadata"]["name"],
            "uid": model["metadata"]["uid"],
            "controller": True,
            "blockOwnerDeletion": False,
        }
        metadata = {"name": name, "labels": self._labels(), "ownerReferences": [owner]}
        return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "immutable": True, "binaryData": data}

    def _labels(self) -> dict[str, str]:
        return {
            "app.kubernetes.io/name": "anomaly-model",
            "app.kubernetes.io/instance": self._order.detector.name,
            "app.kubernetes.io/managed-by": "anomaly-operator",
            LABEL_DETECTOR: self._order.detector.name,
            LABEL_COMPONENT: "model",
            LABEL_TRAINING: self._order.key,
        }

    def _detector(self) -> dict[str, Any]:
        owner = self._order.detector
        reference = {"apiVersion": API_VERSION, "kind": "AnomalyDetector", "name": owner.name, "uid": owner.uid}
        return {**reference, "controller": True, "blockOwnerDeletion": False}

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
    """Returns the API server's message without the headers and JSON around it."""
    try:
        return str(json.loads(error.body)["message"])
    except (TypeError, ValueError, KeyError):
        return f"{error.status} {error.reason}"
