"""Detectors, found by what events ask for: their name, uid, consumer group, and the model that their spec names."""

from collections.abc import Iterable
from typing import TypeVar

from anomaly_operator.core.snapshot import Detector, Model
from anomaly_operator.kube.entries import Entry

Key = tuple[str, str]
"""Namespace and name of a detector."""
_Outer = TypeVar("_Outer")


class DetectorIndex:
    """The detectors of all namespaces."""

    def __init__(self) -> None:
        self._entries: dict[str, dict[str, Entry]] = {}
        self._names: dict[str, frozenset[str]] = {}
        self._uids: dict[str, Key] = {}
        self._groups: dict[str, set[Key]] = {}
        self._referring: dict[Key, set[Key]] = {}
        """By the namespace and name of the model that their spec names."""

    def put(self, key: Key, entry: Entry) -> None:
        """Take over a detector."""
        self._unlink(key)
        here = self._entries.setdefault(key[0], {})
        if key[1] not in here:
            self._names.pop(key[0], None)
        here[key[1]] = entry
        self._uids[entry.uid] = key
        if entry.group:
            self._groups.setdefault(entry.group, set()).add(key)
        if model := _referenced(entry):
            self._referring.setdefault((key[0], model), set()).add(key)

    def drop(self, key: Key) -> None:
        """Forget a detector."""
        self._unlink(key)
        here = self._entries.get(key[0], {})
        if here.pop(key[1], None) is not None:
            self._names.pop(key[0], None)
        if not here:
            self._entries.pop(key[0], None)

    def get(self, key: Key) -> Entry | None:
        """The detector."""
        return self._entries.get(key[0], {}).get(key[1])

    def all(self) -> set[Key]:
        """Every detector."""
        return {(namespace, name) for namespace, found in self._entries.items() for name in found}

    def names(self, namespace: str) -> frozenset[str]:
        """Names of all detectors of a namespace: one set for all who ask."""
        if namespace not in self._names:
            if namespace not in self._entries:
                return frozenset()
            self._names[namespace] = frozenset(self._entries[namespace])
        return self._names[namespace]

    def members(self, key: Key) -> set[Key]:
        """Detectors with the same consumer group, itself among them."""
        entry = self.get(key)
        return set(self._groups.get(entry.group, ())) if entry else set()

    def other_members(self, key: Key, group: str) -> Iterable[Detector]:
        """The others of a consumer group, as each other see them."""
        for other in sorted(self._groups.get(group, set()) - {key}):
            entry = self.get(other)
            if entry is not None and entry.member is not None and not entry.terminating:
                yield entry.member

    def concerned_by(self, namespace: str, model: Model) -> set[Key]:
        """Detectors that a model concerns: its own, those that name it, and those that it names."""
        found = {(namespace, name) for name in model.status.used_by or []} | self._referring.get((namespace, model.name), set())
        return found | ({self._uids[model.owner]} if model.owner in self._uids else set())

    def referred(self, key: Key, models: Iterable[str]) -> frozenset[str]:
        """Those of the models, by name, that the specs of other detectors than this one name."""
        return frozenset(name for name in models if self._referring.get((key[0], name), set()) - {key})

    def _unlink(self, key: Key) -> None:
        """Forget what leads to a detector as it was."""
        entry = self.get(key)
        if entry is None:
            return
        if self._uids.get(entry.uid) == key:
            del self._uids[entry.uid]
        _discard(self._groups, entry.group, key)
        if model := _referenced(entry):
            _discard(self._referring, (key[0], model), key)


def _referenced(entry: Entry) -> str:
    """The AnomalyModel that its spec names; empty for none."""
    reference = entry.readable.spec.model.model_ref if entry.readable else None
    return reference.name if reference else ""


def _discard(index: dict[_Outer, set[Key]], outer: _Outer, inner: Key) -> None:
    """Take a key out of a set in an index, and leave no empty set behind."""
    found = index.get(outer, set())
    found.discard(inner)
    if not found:
        index.pop(outer, None)
