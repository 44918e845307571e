"""What the watches have reported, trimmed: the source of every `Snapshot`. Nothing is asked of the API server here.

Only our children are watched (label selectors). A label says whom to look for; whose an object is, its owner references say.
"""

import logging
from collections import defaultdict
from collections.abc import Mapping
from typing import Final, TypeVar

from pydantic import ValidationError

from anomaly_api.meta import LABEL_DETECTOR
from anomaly_operator.core.models.verification import ModelSnapshot
from anomaly_operator.core.resources.names import (
    AUTOSCALERS,
    CONTROLLER_REVISIONS,
    DEPLOYMENTS,
    DETECTORS,
    JOBS,
    MODELS,
    PODS,
    REPLICA_SETS,
    Kind,
    detector_child,
)
from anomaly_operator.core.resources.ownership import belongs_to, controller
from anomaly_operator.core.snapshot import Manifest, Model, Snapshot, model
from anomaly_operator.core.status.pods import Pod, pod
from anomaly_operator.kube.detector_index import DetectorIndex
from anomaly_operator.kube.entries import Entry, InvalidSpecError, entered
from anomaly_operator.kube.model_index import ModelIndex
from anomaly_operator.kube.trimming import trimmed
from anomaly_operator.kube.verifications import VerificationIndex, checked_model

Key = tuple[str, str]
"""Namespace and name of a detector."""
_Place = tuple[Kind, str, str]
_MAX_TOMBSTONES: Final = 4096
_Outer = TypeVar("_Outer")
_Inner = TypeVar("_Inner")
_Value = TypeVar("_Value")

logger = logging.getLogger(__name__)


class Cache:
    """Objects by kind, namespace and name; detectors also by consumer group, children by detector."""

    def __init__(self) -> None:
        self._versions: dict[_Place, int] = {}
        self._tombstones: dict[_Place, int] = {}
        self._labelled: dict[_Place, Key] = {}
        self._children: dict[Key, dict[tuple[Kind, str], Manifest]] = {}
        self._pods: dict[Key, dict[str, Pod]] = {}
        self._models = ModelIndex()
        self._autoscalers: dict[str, dict[str, str]] = {}
        self._detectors = DetectorIndex()
        self._verifications = VerificationIndex()
        self._concerned: dict[_Place, set[Key]] = defaultdict(set)

    def put(self, kind: Kind, document: Manifest) -> None:
        """Take over an object, unless a newer version of it or its deletion is known."""
        metadata = document["metadata"]
        place = (kind, metadata["namespace"], metadata["name"])
        if self.knows(kind, metadata):
            return
        self._tombstones.pop(place, None)
        self._versions[place] = int(metadata.get("resourceVersion", 0))
        put = {DETECTORS: self._put_detector, MODELS: self._put_model, AUTOSCALERS: self._put_autoscaler}.get(
            kind, self._put_child
        )
        self._concerned[place] |= put(place, document)

    def concerned(self, kind: Kind, namespace: str, name: str) -> set[Key]:
        """Detectors that what was put of this object since the last question concerns."""
        return self._concerned.pop((kind, namespace, name), set())

    def drop(self, kind: Kind, namespace: str, name: str, version: int | None = None) -> set[Key]:
        """Forget an object that is gone, unless a newer one of that name is known. Detectors that it concerns.

        The version of its end is kept for a while: an answer to a request that came before it must not bring it back.
        """
        place = (kind, namespace, name)
        known = self._versions.get(place, 0)
        if version is not None and known > version:
            return set()
        self._bury(place, max(known, version or 0))
        self._versions.pop(place, None)
        self._concerned.pop(place, None)
        if kind == DETECTORS:
            members = self._detectors.members((namespace, name))
            self._detectors.drop((namespace, name))
            return members
        if kind == MODELS:
            gone = self._models.drop(namespace, name)
            return self._detectors.concerned_by(namespace, gone) if gone else set()
        if kind == AUTOSCALERS:
            target = _remove(self._autoscalers, namespace, name)
            return self._of_deployment(namespace, target or "")
        if self._verifications.drop(place):
            return set()
        owner = self._labelled.pop(place, None)
        if owner is None:
            return set()
        _remove(self._children, owner, (kind, name))
        if kind == PODS:
            _remove(self._pods, owner, name)
        return {owner}

    def knows(self, kind: Kind, metadata: Manifest) -> bool:
        """Whether this version of an object, or a newer one, or its end has been taken over."""
        place = (kind, metadata["namespace"], metadata["name"])
        known = max(self._versions.get(place, -1), self._tombstones.get(place, -1))
        return known >= int(metadata.get("resourceVersion", 0))

    def known(self, kind: Kind, namespace: str | None) -> set[Key]:
        """Namespaces and names of the objects of a kind."""
        return {(space, name) for each, space, name in self._versions if each == kind and namespace in (None, space)}

    def detectors(self) -> set[Key]:
        """All detectors."""
        return self._detectors.all()

    def brought_models(self) -> list[Key]:
        """Namespaces and names of the models that were not trained here."""
        return [(namespace, model.name) for namespace, model in self._models.all() if model.brought]

    def verification(self, key: Key) -> ModelSnapshot | None:
        """What there is of a model and its check; None when the model is gone."""
        found = self._models.get(*key)
        return self._verifications.snapshot(key[0], found) if found else None

    def models_used(self, key: Key) -> list[Model]:
        """AnomalyModels that say a detector uses them."""
        return self._models.used_by(*key)

    def models_seen(self, entry: Entry, key: Key, children: Mapping[tuple[Kind, str], Manifest]) -> dict[str, Model]:
        """AnomalyModels that a detector may have to do with: its own, and those that spec, status and records name."""
        assert entry.readable is not None, "the caller has looked"
        reference, status = entry.readable.spec.model.model_ref, entry.readable.status
        names = [reference.name] if reference else []
        names += [status.stable.model] if status.stable and status.stable.model else []
        records = [live.get("data") or {} for (kind, _), live in children.items() if kind == CONTROLLER_REVISIONS]
        digests = {str(record["model"]) for record in records if record.get("model")}
        return self._models.seen_by(*key, entry.uid, names, digests)

    def pods(self, key: Key) -> list[Pod]:
        """Pods that the detector's own Deployment and Jobs have made."""
        return self._own_pods(key, self._own_children(key))

    def child(self, key: Key, kind: Kind, name: str) -> Manifest | None:
        """A child of a detector, trimmed."""
        return self._own_children(key).get((kind, name))

    def jobs(self, key: Key) -> list[Manifest]:
        """Jobs of a detector, trimmed."""
        return [live for (kind, _), live in self._own_children(key).items() if kind == JOBS]

    def snapshot(self, key: Key) -> Snapshot | None:
        """What the watches say of a detector; None when it is gone or being deleted. Raises InvalidSpecError."""
        entry = self._detectors.get(key)
        if entry is None or entry.terminating:
            return None
        if entry.readable is None:
            raise InvalidSpecError(entry.problem, entry.generation, entry.conditions)
        children = self._own_children(key)
        models = self.models_seen(entry, key, children)
        return Snapshot(
            detector=entry.readable,
            spec_error=entry.problem,
            children=children,
            pods=tuple(self._own_pods(key, children)),
            models=models,
            models_referred=self._detectors.referred(key, models),
            detectors_here=self._detectors.names(key[0]),
            autoscaled=detector_child(key[1]) in self._autoscalers.get(key[0], {}).values(),
            group_members=tuple(self._detectors.other_members(key, entry.group)),
        )

    def _put_detector(self, place: _Place, document: Manifest) -> set[Key]:
        key = place[1:]
        members = self._detectors.members(key)
        self._detectors.put(key, entered(document, self._detectors.get(key)))
        return {key} | members | self._detectors.members(key)

    def _put_model(self, place: _Place, document: Manifest) -> set[Key]:
        _, namespace, name = place
        try:
            parsed = model(document)
        except ValidationError as error:
            logger.warning("AnomalyModel %s/%s cannot be read: %s", namespace, name, error)
            return set()
        before = self._models.put(namespace, parsed)
        concerned = self._detectors.concerned_by
        return concerned(namespace, parsed) | (concerned(namespace, before) if before else set())

    def _put_autoscaler(self, place: _Place, document: Manifest) -> set[Key]:
        _, namespace, name = place
        target = document["spec"]["scaleTargetRef"]
        before = self._autoscalers.get(namespace, {}).get(name, "")
        deployment = target["name"] if target["kind"] == DEPLOYMENTS.kind else ""
        self._autoscalers.setdefault(namespace, {})[name] = deployment
        return self._of_deployment(namespace, before) | self._of_deployment(namespace, deployment)

    def _of_deployment(self, namespace: str, deployment: str) -> set[Key]:
        """The detector whose scoring pods a Deployment of this name makes."""
        name = deployment.removesuffix(detector_child(""))
        return {(namespace, name)} if name != deployment and self._detectors.get((namespace, name)) else set()

    def _put_child(self, place: _Place, document: Manifest) -> set[Key]:
        kind, namespace, name = place
        model = checked_model(document)
        if model:
            self._verifications.put(place, model, document if kind == PODS else trimmed(kind, document))
            return set()
        key = (namespace, document["metadata"].get("labels", {}).get(LABEL_DETECTOR, ""))
        self._labelled[place] = key
        if kind == PODS:
            self._pods.setdefault(key, {})[name] = pod(document)
        else:
            self._children.setdefault(key, {})[kind, name] = trimmed(kind, document)
        return {key}

    def _own_children(self, key: Key) -> dict[tuple[Kind, str], Manifest]:
        """Children by their owner references: a label alone can be put on anything."""
        entry = self._detectors.get(key)
        if entry is None:
            return {}
        found = self._children.get(key, {}).items()
        return {place: live for place, live in found if place[0] != REPLICA_SETS and belongs_to(live["metadata"], entry.uid)}

    def _own_pods(self, key: Key, children: dict[tuple[Kind, str], Manifest]) -> list[Pod]:
        makers = {live["metadata"].get("uid") for (kind, _), live in children.items() if kind in (DEPLOYMENTS, JOBS)}
        sets = (live["metadata"] for (kind, _), live in self._children.get(key, {}).items() if kind == REPLICA_SETS)
        makers |= {metadata["uid"] for metadata in sets if controller(metadata) in makers}
        return [each for each in self._pods.get(key, {}).values() if each.owner in makers]

    def _bury(self, place: _Place, version: int) -> None:
        self._tombstones.pop(place, None)
        self._tombstones[place] = version
        if len(self._tombstones) > _MAX_TOMBSTONES:
            del self._tombstones[next(iter(self._tombstones))]


def _remove(index: dict[_Outer, dict[_Inner, _Value]], outer: _Outer, inner: _Inner) -> _Value | None:
    """Take a value out of a nested index, and leave no empty dictionary behind."""
    found = index.get(outer, {})
    value = found.pop(inner, None)
    if not found:
        index.pop(outer, None)
    return value
