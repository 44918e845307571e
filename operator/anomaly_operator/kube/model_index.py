"""AnomalyModels, found by what plans ask for: their name, whose they are, who uses them, their digest. Nothing is searched for.

A namespace may have thousands of models, and a detector needs to see its own and the few that it names.
"""

from collections.abc import Iterable, Iterator

from anomaly_operator.core.snapshot import Model

_Index = dict[tuple[str, str, str], set[str]]
"""Names of models, by namespace, what is asked for, and its value."""


class ModelIndex:
    """The models of all namespaces."""

    def __init__(self) -> None:
        self._models: dict[str, dict[str, Model]] = {}
        self._index: _Index = {}

    def put(self, namespace: str, model: Model) -> Model | None:
        """Take over a model. The one that it replaces."""
        before = self.drop(namespace, model.name)
        self._models.setdefault(namespace, {})[model.name] = model
        for key in _keys(namespace, model):
            self._index.setdefault(key, set()).add(model.name)
        return before

    def drop(self, namespace: str, name: str) -> Model | None:
        """Forget a model. What it was."""
        found = self._models.get(namespace, {})
        model = found.pop(name, None)
        if model is None:
            return None
        if not found:
            del self._models[namespace]
        for key in _keys(namespace, model):
            self._index[key].discard(name)
            if not self._index[key]:
                del self._index[key]
        return model

    def get(self, namespace: str, name: str) -> Model | None:
        """The model of this name."""
        return self._models.get(namespace, {}).get(name)

    def all(self) -> Iterator[tuple[str, Model]]:
        """Each model with its namespace."""
        return ((namespace, model) for namespace, found in self._models.items() for model in found.values())

    def seen_by(
        self, namespace: str, detector: str, uid: str, names: Iterable[str] = (), digests: Iterable[str] = ()
    ) -> dict[str, Model]:
        """What a detector sees: its own models, those that say it uses them, and those of these names or digests."""
        found = {*names, *self._index.get((namespace, "owner", uid), ()), *self._index.get((namespace, "user", detector), ())}
        found.update(*(self._index.get((namespace, "digest", digest), ()) for digest in digests))
        here = self._models.get(namespace, {})
        return {name: here[name] for name in sorted(found) if name in here}

    def used_by(self, namespace: str, detector: str) -> list[Model]:
        """Models whose status says that the detector uses them, and those that were trained for one of that name."""
        return [self._models[namespace][name] for name in sorted(self._index.get((namespace, "user", detector), ()))]


def _keys(namespace: str, model: Model) -> Iterator[tuple[str, str, str]]:
    yield namespace, "digest", model.spec.digest
    if model.owner:
        yield namespace, "owner", model.owner
    elif model.spec.trained is not None:  # its detector was deleted with --cascade=orphan: the next one of that name adopts it
        yield namespace, "user", model.spec.trained.detector
    for user in model.status.used_by or ():
        yield namespace, "user", user
