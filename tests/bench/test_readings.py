"""The stream that the benchmark runs on is what it says it is."""

from __future__ import annotations

import numpy as np

from anomaly_detector.core.decode.json import Decoder
from dev.verify.bench.readings import PIPELINE, Readings


def test_readings_have_about_197_bytes_and_all_can_be_read() -> None:
    values, keys = zip(*[(value, key) for _, key, value in Readings(40).tick(7)], strict=True)
    decoded = Decoder(PIPELINE).decode(values, keys, np.zeros(40, np.int64))
    assert not decoded.rejects
    assert abs(np.mean([len(value) for value in values]) - 197) < 4


def test_a_fault_comes_as_often_as_asked() -> None:
    readings = Readings(1, fault_every=100)
    assert sum(readings.broken(0, tick) for tick in range(1000)) == 30
