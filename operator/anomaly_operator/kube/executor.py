"""Carries plans out. What this file and its neighbours ask of the API server is what the operator needs rights for:

    anomalydetectors                                                      get list watch
    anomalymodels                                                         get list watch delete
    anomalydetectors/status, anomalymodels/status                         patch
    configmaps                                                            get list watch create patch
    serviceaccounts, rolebindings, controllerrevisions, jobs              get list watch create patch delete
    services, deployments, poddisruptionbudgets                           get list watch create patch
    replicasets                                                           get list watch
    horizontalpodautoscalers                                              get list watch
    pods                                                                  get list watch patch
    events                                                                list create
    leases (in its own namespace)                                         get create update
    clusterroles, the trainer's by name only                              bind

Server-side apply that makes something needs create and patch. Secrets are never read: pods name them.
"""

import base64
import logging
from datetime import UTC, datetime
from typing import Any, Final

from anomaly_api.meta import ANNOTATION_ASSIGNMENT, API_VERSION, MODEL_FILE
from anomaly_api.schema import digest
from anomaly_operator.controller import telemetry
from anomaly_operator.core.actions import Action, Apply, Delete, Event, FillSlot, RefreshMounts
from anomaly_operator.core.models.model_status import PatchModel
from anomaly_operator.core.models.slots import content_digest
from anomaly_operator.core.resources.children import with_manifest_hash
from anomaly_operator.core.resources.diff import differs
from anomaly_operator.core.resources.names import CONFIG_MAPS, DETECTORS, EVENTS, FIELD_MANAGER, MODELS, PODS, Kind, kind_of
from anomaly_operator.core.resources.ownership import belongs_to
from anomaly_operator.core.snapshot import ApplyError, Detector, Manifest
from anomaly_operator.core.training.outcome import ended
from anomaly_operator.kube.client import Api, ApiError, NotLeadingError
from anomaly_operator.kube.events import pod_refusal
from anomaly_operator.kube.informers import Cache, Key
from anomaly_operator.kube.trimming import trimmed

_MAX_MESSAGE: Final = 1000

logger = logging.getLogger(__name__)


class Cluster:
    """The operator's hands."""

    def __init__(self, api: Api, cache: Cache, identity: str) -> None:
        self._api, self._cache, self._identity = api, cache, identity
        self._settled: dict[tuple[Kind, Key, str], tuple[str, str]] = {}

    async def execute(self, detector: Detector, actions: tuple[Action, ...]) -> ApplyError | None:
        """In order, all of them, whatever becomes of each. The first error; raises NotLeadingError.

        One child that cannot be applied keeps neither the others nor the status from being written. Only when the API server
        does not answer the rest is left for the next time: each of them would wait as long.
        """
        errors: list[ApplyError] = []
        for action in actions:
            try:
                await self._execute(detector, action)
            except NotLeadingError:
                raise
            except ApiError as error:
                if error.namespace_ends:
                    raise
                errors.append(_apply_error(action, error))
                logger.warning("%s/%s: %s", detector.namespace, detector.name, errors[-1].message)
                if error.status == 0:
                    break
        return errors[0] if errors else None

    async def patch_status(self, key: Key, patch: dict[str, Any], resource_version: str = "") -> None:
        """Of an AnomalyDetector; one that is gone is no failure. Raises ApiError (409 when there is a newer version)."""
        precondition = {"metadata": {"resourceVersion": resource_version}} if resource_version else {}
        try:
            document = await self._api.merge(DETECTORS, *key, {**precondition, "status": patch}, "status")
        except ApiError as error:
            if error.status != 404:
                raise
        else:
            self._cache.put(DETECTORS, document)

    async def pod_refusals(self, key: Key) -> dict[str, str]:
        """Why the API server refuses the pods of Jobs that should have one and have none, by the Job's name. Raises ApiError."""
        jobs = [live for live in self._cache.jobs(key) if not live.get("status", {}).get("active") and not ended(live)]
        said = {job["metadata"]["name"]: await pod_refusal(self._api, job) for job in jobs}
        return {name: words for name, words in said.items() if words}

    def forget(self, key: Key) -> None:
        """Of a detector that is gone."""
        self._settled = {place: known for place, known in self._settled.items() if place[1] != key}

    async def patch_model(self, namespace: str, action: PatchModel) -> None:
        """The status of an AnomalyModel; one that is gone is no failure."""
        try:
            document = await self._api.merge(MODELS, namespace, action.name, {"status": action.status}, "status")
        except ApiError as error:
            if error.status != 404:
                raise
        else:
            self._cache.put(MODELS, document)

    async def record_event(self, detector: Detector, event: Event) -> None:
        """Post an Event, once: its name is derived from what happened."""
        name = f"{detector.name}.{event.key[:16]}"
        moment = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        document = {
            "apiVersion": EVENTS.api_version,
            "kind": EVENTS.kind,
            "metadata": {"name": name, "namespace": detector.namespace},
            "involvedObject": {
                "apiVersion": API_VERSION,
                "kind": DETECTORS.kind,
                "namespace": detector.namespace,
                "name": detector.name,
                "uid": detector.uid,
            },
            "type": "Warning" if event.warning else "Normal",
            "reason": event.reason,
            "message": event.message[:_MAX_MESSAGE],
            "source": {"component": FIELD_MANAGER},
            "reportingComponent": FIELD_MANAGER,
            "reportingInstance": self._identity,
            "firstTimestamp": moment,
            "lastTimestamp": moment,
            "count": 1,
        }
        try:
            await self._api.create(EVENTS, detector.namespace, document)
        except ApiError as error:
            if error.status != 409 and not error.namespace_ends:  # 409: recorded already
                logger.warning("%s/%s: an Event could not be posted: %s", detector.namespace, detector.name, error)
        else:
            telemetry.TRANSITIONS.labels(event.reason).inc()

    async def _execute(self, detector: Detector, action: Action) -> None:
        match action:
            case Apply(manifest):
                await self._apply(detector, manifest)
            case FillSlot():
                await self._fill(detector, action)
            case Delete(kind, name, uid, version):
                await self.delete(detector.namespace, kind, name, uid, version)
            case RefreshMounts(pod, told):
                await self._refresh_mounts(detector.namespace, pod, told)
            case PatchModel():
                await self.patch_model(detector.namespace, action)

    async def _apply(self, detector: Detector, manifest: Manifest) -> None:
        kind, name = kind_of(manifest), manifest["metadata"]["name"]
        place = (kind, (detector.namespace, detector.name), name)
        live = self._cache.child((detector.namespace, detector.name), kind, name)
        if live is None:
            await self._refuse_to_take_over(detector, kind, name)
        elif self._settled.get(place) == (digest(manifest), _fingerprint(live)):
            return  # the API server writes it differently, but it is what we mean
        document = await self._api.apply(manifest)
        self._cache.put(kind, document)
        after = trimmed(kind, document)
        if differs(manifest, after):
            self._settled[place] = (digest(manifest), _fingerprint(after))
        logger.info("%s/%s: %s %s applied", detector.namespace, detector.name, kind.kind, name)

    async def _refuse_to_take_over(self, detector: Detector, kind: Kind, name: str) -> None:
        """Something of this name that is not the detector's stays as it is."""
        found = await self._api.get(kind, detector.namespace, name)
        if found is None or belongs_to(found["metadata"], detector.uid):
            return
        raise ApiError(409, f"{kind.kind} {name} is there already and belongs to someone else: rename or delete one of the two")

    async def _fill(self, detector: Detector, action: FillSlot) -> None:
        source = await self._api.get(CONFIG_MAPS, detector.namespace, action.source)
        encoded = (source or {}).get("binaryData", {}).get(MODEL_FILE)
        if encoded is None:
            raise ApiError(404, f"there is no ConfigMap {action.source} with key {MODEL_FILE}: the model's artifact is gone")
        found = content_digest(base64.b64decode(encoded))
        if found != action.digest:
            raise ApiError(
                422, f"the artifact in ConfigMap {action.source} has digest {found}, the AnomalyModel says {action.digest}"
            )
        await self._apply(detector, {**with_manifest_hash(action.manifest), "binaryData": {MODEL_FILE: encoded}})

    async def delete(self, namespace: str, kind: Kind, name: str, uid: str, version: str = "") -> None:
        """Of this very object; one that is gone, or another one of that name, is no failure. Raises ApiError."""
        try:
            await self._api.delete(kind, namespace, name, uid, version)
        except ApiError as error:
            if error.status not in (404, 409):  # gone already, another one of that name, or changed: then it is decided anew
                raise
            return
        logger.info("%s: %s %s deleted", namespace, kind.kind, name)

    async def _refresh_mounts(self, namespace: str, pod: str, told: str) -> None:
        try:
            document = await self._api.merge(PODS, namespace, pod, {"metadata": {"annotations": {ANNOTATION_ASSIGNMENT: told}}})
        except ApiError as error:
            if error.status != 404:
                raise
        else:
            self._cache.put(PODS, document)


def _fingerprint(live: Manifest) -> str:
    """Of everything but status and version."""
    metadata = {name: value for name, value in live["metadata"].items() if name not in ("resourceVersion", "generation")}
    return digest({**{name: value for name, value in live.items() if name != "status"}, "metadata": metadata})


def _apply_error(action: Action, error: ApiError) -> ApplyError:
    if isinstance(action, FillSlot):
        reason = {404: "ArtifactMissing", 422: "DigestMismatch"}.get(error.status)
        if reason:
            return ApplyError(reason, error.message)
    if error.refused:
        return ApplyError("ChildRefused", f"{_name(action)} was refused by the API server: {error.message}")
    said = f"the API server answered {error.status}: {error.message}" if error.status else error.message
    return ApplyError("ApplyFailed", f"{_name(action)} could not be applied, and is tried again: {said}")


def _name(action: Action) -> str:
    match action:
        case Apply(manifest) | FillSlot(manifest):
            return f"{manifest['kind']} {manifest['metadata']['name']}"
        case Delete(kind, name):
            return f"deleting {kind.kind} {name}"
        case RefreshMounts(pod, _):
            return f"annotating Pod {pod}"
        case PatchModel(name, _):
            return f"the status of AnomalyModel {name}"
