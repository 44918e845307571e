"""Walks the generated schemas: their rules and bounds, and values that break them. No test."""

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from anomaly_api.crd import absence_is_default, detector_crd, is_union, model_crd

Schema = dict[str, Any]
Step = str | int
Path = tuple[Step, ...]
MISSING = object()
"""Instead of a value: take the key away."""
ANY_KEY = "any"
"""Stands for the keys of a map."""


@cache
def schema_of(kind: str) -> Schema:
    """The OpenAPI schema of `AnomalyDetector` or `AnomalyModel`."""
    crd = {"AnomalyDetector": detector_crd, "AnomalyModel": model_crd}[kind]()
    schema: Schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return schema


def nodes(schema: Schema, path: Path = ()) -> Iterator[tuple[Path, Schema]]:
    """Every node below and with this one; a list's items stand at index 0."""
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        yield from nodes(child, (*path, name))
    if "items" in schema:
        yield from nodes(schema["items"], (*path, 0))
    if "additionalProperties" in schema:
        yield from nodes(schema["additionalProperties"], (*path, ANY_KEY))


def written(path: Path) -> str:
    """As the API server writes it, with any index: `spec.windows[].size`."""
    text = ""
    for step in path:
        text += "[]" if isinstance(step, int) else f".{step}"
    return text.removeprefix(".")


def defaulted(schema: Schema, value: Any) -> Any:
    """`value` with the schema's defaults, as the API server fills them in: from the root down."""
    if isinstance(value, dict):
        properties = schema.get("properties", {})
        filled = {name: copy.deepcopy(child["default"]) for name, child in properties.items() if "default" in child} | value
        return {
            name: defaulted(properties.get(name, schema.get("additionalProperties", {})), child) for name, child in filled.items()
        }
    if isinstance(value, list):
        return [defaulted(schema.get("items", {}), item) for item in value]
    return value


def stored(schema: Schema, read: Any, kept: Any) -> Any:
    """What a model read, without the defaults that only the models fill in: `kept` is what the API server keeps."""
    if isinstance(read, dict) and isinstance(kept, dict):
        properties = schema.get("properties", {})
        only_read = {
            name for name in read if name not in kept and (is_union(schema) or absence_is_default(properties.get(name, {})))
        }
        children = {name: properties.get(name, schema.get("additionalProperties", {})) for name in read}
        return {name: stored(children[name], child, kept.get(name)) for name, child in read.items() if name not in only_read}
    if isinstance(read, list) and isinstance(kept, list) and len(read) == len(kept):
        return [stored(schema.get("items", {}), *pair) for pair in zip(read, kept, strict=True)]
    return read


def placed(document: Any, schema: Schema, path: Path, value: Any) -> Any:
    """`document` with `value` at `path`; on the way, what excludes it is taken away and what is missing is made."""
    if not path:
        return value
    step, *rest = path
    if isinstance(step, int):
        items = list(document) if document else [{}]
        items[step] = placed(items[step], schema["items"], tuple(rest), value)
        return items
    if value is MISSING and not rest:
        return {key: child for key, child in (document or {}).items() if key != step}
    kept = dict(document) if isinstance(document, dict) and not (is_union(schema) and step not in document) else {}
    child = schema.get("properties", {}).get(step, schema.get("additionalProperties", {}))
    return {**kept, step: placed(kept.get(step), child, tuple(rest), value)}


@dataclass(frozen=True)
class Breach:
    """A value that a bound of the schema refuses."""

    path: Path
    bound: str
    value: Any


_WRONG_TYPE = {"string": 7, "integer": "seven", "number": "seven", "boolean": "yes", "array": "seven", "object": "seven"}


def breaches(schema: Schema, root: Path) -> Iterator[Breach]:
    """One for each bound of each node at and below `root`."""
    for path, node in nodes(schema):
        if path[: len(root)] == root:
            for bound, value in _bad_values(node):
                yield Breach(path, bound, value)
            for name in node.get("required", []):
                yield Breach((*path, name), "required", MISSING)


def _bad_values(node: Schema) -> Iterator[tuple[str, Any]]:
    if "type" in node:
        yield "type", _WRONG_TYPE[node["type"]]
    for bound, aside in (("minimum", -1), ("maximum", 1)):
        if bound in node:
            yield bound, node[bound] if node.get(f"exclusive{bound.capitalize()}") else node[bound] + aside
    if "enum" in node:
        yield "enum", "Nonsense"
    if node.get("minLength"):
        yield "minLength", ""
    if "maxLength" in node:
        yield "maxLength", "x" * (node["maxLength"] + 1)
    if node.get("minItems"):
        yield "minItems", []
    if "maxItems" in node:
        yield "maxItems", [{}] * (node["maxItems"] + 1)
    if "maxProperties" in node:
        yield "maxProperties", {f"key-{number}": "1" for number in range(node["maxProperties"] + 1)}
