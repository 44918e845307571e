"""The generated schemas, without an API server: fresh, described, with pydantic's defaults, and lossless."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from anomaly_api.detector import AnomalyDetector
from anomaly_api.model import AnomalyModel
from anomaly_api.schema import Contract
from dev import crds
from tests.contract.documents import Document, changed, example, examples, trained_model
from tests.contract.schemas import ANY_KEY, Schema, defaulted, is_union, nodes, schema_of, stored, written

RESOURCES: dict[str, type[Contract]] = {"AnomalyDetector": AnomalyDetector, "AnomalyModel": AnomalyModel}
SHORTEST = example("shortest.yaml")
FEWEST_CHARACTERS = 30
RIDDLE = re.compile(
    r"(What|Who|Whom|There|It|Its|They|So|And|Why|How|When|Since|Where|Of|In|Only|As|After|This|These|That|Tells) "
)
SAYS_WITHOUT = re.compile(r"[Dd]efault|Unset: |[Nn]ot set|[Ss]et it|Set \w+, too|by default")
"""How a description speaks of the field being absent."""
EVERYWHERE = {
    "source": {"kafka": {"bootstrapServers": "kafka:9092", "topic": "readings"}},
    "features": [{"name": "load"}],
}


DOCUMENTS = [
    pytest.param(trained_model(), id="a trained model"),
    *(
        pytest.param(document, id=f"{document['kind']} of {file}")
        for file, documents in examples().items()
        for document in documents
        if document["kind"] in RESOURCES
    ),
]


def _nearly_empty() -> Iterator[Any]:
    """Each object of the spec, written `{}`: what is inside must be defaulted as if it were left out."""
    for path, node in nodes(schema_of("AnomalyDetector")["properties"]["spec"]):
        plain = node.get("type") == "object" and not node.get("required") and not is_union(node) and "properties" in node
        if plain and path and not any(isinstance(step, int) for step in path) and path[0] not in EVERYWHERE:
            document: Document = {}
            for step in reversed(path):
                document = {step: document}
            yield pytest.param(document, id=written(path))


def _read_as_stored(document: Document) -> None:
    schema: Schema = schema_of(document["kind"])
    filled = defaulted(schema, document)
    read = RESOURCES[document["kind"]].model_validate(document).document()
    assert stored(schema["properties"]["spec"], read["spec"], filled["spec"]) == filled["spec"]


def _is_field(path: tuple[Any, ...]) -> bool:
    return bool(path) and isinstance(path[-1], str) and path[-1] != ANY_KEY


def test_the_crds_are_not_stale() -> None:
    assert crds.stale() == [], "run `make crds`"


def _described(kind: str) -> dict[str, tuple[str, Schema]]:
    """Descriptions, as `kubectl explain` prints them, by field."""
    of_kubernetes = {"apiVersion", "kind", "metadata"}
    fields = ((path, node) for path, node in nodes(schema_of(kind)) if _is_field(path) and path[0] not in of_kubernetes)
    return {written(path): (node.get("description", ""), node) for path, node in fields}


@pytest.mark.parametrize("kind", RESOURCES)
def test_every_description_names_its_subject_in_a_whole_sentence_or_more(kind: str) -> None:
    wrong = {
        field: text
        for field, (text, _) in _described(kind).items()
        if len(text) < FEWEST_CHARACTERS or not text.endswith(".") or RIDDLE.match(text)
    }
    assert wrong == {}


@pytest.mark.parametrize("kind", RESOURCES)
def test_every_description_says_what_counts_when_the_field_is_left_out(kind: str) -> None:
    """A default, or what is the case without; what is inside a required object or a union says it above."""
    silent = {}
    for field, (text, node) in _described(kind).items():
        if not field.startswith("spec.") or node.get("type") == "object" or not _may_be_left_out(kind, field):
            continue
        if not SAYS_WITHOUT.search(text):
            silent[field] = text
    assert silent == {}


def _may_be_left_out(kind: str, field: str) -> bool:
    above: Schema = schema_of(kind)
    *steps, last = field.split(".")
    for step in steps:
        above = above["properties"][step.removesuffix("[]")]
        above = above["items"] if step.endswith("[]") else above
    return last not in above.get("required", []) and not is_union(above)


@pytest.mark.parametrize("kind", RESOURCES)
def test_every_text_list_and_map_that_a_user_writes_is_bounded(kind: str) -> None:
    """Unbounded ones make rules over them too dear for the API server, and let one object fill etcd."""
    bounds = {"string": "maxLength", "array": "maxItems"}
    spec = schema_of(kind)["properties"]["spec"]
    unbounded = []
    for path, node in nodes(spec):
        bound = "maxProperties" if "additionalProperties" in node else bounds.get(node.get("type", ""))
        if bound and bound not in node and "enum" not in node and node.get("format") != "date-time":
            unbounded.append(written(path))
    assert [path for path in unbounded if not path.startswith("trained.")] == []


@pytest.mark.parametrize("document", DOCUMENTS)
def test_defaults_in_the_schema_are_those_of_the_models(document: Document) -> None:
    _read_as_stored(document)


@pytest.mark.parametrize("change", list(_nearly_empty()))
def test_what_is_left_empty_is_filled_as_what_is_left_out(change: Document) -> None:
    _read_as_stored(changed(SHORTEST, {"spec": change}))


@pytest.mark.parametrize("document", DOCUMENTS)
def test_a_document_survives_the_way_through_the_models(document: Document) -> None:
    resource = RESOURCES[document["kind"]].model_validate(document)
    assert RESOURCES[document["kind"]].model_validate(resource.document()) == resource


def test_examples_show_every_field_of_a_detector() -> None:
    shown: set[str] = set()
    for documents in examples().values():
        for document in documents:
            if document["kind"] == "AnomalyDetector":
                shown |= set(_paths(document["spec"]))
    fields = {written(path) for path, _ in nodes(schema_of("AnomalyDetector")["properties"]["spec"]) if _is_field(path)}
    assert fields - shown == set()


def _paths(value: Any, path: str = "") -> Iterator[str]:
    if isinstance(value, dict):
        for key, child in value.items():
            yield f"{path}.{key}".removeprefix(".")
            yield from _paths(child, f"{path}.{key}")
    elif isinstance(value, list):
        for item in value:
            yield from _paths(item, f"{path}[]")
