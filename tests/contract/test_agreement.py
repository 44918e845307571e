"""What the API server admits, the models understand: else a user's spec would be accepted and then stop the operator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from anomaly_api.detector import AnomalyDetector
from anomaly_api.model import AnomalyModel
from tests.contract.documents import example, trained_model
from tests.contract.schemas import Path, Schema, nodes, placed, schema_of, stored
from tests.effort import examples

if TYPE_CHECKING:
    from tests.contract.conftest import Admission

pytestmark = pytest.mark.integration
GOOD = {"AnomalyDetector": example("production.yaml"), "AnomalyModel": trained_model()}
RESOURCES = {"AnomalyDetector": AnomalyDetector, "AnomalyModel": AnomalyModel}
TEXTS = (
    *("5m", "1h30m", "0s", "1w2d", "٣m", "5m\n", "90"),  # lengths of time, and nearly so
    *("temperature", "sensors.temp_1", "a..b", "Ω", "a b", "-", "."),  # names and paths
    *("kafka:9092", "[::1]:9092", "a:1, b:2", "http://kafka:9092", "kafka:99999"),
    *("s3://models/pumps", "file:///pumps.csv", "s3://x/y.parquet\n", "S3://x/y.csv"),
    *("500m", "1Gi", "1e3", "0.5", "2 Gi", "-1"),  # quantities
    *("2026-01-01T00:00:00Z", "2026-01-01", "yesterday", "sha256:" + "a" * 64, ""),
)


def _values(node: Schema) -> st.SearchStrategy[Any]:
    """Mostly what the node's type allows, at and around its bounds."""
    numbers = [node.get("minimum", -1), node.get("maximum", 7), node.get("minimum", 0) + 1]
    texts = st.dictionaries(st.sampled_from(TEXTS), st.text(max_size=4))
    plausible: dict[str, st.SearchStrategy[Any]] = {
        "string": st.sampled_from([*TEXTS, *node.get("enum", [])]) | st.text(max_size=8),
        "integer": st.sampled_from(numbers) | st.integers(-5, 2000),
        "number": st.sampled_from(numbers) | st.floats(-10, 2000, allow_nan=False) | st.integers(-5, 2000),
        "boolean": st.booleans(),
        "array": st.just([]),
        "object": texts if "additionalProperties" in node else st.just({}),
    }
    return plausible.get(node.get("type", ""), st.sampled_from([*TEXTS, 1, -3])) | st.none()


@st.composite
def _changes(draw: st.DrawFn, kind: str) -> list[tuple[Path, Any]]:
    """Up to three places of the spec, with another value each."""
    places = [(path, node) for path, node in nodes(schema_of(kind)) if path[:1] == ("spec",) and len(path) > 1]
    chosen = draw(st.lists(st.sampled_from(places), min_size=1, max_size=3))
    return [(path, draw(_values(node))) for path, node in chosen]


@pytest.mark.parametrize("kind", GOOD)
def test_what_the_api_server_admits_the_models_read_and_write_unchanged(admission: Admission, kind: str) -> None:
    admitted_before = 0

    @examples(150, list(HealthCheck))
    @given(changes=_changes(kind))
    def holds(changes: list[tuple[Path, Any]]) -> None:
        nonlocal admitted_before
        document = GOOD[kind]
        for path, value in changes:
            document = placed(document, schema_of(kind), path, value)
        if admission.refusals(document):
            return
        admitted_before += 1
        kept = admission.admitted(document)
        read = RESOURCES[kind].model_validate(kept).document()["spec"]
        assert stored(schema_of(kind)["properties"]["spec"], read, kept["spec"]) == kept["spec"]

    holds()
    assert admitted_before > 20, "the values are too wild: next to nothing was admitted"
