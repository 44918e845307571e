"""A backtest says of each recorded reading what the detector would have said, from the command line to the file of scores."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.csv
import pyarrow.parquet
import pytest

from anomaly_detector.cli.__main__ import main
from tests.backtest.conftest import FAULT, ROWS

if TYPE_CHECKING:
    from tests.backtest.conftest import Pumps

Row = dict[str, str]


def _scores(pumps: Pumps, *arguments: str, data: Path | None = None) -> list[Row]:
    out = pumps.folder / "scores.csv"
    assert main(["backtest", str(pumps.spec()), str(data or pumps.data()), "--scores", str(out), *arguments]) == 0
    with out.open(newline="") as file:
        return list(csv.DictReader(file))


def test_there_is_a_row_for_each_reading_in_order(pumps: Pumps) -> None:
    scores = _scores(pumps)
    assert list(scores[0]) == ["entity", "time", "score", "anomalous", "severity", "top_feature", "scorer"]
    assert [row["entity"] for row in scores] == ["a", "b"] * ROWS
    assert scores[-1]["time"] == "2026-01-01T01:06:30Z"


def test_the_fault_is_found_at_its_entity_with_its_feature_and_nothing_else_is(pumps: Pumps) -> None:
    alarmed = {place: row for place, row in enumerate(_scores(pumps)) if row["anomalous"] == "1"}
    assert {row["entity"] for row in alarmed.values()} == {"b"}
    assert FAULT.start <= min(alarmed) // 2 <= FAULT.start + 2
    assert {row["top_feature"] for row in alarmed.values()} - {""} == {"flow"}
    assert {row["severity"] for row in alarmed.values()} <= {"warning", "critical"}


@pytest.mark.parametrize(("separator", "ending"), [(";", ".csv"), ("\t", ".csv.gz"), (",", ".csv.xz")])
def test_separators_and_packing_make_no_difference(pumps: Pumps, separator: str, ending: str) -> None:
    expected = _scores(pumps)
    assert _scores(pumps, data=pumps.data(separator, ending)) == expected


def test_parquet_is_read_as_well(pumps: Pumps) -> None:
    expected = _scores(pumps)
    path = pumps.folder / "pumps.parquet"
    pyarrow.parquet.write_table(pyarrow.csv.read_csv(pumps.data()), path)
    assert _scores(pumps, data=path) == expected


def test_labels_give_figures(pumps: Pumps, capsys: pytest.CaptureFixture[str]) -> None:
    _scores(pumps, "--labels", str(pumps.data()))
    said = capsys.readouterr().out
    assert "events 1, eventsFound 1" in said
    assert "falseEpisodes 0" in said


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("name: flow", "name: speed", "has no column 'speed' (it has at, pump, flow, pressure, label)"),
        ("field: pump", "field: engine", "has no column 'engine'"),
        ("field: at", "field: pump", "column 'pump' holds no times"),
        ("AnomalyDetector", "Deployment", "holds no AnomalyDetector (it holds Deployment)"),
        ("topic: pumps", "tropic: pumps", "spec.source.kafka.topic: Field required"),
    ],
)
def test_errors_say_what_is_wrong_and_where(
    pumps: Pumps, capsys: pytest.CaptureFixture[str], old: str, new: str, said: str
) -> None:
    assert main(["backtest", str(pumps.spec(**{old: new})), str(pumps.data())]) == 2
    assert said in capsys.readouterr().err


def test_a_file_that_does_not_exist_is_named(pumps: Pumps, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["backtest", str(pumps.spec()), "nowhere.csv"]) == 2
    assert "nowhere.csv does not exist" in capsys.readouterr().err


def test_the_report_is_one_file_that_shows_series_episodes_labels_and_figures(pumps: Pumps) -> None:
    out = pumps.folder / "report.html"
    _scores(pumps, "--labels", str(pumps.data()), "--report", str(out))
    page = out.read_text()
    assert "http" not in page
    assert "<script" not in page
    for shown in ("flow", "pressure", "score", "threshold", "falseEpisodesPerDay", "#f3a6a0", "#8fca9b"):
        assert shown in page
