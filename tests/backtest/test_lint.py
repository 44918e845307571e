"""`lint` says of a spec what the API server would say: every rule, by the table that the API server itself is asked by."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.contract.documents import changed, example
from tests.contract.refusals import DETECTORS, Wrong

pytest.importorskip("celpy")

from anomaly_api.lint import findings
from anomaly_detector.cli.__main__ import main

if TYPE_CHECKING:
    from tests.backtest.conftest import Pumps


@pytest.mark.parametrize("row", [pytest.param(row, id=row.title) for row in DETECTORS])
def test_a_broken_rule_is_told_with_its_sentence(row: Wrong) -> None:
    assert any(row.sentence in line for line in findings(row.document))


@pytest.mark.parametrize("name", ["shortest.yaml", "production.yaml"])
def test_a_good_spec_is_found_good(name: str) -> None:
    assert findings(example(name)) == []


def test_a_schedule_that_never_comes_is_told_though_the_api_server_would_admit_it() -> None:
    spec = {"training": {"schedule": "0 3 31 2 *", "timeZone": "Europe/Atlantis"}}
    [found] = findings(changed(example("shortest.yaml"), {"spec": spec}))
    assert found.startswith("spec.training.timeZone: there is no time zone 'Europe/Atlantis'")


def test_a_field_that_does_not_exist_is_told_beside_those_that_do() -> None:
    [found] = findings(changed(example("shortest.yaml"), {"spec": {"treshold": {"quantile": 0.9}}}))
    assert found.startswith("spec.treshold: there is no such field")
    assert "threshold" in found


def test_the_exit_status_tells_good_from_bad(pumps: Pumps, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lint", str(pumps.spec())]) == 0
    assert main(["lint", str(pumps.spec(**{"name: flow": "name: flow, missing: Never"}))]) == 1
    assert "spec.features.0.missing" in capsys.readouterr().out
