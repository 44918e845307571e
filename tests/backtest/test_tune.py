"""`tune` tries candidates on faults that it puts in, says why it chose, and writes a spec that can be applied."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from anomaly_detector.cli import spec_file, tune
from anomaly_detector.cli.__main__ import main

if TYPE_CHECKING:
    from tests.backtest.conftest import Pumps


def test_the_best_candidate_becomes_a_spec(
    pumps: Pumps, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tune, "_KINDS", {"pca": {"pca": {}}})
    monkeypatch.setattr(tune, "_ROWS", 10)
    out = pumps.folder / "tuned.yaml"
    assert main(["tune", str(pumps.spec()), str(pumps.data()), "--to", str(out), "--sizes", "6"]) == 0
    said = capsys.readouterr().out
    assert "chosen: pca, window 6" in said
    assert "the highest F1" in said or "within 0.01 of the highest" in said
    for tried in (
        "window 6, floor of errors 1",
        "mean of 4 scores",
        "budget 1/1d",
        "quantile 0.999",
        "peaks over threshold",
        "conformal",
        "of the fleet",
    ):
        assert tried in said
    found = spec_file.detector(out).spec
    assert found.model.pca is not None
    assert found.windows[0].size in (6, 9)
