"""A msgspec Struct decoder for the fields that a spec names: the fast way through a message. It keeps nothing of messages."""

import math
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from operator import attrgetter
from typing import Any, Final

import msgspec
from msgspec.structs import astuple

from anomaly_api.source import Feature, Pipeline
from anomaly_detector.core.decode.filters import sieve
from anomaly_detector.core.decode.names import Template
from anomaly_detector.core.decode.paths import Path, path
from anomaly_detector.core.decode.times import TimeReader

_OPTIONAL: Final = float | None
"""A feature: what is not there is not a number, null is None."""
_WRITTEN: Final = float | str | bool | None
"""A feature that may be text, or a state."""
_SIGN: Final = msgspec.Raw | msgspec.UnsetType
"""A member that makes a message one for another layout, whatever it holds."""
_DEFAULTS: Final = {_OPTIONAL: math.nan, _WRITTEN: math.nan, _SIGN: msgspec.UNSET}


class Layout:
    """The Structs for a pipeline: with dots that lead into objects, or, `flat`, with those that are parts of names."""

    def __init__(self, pipeline: Pipeline, *, flat: bool = False, loose: bool = False) -> None:
        """`loose`: any feature may be text or a state, which then is no value of it."""
        self._tree: dict[str, Any] = {}
        self.flat, self.loose = flat, loose
        self.sound = True
        """Whether every place has one type; if not, messages are read the exact way."""
        reader = TimeReader(pipeline.time)
        kind = datetime if reader.plain else str if reader.factor is None else float
        self.entity = [self._leaf(path(field), str | int) for field in _entity_fields(pipeline)]
        self.time = self._leaf(path(pipeline.time.field), kind) if pipeline.time.field else None
        kinds = [_WRITTEN if loose or is_written(each) else _OPTIONAL for each in pipeline.features]
        features = [self._leaf(path(each.path), kind) for each, kind in zip(pipeline.features, kinds, strict=True)]
        signs = [self._sign(each.steps[0]) for each in _all_paths(pipeline) if each.literal] if flat else []
        self.decode: Callable[[bytes], Any] = msgspec.json.Decoder(self._struct(self._tree) if self.sound else Any).decode
        self.values = self._getter(features) if self.sound else _none
        """From records to those of their values, in the order of the features."""
        self._signs = list(dict.fromkeys(signs))

    def unsuited(self, records: list[Any]) -> list[int]:
        """Places of the records that were decoded, and whose messages are for another layout."""
        unset = msgspec.UNSET
        found = {
            place for sign in self._signs for place, value in enumerate(map(attrgetter(sign), records)) if value is not unset
        }
        return sorted(found)

    def _leaf(self, place: Path, kind: Any) -> str:
        """Adds a value and returns the dotted attribute that holds it."""
        steps = (place.literal,) if self.flat and place.literal else place.steps
        *nodes, last = steps
        tree, names = self._tree, []
        for node in nodes:
            names.append(_attribute(tree, node))
            inner = tree.setdefault(node, {})
            if not isinstance(inner, dict):
                self.sound = False
                return ""
            tree = inner
        names.append(_attribute(tree, last))
        if tree.setdefault(last, kind) != kind:
            self.sound = False
        return ".".join(names)

    def _sign(self, name: str) -> str:
        attribute = _attribute(self._tree, name)
        if self._tree.setdefault(name, _SIGN) != _SIGN:
            self.sound = False
        return attribute

    def _getter(self, names: Sequence[str]) -> Callable[[list[Any]], Iterable[Any]]:
        parent = names[0].rpartition(".")[0]
        tree = self._tree
        for step in filter(None, parent.split(".")):
            tree = list(tree.values())[int(step[1:])]
        if list(names) == [f"{parent}.a{place}".lstrip(".") for place in range(len(tree))]:
            # they are all that one object holds: three times as fast as one by one
            return lambda records: map(astuple, map(attrgetter(parent), records) if parent else records)
        pick = attrgetter(*names)
        if len(names) == 1:
            return lambda records: zip(map(pick, records), strict=True)
        return lambda records: map(pick, records)

    def _struct(self, tree: dict[str, Any]) -> Any:
        kinds = [self._struct(kind) if isinstance(kind, dict) else kind for kind in tree.values()]
        fields = [(f"a{place}", kind, *([_DEFAULTS[kind]] if kind in _DEFAULTS else [])) for place, kind in enumerate(kinds)]
        names = {f"a{place}": key for place, key in enumerate(tree)}
        # kw_only: what may be missing stands anywhere. gc=False: records hold no cycles, and the collector would walk them
        return msgspec.defstruct("Record", fields, rename=names, gc=False, kw_only=True)


def layouts(pipeline: Pipeline) -> list[Layout]:
    """The layouts of which one may suit a message, the likelier one first; none where each message has to be looked at."""
    deep = bool(pipeline.filter) and sieve(pipeline.filter) is None
    if deep or pipeline.pairs is not None or any(each.indexed for each in _all_paths(pipeline)):
        return []
    found = [Layout(pipeline)]
    if any(each.literal for each in _all_paths(pipeline)):
        found.append(Layout(pipeline, flat=True))
    return found if all(each.sound for each in found) else found[:1] if found[0].sound else []


def _all_paths(pipeline: Pipeline) -> list[Path]:
    fields = [*_entity_fields(pipeline), pipeline.time.field, *(feature.path for feature in pipeline.features)]
    return [path(field) for field in fields if field]


def _entity_fields(pipeline: Pipeline) -> list[str]:
    entity = pipeline.entity
    if entity.template is not None:
        return Template(entity.template).fields
    return [entity.field] if entity.field is not None else []


def is_written(feature: Feature) -> bool:
    """Whether its values may be text or states."""
    return feature.text is not None or feature.values is not None


def _none(_: list[Any]) -> Iterable[Any]:
    return ()


def _attribute(tree: dict[str, Any], key: str) -> str:
    return f"a{list(tree).index(key) if key in tree else len(tree)}"
