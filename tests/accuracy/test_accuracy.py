"""The judge of `make accuracy`: scores by examples worked out by hand; and a quick run, where the data is there."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from anomaly_detector.cli.figures import judge, segments, vus_pr
from dev.verify.accuracy import nab
from dev.verify.accuracy.__main__ import DATA, main

STEP = 60_000_000


def _marks(rows: int, *places: int) -> np.ndarray:
    marks = np.zeros(rows, bool)
    marks[list(places)] = True
    return marks


def test_a_silent_detector_has_0_and_one_that_is_right_at_once_100() -> None:
    windows = [(400, 499)]
    silent, right = nab.judge(_marks(1000), windows), nab.judge(_marks(1000, 400), windows)
    assert nab.total([silent]) == 0
    assert nab.total([right]) == pytest.approx(100)


def test_only_the_best_detection_of_a_window_counts_and_each_one_outside_costs() -> None:
    windows = [(400, 499)]
    early, late = (nab.total([nab.judge(_marks(1000, place), windows)]) for place in (410, 490))
    both = nab.total([nab.judge(_marks(1000, 410, 490), windows)])
    outside = nab.total([nab.judge(_marks(1000, 410, 900), windows)])
    assert late < early == both
    assert outside == pytest.approx(early - 100 * nab.FALSE_ALARM / 2)


def test_detections_in_the_probation_do_not_count() -> None:
    assert nab.total([nab.judge(_marks(1000, 10, 149), [(400, 499)])]) == 0


def test_vus_is_1_for_scores_that_rank_every_anomaly_first_and_near_the_share_of_anomalies_for_constant_ones() -> None:
    labels = _marks(2000, *range(1000, 1100))
    assert vus_pr(labels, labels.astype(float), 0) == pytest.approx(1)
    assert vus_pr(labels, np.ones(2000), 0) == pytest.approx(0.05)
    assert math.isnan(vus_pr(_marks(10), np.ones(10)))


def test_an_alarm_that_touches_no_label_is_one_false_episode_however_long() -> None:
    labels, alarms = _marks(200, *range(50, 60)), _marks(200, *range(52, 55), *range(100, 140), 180)
    found = judge(labels, alarms, np.where(alarms, 2.0, 0.5), np.arange(200) * STEP, -1)
    assert (found.events, found.found, found.false_episodes) == (1, 1, 2)
    assert found.delays == (120.0,)
    assert found.far == pytest.approx(100 * 41 / 190)


def test_runs_are_found_at_both_ends() -> None:
    assert segments(np.array([True, False, True, True])) == [(0, 0), (2, 3)]


def test_without_the_data_it_is_skipped_with_a_clear_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--data", str(tmp_path / "nowhere")]) == 0
    assert "skipped: there is no folder" in capsys.readouterr().out


@pytest.mark.skipif(not DATA.is_dir(), reason=f"the data of `make accuracy` is not at {DATA}")
def test_one_file_of_each_set_gives_every_figure(tmp_path: Path) -> None:
    out = tmp_path / "accuracy.json"
    assert main(["--quick", "--only", "shipped", "--out", str(out)]) == 0
    found = json.loads(out.read_text())
    budgets = {"1/1d", "1/1w", "timeInAlarm"}
    assert {name: set(figures) for name, figures in found.items() if name != "default"} == {
        "skab": {"F1", "FAR", "MAR", "VUS_PR", "offsetsDeltaF1", "budgets"},
        "smdTsb": {"VUS_PR", "budgets"},
        "smdNative": {"F1", "FAR", "VUS_PR", "worstFAR", "budgets"},
        "asd": {"F1", "FAR", "VUS_PR", "budgets"},
        "nab": {"standard", "budgets"},
    }
    assert all(set(figures["budgets"]) == budgets for name, figures in found.items() if name != "default")
