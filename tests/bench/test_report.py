"""What a benchmark says, computed from runs that never happened."""

from __future__ import annotations

import pytest

from dev.verify.bench import report
from dev.verify.bench.contest import Results

OTHERS = {
    "latency": {
        "atLeastOnce": {"p50Milliseconds": 8.0, "p99Milliseconds": 70.0},
        "relay.atLeastOnce": {"p50Milliseconds": 6.0, "p99Milliseconds": 40.0},
    },
    "firstScoreSeconds": {"atLeastOnce": 0.4},
    "memory": {"atLeastOnce": {"10000": 120e6, "bytesPerEntityBeyondWindows": 180}},
    "trainingSeconds": 5.0,
}


@pytest.fixture
def results() -> Results:
    """Three rounds; in the last one the machine was busy with something else."""
    found = Results()
    rates = {
        "consume": (1000, 1100, 100),
        "floor": (800, 800, 80),
        "tutorial": (8, 8, 1),
        "quixstreams": (16, 16, 2),
        "atLeastOnce.100": (480, 440, 64),
        "atLeastOnce.10000": (400, 400, 40),
    }
    for place in range(3):
        for name, each in rates.items():
            found.add(name, {"rate": float(each[place]), "cpuMicroseconds": 2.0})
    return found


def test_a_ratio_is_taken_within_each_round_so_that_a_busy_one_counts_like_the_others(results: Results) -> None:
    assert results.ratio("atLeastOnce.100", "floor") == pytest.approx(0.6)  # of 0.6, 0.55 and 0.8


def test_the_document_has_readings_a_second_under_the_contestants_names(results: Results) -> None:
    document = report.document(results, OTHERS, {"python": "3.11"})
    assert {name: document[name] for name in ("consume", "floor", "tutorial", "quixstreams", "atLeastOnce")} == {
        "consume": 1000,
        "floor": 800,
        "tutorial": 8,
        "quixstreams": 16,
        "atLeastOnce": {"100": 440, "10000": 400},
    }
    assert document["versions"] == {"python": "3.11"}
    assert document["machine"]["cores"] >= 1


def test_a_figure_that_misses_what_was_asked_is_called_missed(results: Results) -> None:
    missed = [figure.what for figure in report.figures(results, OTHERS) if not figure.kept]
    assert missed == ["reading to alert at 20,000/s, p99, at least once"]


def test_what_was_not_measured_is_not_asked_for(results: Results) -> None:
    assert not [figure for figure in report.figures(results, OTHERS) if "exactly once" in figure.what]
