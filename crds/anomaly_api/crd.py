"""CustomResourceDefinitions from the models: structural OpenAPI v3 schemas as the API server wants them. Writes no file."""

from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import to_jsonable_python

from anomaly_api.detector import AnomalyDetector
from anomaly_api.meta import GROUP, VERSION
from anomaly_api.model import AnomalyModel
from anomaly_api.schema import AT_MOST_ONE, EXACTLY_ONE

_KEPT: Final = (
    "type",
    "description",
    "enum",
    "pattern",
    "format",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "maxProperties",
    "required",
)


def detector_crd() -> dict[str, Any]:
    """The CRD of AnomalyDetector."""
    columns = [
        _column("Ready", '.status.conditions[?(@.type=="Ready")].status', "Whether it scores as its spec says"),
        _column("Model", ".status.stable.model", "Model of the stable revision"),
        _column("Candidate", ".status.candidate.model", "Model under analysis"),
        _column("Step", ".status.candidate.step", "Step of its rollout, of how many"),
        _column("Training", ".status.training.state", "What training does"),
        _column("Lag", ".status.source.lag", "Messages not read yet", "integer"),
        _column("Status", '.status.conditions[?(@.type=="Ready")].message', "What there is to say", priority=1),
        _column("Topic", ".spec.source.kafka.topic", "Topic that is read", priority=1),
        _column("Threshold", ".status.thresholds[0].value", "Threshold of the first window", "number", priority=1),
        _column("Trained-For", ".status.training.reason", "What asked for the training", priority=1),
        _column("Next-Training", ".status.training.next", "When the schedule trains next", priority=1),
        _column("Last-Alert", ".status.source.lastAlert", "When an alert was sent last", "date", priority=1),
        _column("Age", ".metadata.creationTimestamp", "Since when it is there", "date"),
    ]
    scale = {
        "specReplicasPath": ".spec.replicas",
        "statusReplicasPath": ".status.replicas",
        "labelSelectorPath": ".status.selector",
    }
    return _crd(AnomalyDetector, "anomalydetectors", "anomalydetector", "adet", columns, scale)


def model_crd() -> dict[str, Any]:
    """The CRD of AnomalyModel."""
    columns = [
        _column("Detector", ".spec.trained.detector", "Detector it was trained for"),
        _column("Kind", ".spec.trained.kind", "Kind of the model"),
        _column("Readings", ".spec.trained.readings", "Readings it was trained on", "integer"),
        _column("Held-Out-P99", ".spec.trained.heldOut[0].p99", "99th percentile of held-out scores", "number"),
        _column("Gate", ".spec.trained.gate.verdict", "Whether it is as good as the model in use was"),
        _column("Verified", '.status.conditions[?(@.type=="Verified")].status', "Whether pods loaded it with the right digest"),
        _column("Used-By", ".status.usedBy", "Detectors that use it"),
        _column("Judged", ".spec.trained.gate.message", "What the gate found", priority=1),
        _column("Digest", ".spec.digest", "sha256 of the artifact", priority=1),
        _column("Age", ".metadata.creationTimestamp", "Since when it is there", "date"),
    ]
    return _crd(AnomalyModel, "anomalymodels", "anomalymodel", "amodel", columns)


def _column(name: str, path: str, description: str, kind: str = "string", *, priority: int = 0) -> dict[str, Any]:
    column = {"name": name, "type": kind, "jsonPath": path, "description": description}
    return column | ({"priority": priority} if priority else {})


def _crd(
    resource: type[BaseModel],
    plural: str,
    singular: str,
    short: str,
    columns: list[dict[str, Any]],
    scale: dict[str, Any] | None = None,
) -> dict[str, Any]:
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "plural": plural,
                "singular": singular,
                "kind": resource.__name__,
                "listKind": f"{resource.__name__}List",
                "shortNames": [short],
                "categories": ["anomaly-operator"],
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}, **({"scale": scale} if scale else {})},
                    "additionalPrinterColumns": columns,
                    "schema": {"openAPIV3Schema": _resource_schema(resource)},
                }
            ],
        },
    }


NOT_OBSERVED: Final = {"observedGeneration": -1}
"""Status of what the operator has not looked at yet: kstatus takes a resource without any status for ready."""


def _resource_schema(resource: type[BaseModel]) -> dict[str, Any]:
    """The root: Kubernetes itself describes apiVersion, kind and metadata."""
    schema = _structural(resource)
    schema["properties"] = {
        "apiVersion": {"type": "string"},
        "kind": {"type": "string"},
        "metadata": {"type": "object"},
        "spec": schema["properties"]["spec"],
        "status": schema["properties"]["status"],
    }
    if "observedGeneration" in schema["properties"]["status"]["properties"]:
        schema["properties"]["status"]["default"] = NOT_OBSERVED
    schema["required"] = ["spec"]
    return schema


class _WithDefaults(GenerateJsonSchema):
    """Writes the value of a default factory into the schema, as it does with plain defaults."""

    def get_default_value(self, schema: Any) -> Any:
        factory = schema.get("default_factory")
        value = factory() if factory is not None else super().get_default_value(schema)
        if value is None or factory is None:
            return value
        return to_jsonable_python(value, by_alias=True, exclude_none=True)


def _structural(model: type[BaseModel]) -> dict[str, Any]:
    """Schema of a model, references resolved, defaults written out where the API server can apply them."""
    document = model.model_json_schema(by_alias=True, schema_generator=_WithDefaults)
    return _resolve(document, document.get("$defs", {}))


def _resolve(node: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    node = _merge_reference(node, definitions)
    node = _without_null(node, definitions)
    out: dict[str, Any] = {key: node[key] for key in _KEPT if key in node}
    out |= {key: value for key, value in node.items() if key.startswith("x-kubernetes-")}
    if "x-kubernetes-int-or-string" in out:
        out.pop("type", None)
    if "description" in out:
        out["description"] = " ".join(out["description"].split())
    if "const" in node:
        out["enum"] = [node["const"]]
    for bound, exclusive in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
        if exclusive in out:  # OpenAPI v3.0 has a flag where JSON Schema has a number
            out[bound], out[exclusive] = out[exclusive], True
    if "properties" in node:
        out["properties"] = {name: _resolve(value, definitions) for name, value in node["properties"].items()}
    if isinstance(node.get("additionalProperties"), dict):
        out["additionalProperties"] = _resolve(node["additionalProperties"], definitions)
    if "items" in node:
        out["items"] = _resolve(node["items"], definitions)
    if node.get("default") is not None and not absence_is_default(out):
        out["default"] = _stored(node["default"], out)
    return out


def is_union(schema: dict[str, Any]) -> bool:
    """Whether it is a choice of members, of which one is set."""
    messages = (rule["message"] for rule in schema.get("x-kubernetes-validations", []))
    return any(message.startswith((EXACTLY_ONE, AT_MOST_ONE)) for message in messages)


def absence_is_default(schema: dict[str, Any]) -> bool:
    """Whether the API server fills nothing in: unions, and lists that several may own.

    A default that is stored has no owner. A union could not be changed to another member by apply, and the default items of a
    list that is a map by name would stay beside those that somebody applies. The models fill these defaults in when they read.
    """
    return is_union(schema) or schema.get("x-kubernetes-list-type") == "map"


def _stored(default: Any, schema: dict[str, Any]) -> Any:
    """The part of a default that the API server fills in."""
    if not isinstance(default, dict):
        return default
    properties = schema.get("properties", {})
    kept = {name: value for name, value in default.items() if not absence_is_default(properties.get(name, {}))}
    return {name: _stored(value, properties.get(name, {})) for name, value in kept.items()}


def _merge_reference(node: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """A reference and what stands beside it; the field's own description wins over the type's."""
    while "$ref" in node:
        target = definitions[node["$ref"].rsplit("/", 1)[-1]]
        node = {**target, **{key: value for key, value in node.items() if key != "$ref"}}
    return node


def _without_null(node: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """Optional fields are optional, not nullable; of int | string the marker beside it says enough."""
    if "anyOf" not in node:
        return node
    choices = [choice for choice in node["anyOf"] if choice.get("type") != "null"]
    beside = {key: value for key, value in node.items() if key != "anyOf"}
    if len(choices) == 1:
        return {**_merge_reference(choices[0], definitions), **beside}
    return beside
