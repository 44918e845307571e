"""What the watches have reported, trimmed: the source of every `Snapshot`. Nothing is asked of the API server here.

Only our children are watched (label selectors), values of ConfigMaps other than settings are kept as hashes, managed
fields are dropped: the operator's memory must not depend on what else is in the cluster.
"""

import base64
import logging
from collections import defaultdict
from typing import Any, Final

from pydantic import ValidationError

from anomaly_api.meta import LABEL_DETECTOR
from anomaly_api.schedule import flaws
from anomaly_operator.core.models.slots import HASHES, content_digest
from anomaly_operator.core.resources.names import CONFIG_MAPS, DEPLOYMENTS, DETECTORS, JOBS, MODELS, PODS, Kind
from anomaly_operator.core.scaling import SCALED_BY
from anomaly_operator.core.snapshot import Detector, Manifest, Model, Snapshot, detector, model
from anomaly_operator.core.status.pods import Pod, pod

Key = tuple[str, str]
"""Namespace and name of a detector."""
_Place = tuple[Kind, str, str]
_KUBECTL: Final = "kubectl"

logger = logging.getLogger(__name__)


class InvalidSpecError(Exception):
    """A detector's spec that makes no sense or that this version cannot read, though the API server admitted it."""

    def __init__(self, why: str, generation: int) -> None:
        super().__init__(why)
        self.generation = generation


class Cache:
    """Objects by kind, namespace and name; detectors also by consumer group, children by detector."""

    def __init__(self) -> None:
        self._versions: dict[_Place, int] = {}
        self._owners: dict[_Place, Key] = {}
        self._children: dict[Key, dict[tuple[Kind, str], Manifest]] = defaultdict(dict)
        self._pods: dict[Key, dict[str, Pod]] = defaultdict(dict)
        self._models: dict[str, dict[str, Model]] = defaultdict(dict)
        self._detectors: dict[Key, Detector | str] = {}
        self._uids: dict[Key, tuple[str, bool, int]] = {}
        self._groups: dict[str, set[Key]] = defaultdict(set)
        self._concerned: dict[_Place, set[Key]] = defaultdict(set)

    def put(self, kind: Kind, document: Manifest) -> None:
        """Take over an object unless a newer version of it is known."""
        metadata = document["metadata"]
        place = (kind, metadata["namespace"], metadata["name"])
        version = int(metadata.get("resourceVersion", 0))
        if self._versions.get(place, -1) >= version:
            return
        self._versions[place] = version
        put = {DETECTORS: self._put_detector, MODELS: self._put_model}.get(kind, self._put_child)
        self._concerned[place] |= put(place, document)

    def concerned(self, kind: Kind, namespace: str, name: str) -> set[Key]:
        """Detectors that what was put of this object since the last question concerns."""
        return self._concerned.pop((kind, namespace, name), set())

    def drop(self, kind: Kind, namespace: str, name: str, version: int | None = None) -> set[Key]:
        """Forget an object that is gone, unless a newer one of that name is known. Detectors that it concerns."""
        place = (kind, namespace, name)
        if version is not None and self._versions.get(place, 0) > version:
            return set()
        self._versions.pop(place, None)
        self._concerned.pop(place, None)
        if kind == DETECTORS:
            concerned = self._rivals((namespace, name))
            self._leave_group((namespace, name))
            self._detectors.pop((namespace, name), None)
            self._uids.pop((namespace, name), None)
            return concerned
        if kind == MODELS:
            gone = self._models[namespace].pop(name, None)
            return self._users(namespace, gone) if gone else set()
        owner = self._owners.pop(place, None)
        if owner is None:
            return set()
        self._children[owner].pop((kind, name), None)
        if kind == PODS:
            self._pods[owner].pop(name, None)
        if not self._children[owner] and not self._pods[owner]:  # nothing may be left of what is gone
            del self._children[owner], self._pods[owner]
        return {owner}

    def knows(self, kind: Kind, metadata: Manifest) -> bool:
        """Whether this version of an object, or a newer one, has been taken over."""
        place = (kind, metadata["namespace"], metadata["name"])
        return self._versions.get(place, -1) >= int(metadata["resourceVersion"])

    def known(self, kind: Kind, namespace: str | None) -> set[Key]:
        """Namespaces and names of the objects of a kind."""
        return {(space, name) for each, space, name in self._versions if each == kind and namespace in (None, space)}

    def detectors(self) -> set[Key]:
        """All detectors."""
        return set(self._detectors)

    def models(self, namespace: str) -> dict[str, Model]:
        """AnomalyModels of a namespace."""
        return self._models[namespace]

    def pods(self, key: Key) -> list[Pod]:
        """Pods of a detector."""
        return list(self._pods[key].values())

    def child(self, key: Key, kind: Kind, name: str) -> Manifest | None:
        """A child of a detector, trimmed."""
        return self._children[key].get((kind, name))

    def snapshot(self, key: Key) -> Snapshot | None:
        """What the watches say of a detector; None when it is gone or going. Raises InvalidSpecError."""
        found = self._detectors.get(key)
        if found is None or self._uids[key][1]:
            return None
        if isinstance(found, str):
            raise InvalidSpecError(found, self._uids[key][2])
        return Snapshot(
            detector=found,
            children=dict(self._children[key]),
            pods=tuple(self._pods[key].values()),
            models=dict(self._models[key[0]]),
            detectors_here=frozenset(name for namespace, name in self._detectors if namespace == key[0]),
            group_members=self._members(found),
        )

    def _put_detector(self, place: _Place, document: Manifest) -> set[Key]:
        metadata, key = document["metadata"], place[1:]
        before = self._rivals(key)
        self._leave_group(key)
        self._uids[key] = (metadata["uid"], "deletionTimestamp" in metadata, metadata.get("generation", 0))
        try:
            parsed = detector(document)
        except ValidationError as error:
            wrong = [f"spec.{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()]
            self._detectors[key] = f"{'; '.join(wrong[:3])}: do the CRDs and the operator have the same version?"
        else:
            self._detectors[key] = "; ".join(flaws(parsed.spec.alerts)) or parsed  # what the schema cannot see
            self._groups[parsed.group_id].add(key)
        return {key} | before | self._rivals(key)

    def _put_model(self, place: _Place, document: Manifest) -> set[Key]:
        _, namespace, name = place
        try:
            parsed = model(document)
        except ValidationError as error:
            logger.warning("AnomalyModel %s/%s cannot be read: %s", namespace, name, error)
            return set()
        self._models[namespace][parsed.name] = parsed
        return self._users(namespace, parsed)

    def _put_child(self, place: _Place, document: Manifest) -> set[Key]:
        kind, namespace, name = place
        owner = (namespace, document["metadata"].get("labels", {}).get(LABEL_DETECTOR, ""))
        self._owners[place] = owner
        if kind == PODS:
            self._pods[owner][name] = pod(document)
        else:
            self._children[owner][kind, name] = trimmed(kind, document)
        return {owner}

    def _users(self, namespace: str, of: Model) -> set[Key]:
        used_by = {(namespace, name) for name in of.status.used_by or []}
        for key, found in self._detectors.items():
            if key[0] == namespace and isinstance(found, Detector):
                reference = found.spec.model.model_ref
                if found.uid == of.owner or (reference is not None and reference.name == of.name):
                    used_by.add(key)
        return used_by

    def _rivals(self, key: Key) -> set[Key]:
        found = self._detectors.get(key)
        return set(self._groups[found.group_id]) if isinstance(found, Detector) else set()

    def _leave_group(self, key: Key) -> None:
        found = self._detectors.get(key)
        if isinstance(found, Detector):
            self._groups[found.group_id].discard(key)

    def _members(self, mine: Detector) -> tuple[Detector, ...]:
        """Other detectors with the same consumer group that are not being deleted."""
        keys = sorted(self._groups[mine.group_id] - {(mine.namespace, mine.name)})
        others = [self._detectors.get(key) for key in keys if not self._uids[key][1]]
        return tuple(other for other in others if isinstance(other, Detector))


def trimmed(kind: Kind, document: Manifest) -> Manifest:
    """Without what nobody looks at."""
    metadata = {name: value for name, value in document["metadata"].items() if name != "managedFields"}
    kept: Manifest = {**{name: value for name, value in document.items() if name != "binaryData"}, "metadata": metadata}
    if kind == CONFIG_MAPS:
        kept[HASHES] = {name: content_digest(base64.b64decode(value)) for name, value in document.get("binaryData", {}).items()}
        if "immutable" in document:  # a model's, not ours to compare
            kept.pop("data", None)
    if kind == JOBS:
        kept["spec"] = {name: value for name, value in document["spec"].items() if name != "template"}
    if kind == DEPLOYMENTS:
        kept[SCALED_BY] = _scaled_by(document["metadata"].get("managedFields", []))
    return kept


def _scaled_by(managed: list[dict[str, Any]]) -> str:
    """Who sets the replicas through the scale subresource; a person with kubectl is not an autoscaler."""
    for entry in managed:
        owns = "f:replicas" in entry.get("fieldsV1", {}).get("f:spec", {})
        if entry.get("subresource") == "scale" and owns and not entry["manager"].startswith(_KUBECTL):
            return str(entry["manager"])
    return ""
