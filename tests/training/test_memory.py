"""A training's memory is a known multiple of its windows, so that it stays within the pod's limit whatever the data."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from anomaly_detector.training.data.samples import COPIES

pytest.importorskip("torch")

_TRAIN = """
import resource
import numpy as np
from anomaly_api.kinds import Autoencoder, Pca
from anomaly_api.learning import ModelKind
from anomaly_api.source import Window
from anomaly_detector.core.columns import MICROSECONDS
from anomaly_detector.core.preprocess.windows import WindowBatch
from anomaly_detector.training.data.samples import _Thinned, split
from anomaly_detector.training.models.kind import Data, Effort
from anomaly_detector.training.models.kinds import fit_model
from tests.training.conftest import pipeline

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

def train(parts):
    kept = _Thinned(10**9, 1)
    random = np.random.default_rng(1)
    wanted = pipeline(windows=[Window(name="short", size=64)])
    for part in range(parts):
        times = (10 * MICROSECONDS * (np.arange(2000) + 2000 * part)).astype(np.int64)
        values = random.standard_normal((2000, 64, 3), np.float32)
        slots = (np.arange(2000) % 3).astype(np.int64)
        kept.add(WindowBatch("short", slots, slots, times, values), slots.astype(np.uint64))
    sample = kept.sample(np.arange(3))
    size = sample.values.nbytes
    parts = split(sample, wanted.windows[0], 10.0, 20)
    data = Data(sample.values, parts.train(sample), parts.validation(sample), sample.times)
    fit_model(ModelKind(MODEL), data, Effort(epochs=1, seed=1))  # the export sees two windows, whatever the data
    sample.at(parts.held_out(sample))  # what is scored for the calibration
    return size

train(1)
before = peak()
size = train(50)
print((peak() - before) / size)
"""


@pytest.mark.parametrize("model", ["autoencoder=Autoencoder(layers=[8])", "pca=Pca()"])
def test_the_peak_stays_below_the_multiple_that_the_cap_of_windows_counts_on(model):
    script = _TRAIN.replace("MODEL", model)
    run = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=540, cwd=Path(__file__).parents[2], check=False
    )
    assert run.returncode == 0, run.stderr
    assert float(run.stdout.split()[-1]) < COPIES
