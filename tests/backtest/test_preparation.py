"""What a spec says about its features changes what is found, from the command line to the file of scores."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

import numpy as np
import pytest

from anomaly_detector.cli.__main__ import main

if TYPE_CHECKING:
    from pathlib import Path

_SPEC = """
apiVersion: anomaly-operator.dev/v1alpha1
kind: AnomalyDetector
metadata: {name: meters}
spec:
  source: {kafka: {bootstrapServers: "kafka:9092", topic: meters}}
  entity: {field: meter}
  time: {field: at}
  features: FEATURES
  model: MODEL
"""


def alarms(
    folder: Path, features: str, columns: dict[str, dict[str, np.ndarray]], model: str = "{statistical: {}}"
) -> list[dict]:
    """Backtests a reading each 10 s of each entity; the rows of the scores, with `tick`."""
    spec, data, out = folder / "spec.yaml", folder / "meters.csv", folder / "scores.csv"
    spec.write_text(_SPEC.replace("FEATURES", features).replace("MODEL", model))
    names = list(next(iter(columns.values())))
    lines = [",".join(("at", "meter", *names))]
    count = len(next(iter(next(iter(columns.values())).values())))
    for tick in range(count):
        at = np.datetime64("2026-01-01T00:00:00") + np.timedelta64(10 * tick, "s")
        lines += [f"{at},{entity}," + ",".join(f"{own[name][tick]!r}" for name in names) for entity, own in columns.items()]
    data.write_text("\n".join(lines).replace("np.float64(", "").replace(")", "") + "\n")
    train = [] if "statistical" in model else ["--train-rows", str(count * len(columns) // 2)]
    assert main(["backtest", str(spec), str(data), "--scores", str(out), *train]) == 0
    with out.open(newline="") as file:
        return [{**row, "tick": place // len(columns)} for place, row in enumerate(csv.DictReader(file))]


def found(rows: list[dict]) -> set[tuple[str, int]]:
    return {(row["entity"], row["tick"]) for row in rows if row["anomalous"] == "1"}


def test_a_counter_that_is_reset_gives_no_episode_and_one_that_runs_away_does(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    steps = random.normal(20, 5, 1200).clip(1)
    steps[900:930] *= 5.0
    energy = 9e15 + np.round(np.cumsum(steps))
    energy[600:] -= energy[599]
    alarmed = {tick for _, tick in found(alarms(tmp_path, "[{name: energy_wh, kind: Counter}]", {"a": {"energy_wh": energy}}))}
    assert 900 <= min(alarmed) < 910
    assert max(alarmed) < 960


def _errors() -> np.ndarray:
    """5 %, which falls to nothing for good at 700."""
    random = np.random.default_rng(2)
    share = random.normal(5, 0.3, 1200)
    share[700:] = 0.0
    return share


@pytest.mark.parametrize("model", ["{statistical: {}}", "{pca: {}}"])
def test_a_share_of_errors_that_falls_gives_no_alert_where_only_rises_count(tmp_path: Path, model: str) -> None:
    share = _errors()
    rising = share.copy()
    rising[700:] = 15.0
    columns = {"fixed": {"errors": share}, "broken": {"errors": rising}}
    asked = "[{name: errors, kind: Ratio, whole: 100, direction: Above}]"
    alarmed = found(alarms(tmp_path, asked, columns, model))
    assert {entity for entity, _ in alarmed} == {"broken"}
    assert 700 <= min(tick for _, tick in alarmed) < 710


def test_both_directions_count_unless_somebody_says_otherwise_and_small_deviations_do_not(tmp_path: Path) -> None:
    columns = {"a": {"errors": _errors()}}
    assert found(alarms(tmp_path, "[{name: errors}]", columns))
    assert not found(alarms(tmp_path, "[{name: errors, leastDeviation: 8}]", columns))
    assert not found(
        alarms(tmp_path, "[{name: errors, role: Context}, {name: other}]", {"a": {**columns["a"], "other": _calm()}})
    )


def _calm() -> np.ndarray:
    return np.random.default_rng(3).normal(40, 1, 1200)


def test_a_small_meter_that_doubles_is_found_beside_large_ones_under_one_model(tmp_path: Path) -> None:
    """Case c11: meters of 10 and of 10,000."""
    sizes = {"house": 10.0, "shop": 100.0, "factory": 10_000.0}
    columns = {}
    for seed, (name, size) in enumerate(sizes.items()):
        random = np.random.default_rng(seed)
        cycle = 1 + 0.1 * np.sin(np.arange(2400) / 30 + seed)
        columns[name] = {"power": size * cycle * (1 + 0.03 * random.standard_normal(2400))}
    columns["house"]["power"][1800:1860] *= 2
    alarmed = found(alarms(tmp_path, "[{name: power, scale: PerEntity}]", columns, "{pca: {}}"))
    assert {entity for entity, _ in alarmed} == {"house"}
    assert 1800 <= min(tick for _, tick in alarmed) < 1810
    assert not found(alarms(tmp_path, "[{name: power}]", columns, "{pca: {}}")), "one scale for all hides it"
