"""What the API server would say of a detector's spec, without one: types, bounds, unknown fields, CEL rules. For command lines.

The rules are those of the CRD themselves, evaluated by cel-python with Kubernetes' functions for quantities. Nothing else of the
contract needs cel-python, and whoever does not lint need not have it.
"""

from collections.abc import Iterator
from functools import cache
from typing import Any, Final

from pydantic import ValidationError

from anomaly_api.crd import detector_crd
from anomaly_api.detector import AnomalyDetector
from anomaly_api.mistakes import sentences
from anomaly_api.quantity import amount
from anomaly_api.schedule import flaws

try:
    import celpy
    from celpy import celtypes
    from celpy.adapter import json_to_cel
    from celpy.evaluation import CELEvalError
except ImportError as error:
    raise ImportError("lint evaluates CEL rules by cel-python, which is not installed: pip install cel-python") from error

_RESERVED: Final = frozenset(
    (
        *("as", "break", "const", "continue", "else", "false", "for", "function", "if", "import", "in", "let", "loop"),
        *("namespace", "null", "package", "return", "true", "var", "void", "while"),
    )
)
Schema = dict[str, Any]


class LintError(Exception):
    """A rule that cannot be evaluated here; the message says which."""


def findings(document: dict[str, Any]) -> list[str]:
    """What is wrong, a line each: where, what, and what to do; schedules that never come, too. Raises LintError."""
    schema = _schema()
    found = [f"{path}: there is no such field: {known}" for path, known in _unknown(document.get("spec"), _spec(schema), "spec")]
    try:
        detector = AnomalyDetector.model_validate(document)
    except ValidationError as error:
        return [*found, *sentences(error)]
    whole = detector.document() | {"metadata": document.get("metadata") or {}}
    broken = [line for place, node, value in _valued(schema, whole) for line in _broken(place, node, value)]
    return [*found, *(broken or flaws(detector.spec.alerts, detector.spec.training))]


@cache
def _schema() -> Schema:
    schema: Schema = detector_crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return schema


def _spec(schema: Schema) -> Schema:
    spec: Schema = schema["properties"]["spec"]
    return spec


def _unknown(value: Any, schema: Schema, place: str) -> Iterator[tuple[str, str]]:
    """Fields that the schema does not have, which the API server would refuse or drop."""
    if isinstance(value, list) and "items" in schema:
        for number_, item in enumerate(value):
            yield from _unknown(item, schema["items"], f"{place}[{number_}]")
    if not isinstance(value, dict) or schema.get("x-kubernetes-preserve-unknown-fields"):
        return
    properties = schema.get("properties", {})
    for name, item in value.items():
        if name in properties:
            yield from _unknown(item, properties[name], f"{place}.{name}")
        elif "additionalProperties" not in schema:
            yield f"{place}.{name}", f"{place} has {', '.join(sorted(properties)) or 'no fields'}"


def _valued(schema: Schema, value: Any, place: str = "") -> Iterator[tuple[str, Schema, Any]]:
    """Every part of the schema that the document has a value for."""
    if value is None:
        return
    yield place or "document", schema, value
    if isinstance(value, list) and "items" in schema:
        for number_, item in enumerate(value):
            yield from _valued(schema["items"], item, f"{place}[{number_}]")
    if isinstance(value, dict):
        for name, item in value.items():
            inner = schema.get("properties", {}).get(name) or schema.get("additionalProperties")
            if isinstance(inner, dict):
                yield from _valued(inner, item, f"{place}.{name}".removeprefix("."))


@cache
def _program(rule: str) -> Any:
    """A rule, compiled."""
    environment = celpy.Environment()
    return environment.program(environment.compile(rule), functions=_FUNCTIONS)


def _broken(place: str, schema: Schema, value: Any) -> Iterator[str]:
    """The messages of the rules of this part that do not hold."""
    for rule in schema.get("x-kubernetes-validations", []):
        if "oldSelf" in rule["rule"]:
            continue  # about changes
        try:
            holds = bool(_program(rule["rule"]).evaluate({"self": _cel(value)}))
        except CELEvalError as error:
            raise LintError(f"{place}: the rule {rule['rule']!r} cannot be evaluated here: {error}") from error
        if not holds:
            yield f"{place}: {rule['message']}"


def _cel(value: Any) -> Any:
    """A plain value as CEL sees it: fields whose names are words of the language are escaped."""
    if isinstance(value, dict):
        named = {f"__{name}__" if name in _RESERVED else name: _cel(item) for name, item in value.items()}
        return celtypes.MapType({celtypes.StringType(name): item for name, item in named.items()})
    if isinstance(value, list):
        return celtypes.ListType([_cel(item) for item in value])
    return json_to_cel(value)


def _is_quantity(text: Any) -> Any:
    try:
        amount(str(text))
    except ValueError:
        return celtypes.BoolType(False)
    return celtypes.BoolType(True)


def _quantity(text: Any) -> Any:
    return celtypes.DoubleType(float(amount(str(text))))


def _compare(one: Any, other: Any) -> Any:
    return celtypes.IntType((one > other) - (one < other))


def _add(one: Any, other: Any) -> Any:
    return celtypes.DoubleType(float(one) + float(other))


_FUNCTIONS: Final[dict[str, Any]] = {"isQuantity": _is_quantity, "quantity": _quantity, "compareTo": _compare, "add": _add}
