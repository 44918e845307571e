"""Somebody's first detector: three boilers, fifty minutes of history at a reading a second, and nothing but defaults.

A budget of one false alert a week cannot be known from fifty minutes; the detector must hear a fault all the same, and no more.
"""

from __future__ import annotations

import numpy as np
import pytest

from anomaly_api.detector import AnomalyDetector
from anomaly_detector.cli.replay import replay
from anomaly_detector.cli.table import Table
from anomaly_detector.core.episodes.episode import Transition

pytest.importorskip("torch")

from anomaly_detector.cli import fitting

BOILERS = ("boiler-1", "boiler-2", "boiler-3")
SECOND = 1_000_000
HISTORY, WATCHED = 50 * 60, 20 * 60
FAULT = slice(600, 660)
"""Ticks of what is watched, in which one boiler's flow is 12 below its 40."""
SPEC = {
    "source": {"kafka": {"bootstrapServers": "kafka:9092", "topic": "boilers"}},
    "features": [{"name": "temperature"}, {"name": "pressure"}, {"name": "flow"}],
}


def boilers(ticks: int, begin: int, seed: int) -> Table:
    """Readings of all boilers, tick by tick; each has a slow rhythm of its own, which its three sensors follow."""
    random = np.random.default_rng(seed)
    seconds = begin + np.arange(ticks)[:, None]
    load = np.sin(2 * np.pi * (seconds / 900 + np.arange(len(BOILERS)) / 3))
    means = np.stack([80 + 4 * load, 3 + 0.2 * load, 40 + 2 * load], axis=-1)
    values = means + random.normal(size=means.shape) * [0.5, 0.05, 0.8]
    times = np.repeat(seconds[:, 0] * SECOND, len(BOILERS))
    codes = np.tile(np.arange(len(BOILERS)), ticks)
    return Table(list(BOILERS), codes, times.astype(np.int64), values.reshape(-1, 3).astype(np.float32))


def test_a_fault_of_a_minute_is_found_within_ten_readings_and_nothing_else_is_told() -> None:
    spec = AnomalyDetector.model_validate({"metadata": {"name": "boilers"}, "spec": SPEC}).spec
    trained = fitting.train(spec, boilers(HISTORY, 0, 1), "history")
    watched = boilers(WATCHED, HISTORY, 101)
    ill = np.flatnonzero(watched.codes == 1)[FAULT]
    watched.values[ill, 2] -= 12

    found = replay(watched, fitting.revision_of(spec, trained), trained.model, reasons=False)

    [opened] = [record for record in found.records if record.turn is Transition.OPENED]
    assert opened.entity == "boiler-2"
    assert 0 <= (opened.time - watched.times[ill[0]]) / SECOND < 10
