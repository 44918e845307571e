"""What the API server refuses, and whether it says what to change: every rule and every bound of both schemas."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.contract.documents import changed, example, trained_model
from tests.contract.feature_refusals import FEATURE_ROWS
from tests.contract.feedback_refusals import FEEDBACK_ROWS
from tests.contract.format_refusals import FORMAT_ROWS
from tests.contract.input_refusals import INPUT_ROWS
from tests.contract.pod_refusals import ROWS as OTHER_ROWS
from tests.contract.refusals import Wrong
from tests.contract.rollout_refusals import ROLLOUT_ROWS
from tests.contract.schemas import breaches, nodes, placed, schema_of, written
from tests.contract.training_refusals import TRAINING_ROWS

if TYPE_CHECKING:
    from dev.environment.cluster.control_plane import Cluster
    from tests.contract.conftest import Admission

pytestmark = pytest.mark.integration
ROWS = [*OTHER_ROWS, *FEATURE_ROWS, *FEEDBACK_ROWS, *FORMAT_ROWS, *INPUT_ROWS, *ROLLOUT_ROWS, *TRAINING_ROWS]
KINDS = ("AnomalyDetector", "AnomalyModel")
NEEDS_A_LIFE = {("AnomalyModel", "spec", "spec is immutable: a model version never changes; create another AnomalyModel instead")}
"""Rules about changes, which a single request cannot break; each has a test of its own below."""
REASONS = {
    "type": "FieldValueTypeInvalid",
    "enum": "FieldValueNotSupported",
    "required": "FieldValueRequired",
    "maxLength": "FieldValueTooLong",
    "maxItems": "FieldValueTooMany",
    "maxProperties": "FieldValueTooMany",
    "minimum": "FieldValueInvalid",
    "maximum": "FieldValueInvalid",
    "minLength": "FieldValueInvalid",
    "minItems": "FieldValueInvalid",
}


def _anywhere(field: str) -> str:
    return re.sub(r"\[\d+\]", "[]", field)


def _sentence(message: str) -> str:
    """Without the value that the API server quotes before it."""
    return re.sub(r"^Invalid value: (?:\"(?:[^\"\\]|\\.)*\"|\S+): ", "", message)


def test_every_rule_has_a_row() -> None:
    rules = {
        (kind, written(path), rule["message"])
        for kind in KINDS
        for path, node in nodes(schema_of(kind))
        for rule in node.get("x-kubernetes-validations", [])
    }
    rows = {(row.document["kind"], _anywhere(row.field), row.sentence) for row in ROWS}
    assert rules - NEEDS_A_LIFE == rows


@pytest.mark.parametrize("row", [pytest.param(row, id=row.title) for row in ROWS])
def test_a_broken_rule_is_answered_with_its_sentence_and_nothing_else(admission: Admission, row: Wrong) -> None:
    refusals = admission.refusals(row.document)
    assert {_sentence(refusal.message) for refusal in refusals} == {row.sentence}
    assert row.field in {refusal.field.replace("<nil>", "") for refusal in refusals}


@pytest.mark.parametrize("kind", KINDS)
def test_every_bound_of_the_schema_is_kept_and_the_answer_names_the_field(admission: Admission, kind: str) -> None:
    schema = schema_of(kind)
    good = {"AnomalyDetector": example("production.yaml"), "AnomalyModel": trained_model()}[kind]
    wrong = []
    for breach in breaches(schema, ("spec",)):
        refusals = admission.refusals(placed(good, schema, breach.path, breach.value))
        if (written(breach.path), REASONS[breach.bound]) not in {(_anywhere(one.field), one.reason) for one in refusals}:
            wrong.append((written(breach.path), breach.bound, refusals))
    assert wrong == []


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("spec.features[1]", {"features": [{"name": "load"}, {"name": "load"}]}),
        ("spec.windows[1]", {"windows": [{"name": "short"}, {"name": "short", "size": 60}]}),
        (
            "spec.alerts.severities[1]",
            {"alerts": {"severities": [{"name": "warning", "above": 1}, {"name": "warning", "above": 3}]}},
        ),
    ],
)
def test_a_name_stands_once_in_a_list(admission: Admission, field: str, change: dict[str, object]) -> None:
    refusals = admission.refusals(changed(example("shortest.yaml"), {"spec": change}))
    assert [(refusal.field, refusal.reason) for refusal in refusals] == [(field, "FieldValueDuplicate")]


def test_a_misspelt_field_is_named(admission: Admission) -> None:
    (refusal,) = admission.refusals(changed(example("shortest.yaml"), {"spec": {"widnows": []}}))
    assert 'unknown field "spec.widnows"' in refusal.message


def test_a_model_never_changes(with_crds: Cluster) -> None:
    import yaml

    model = changed(trained_model(), {"metadata": {"name": "immutable"}})
    with_crds.kubectl("apply", "-f", "-", stdin=yaml.safe_dump(model))
    try:
        edited = changed(model, {"spec": {"trained": {"seed": 2}}})
        done = with_crds.run("apply", "-f", "-", stdin=yaml.safe_dump(edited))
        assert done.returncode != 0
        assert "spec is immutable: a model version never changes; create another AnomalyModel instead" in done.stderr
    finally:
        with_crds.kubectl("delete", "anomalymodel", "immutable")
