"""The unions of the schema, a value for each of their members, and a tour through all changes from one to another. No test."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Final

from anomaly_api.crd import is_union
from tests.contract.documents import Document, changed, example
from tests.contract.schemas import MISSING, Path, Schema, nodes, placed, schema_of, written

ABSENT: Final = "absent"
"""The state of a union that is left out, so that its default counts."""
_TEXTS: Final = (
    "pumps",
    "/mnt/pumps",
    "30s",
    "1h",
    "s3://models/pumps",
    "s3://history/pumps.csv",
    "https://id.example.com/token",
    "{tags.host}",
)
_BESIDES: Final[Document] = {"source": {"kafka": {"sasl": {"mechanism": "OAuthBearer"}}}}
"""Without it the schema's rules across fields refuse a union."""
_VALUES: Final = {"bounds": {"features": [{"name": "temperature", "max": 90}]}}
"""Members whose smallest value is not what `smallest` finds, because of rules across fields."""
_NEVER_ABSENT: Final = {"spec.source.kafka.sasl.oauth", "spec.source.format.avro", "spec.source.format.protobuf"}
"""Unions that a rule asks for, given `_BESIDES`; and those without which what holds them would be an empty object, of which
server-side apply makes null."""


@dataclass(frozen=True)
class Union:
    """A union of AnomalyDetector's spec."""

    path: Path
    states: tuple[str, ...]
    """Its members, and `ABSENT` where it may be left out."""
    values: dict[str, Any]
    """The smallest value of each member."""
    names: tuple[str, ...]
    """Fields that the union cannot be without, besides."""
    nested: bool
    """Whether it is within a member of another one."""

    @property
    def title(self) -> str:
        """As the API server writes it."""
        return written(self.path)

    def put(self, document: Document, state: str) -> Document:
        """The document with the union in this state."""
        value = MISSING if state == ABSENT else {state: self.values[state]}
        *above, last = self.path
        if "name" in self.names:  # an item of a list keeps what names it
            value = {"name": "pumps", **value}
        if "field" in self.names:  # a condition of a filter
            value = {"field": "pumps", **value}
        filled: Document = placed(document, schema_of("AnomalyDetector"), (*above, last), value)
        return filled

    def state(self, document: Document) -> list[str]:
        """The members that are set in a document."""
        value: Any = document
        for step in self.path:
            try:
                value = value[step]
            except (KeyError, IndexError):
                return [ABSENT]
        return [member for member in self.values if member in value] or [ABSENT]


def unions() -> list[Union]:
    """All of AnomalyDetector's spec."""
    found = [(path, node) for path, node in nodes(schema_of("AnomalyDetector")) if path[:1] == ("spec",) and is_union(node)]
    return [_union(path, node) for path, node in found if "derived" not in path]  # what is derived needs others of its list


def base(*, without: Union | None = None) -> Document:
    """A detector that all unions can be put into; or one, within a member of another one."""
    document = changed(example("shortest.yaml"), {} if without else {"spec": _BESIDES})
    schema = schema_of("AnomalyDetector")
    above: Schema = schema
    for depth, step in enumerate(without.path if without else ()):
        if is_union(above) and isinstance(step, str):
            document = placed(document, schema, without.path[: depth + 1], smallest(above["properties"][step]))  # type: ignore[union-attr]
        above = above["items"] if isinstance(step, int) else above["properties"][step]
    return document


def tour(union: Union) -> Iterator[str]:
    """States in an order in which each is followed by each other one; it never ends.

    Of a, b and c: a b a c a b c b, and again.
    """
    visits = [state for first, second in combinations(union.states, 2) for state in (first, second, first)]
    while True:
        for number, state in enumerate(visits):
            if state != visits[number - 1]:
                yield state


def length(union: Union) -> int:
    """Visits after which a tour has shown every change."""
    return 3 * len(union.states) * (len(union.states) - 1) // 2 + 1


def smallest(schema: Schema) -> Any:
    """A value that the schema admits, with what is required and no more."""
    match schema.get("type"):
        case "object":
            members = _members(schema)[:1] if is_union(schema) else []
            return {name: smallest(schema["properties"][name]) for name in [*schema.get("required", []), *members]}
        case "array":
            return [smallest(schema["items"])] * schema.get("minItems", 1)
        case "string":
            return schema["enum"][0] if "enum" in schema else _text(schema)
        case "boolean":
            return True
        case "integer":
            return schema.get("minimum", 1)
        case "number":
            return schema.get("maximum", 1.0) - 0.25 if "maximum" in schema else schema.get("minimum", 0) + 0.5
        case _:
            return {}


def _union(path: Path, node: Schema) -> Union:
    members = _members(node)
    values = {member: _VALUES.get(member) or smallest(node["properties"][member]) for member in members}
    optional = written(path) not in _NEVER_ABSENT and not isinstance(path[-1], int)
    return Union(path, (*members, ABSENT) if optional else members, values, tuple(node.get("required", [])), _nested(path))


def _nested(path: Path) -> bool:
    above: Schema = schema_of("AnomalyDetector")
    for step in path:
        if is_union(above):
            return True
        above = above["items"] if isinstance(step, int) else above["properties"][step]
    return False


def _members(node: Schema) -> tuple[str, ...]:
    message = next(rule["message"] for rule in node["x-kubernetes-validations"] if is_union({"x-kubernetes-validations": [rule]}))
    return tuple(message.split(": ", 1)[1].split(", "))


def _text(schema: Schema) -> str:
    """One of a few texts that matches; add one here for a new pattern."""
    rules = [each["rule"] for each in schema.get("x-kubernetes-validations", [])]
    patterns = [pattern for each in rules for pattern in re.findall(r"matches\(r'(.*?)'\)", each)]
    return next(text for text in _TEXTS if all(re.search(pattern, text) for pattern in patterns))
