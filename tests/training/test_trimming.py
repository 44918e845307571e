"""Anomalies in the history are not learned, clean data loses nothing, and a refitted model knows the newest readings."""

from __future__ import annotations

import numpy as np
import pytest

from anomaly_api.kinds import Autoencoder, Pca, Seasonal
from anomaly_api.learning import ModelKind
from anomaly_api.pods import Resources
from anomaly_api.source import Feature, Window
from anomaly_detector.training.device import training_device
from tests.training.conftest import pipeline, training
from tests.training.test_learning import SIZE, machine, sample

torch = pytest.importorskip("torch")

from anomaly_detector.training import learning  # noqa: E402 - needs torch
from anomaly_detector.training.models.kind import Data  # noqa: E402
from anomaly_detector.training.trimming import trimmed  # noqa: E402

PCA = ModelKind(pca=Pca())
PIPELINE = pipeline(features=[Feature(name=name) for name in ("flow", "current", "speed")])


def data(values: np.ndarray) -> Data:
    found = sample(values)
    border = int(0.9 * len(found))
    return Data(found.values, np.arange(border), np.arange(border, len(found)), found.times)


def contaminated(values: np.ndarray, first: int = 500, last: int = 530) -> np.ndarray:
    """A stretch in which the current no longer follows the load."""
    dirty = values.copy()
    dirty[first:last, 1] *= 0.5
    return dirty


def test_windows_of_an_anomaly_are_left_out_and_few_others() -> None:
    dirty = data(contaminated(machine(4000)))
    kept, count = trimmed(PCA, dirty, 2.0, 1)
    touched = np.arange(500 - SIZE + 1, 530)
    gone = np.setdiff1d(dirty.train, kept.train)
    assert len(np.intersect1d(gone, touched)) >= 30
    assert len(np.setdiff1d(gone, touched)) == 0
    assert count == len(gone)


def test_never_more_than_the_share_is_left_out() -> None:
    dirty = data(contaminated(machine(4000), 500, 900))
    kept, _ = trimmed(PCA, dirty, 1.0, 1)
    assert len(dirty.train) - len(kept.train) <= 0.01 * len(dirty.train)


@pytest.mark.parametrize("seed", range(3))
def test_clean_data_loses_nothing(seed: int) -> None:
    clean = data(machine(3000, seed=seed))
    kept, count = trimmed(PCA, clean, 5.0, 1)
    assert (len(kept.train), count) == (len(clean.train), 0)


def test_zero_and_kinds_that_bear_anomalies_are_left_alone() -> None:
    dirty = data(contaminated(machine(1000)))
    assert trimmed(PCA, dirty, 0.0, 1)[0] is dirty
    assert trimmed(ModelKind(seasonal=Seasonal()), dirty, 5.0, 1)[0] is dirty


def test_a_model_of_contaminated_data_sees_that_anomaly_when_it_is_trimmed() -> None:
    """Five such stretches in the history, and one more later: how far it lies above what is usual, with and without trimming."""
    values = machine(4000)
    for first in range(300, 2800, 500):
        values = contaminated(values, first, first + 10)
    later = sample(contaminated(machine(200, seed=9), 100, 130))
    far = []
    for percent in (0.0, 5.0):
        settings = (ModelKind(autoencoder=Autoencoder(layers=[16, 4])), training(epochs=20, trim_percent=percent))
        model = learning.learn(Window(name="short", size=SIZE), sample(values), PIPELINE, settings, 10.0, lambda _: None)
        scores = model.graph.scores(later.values, later.times)
        far.append(scores[105:120].mean() / np.median(scores[:80]))
    assert far[1] > 1.3 * far[0]


def test_a_refitted_model_knows_the_newest_readings_and_keeps_the_threshold_of_the_first() -> None:
    values = machine(3000)
    values[2700:, 2] *= 1.2  # the newest tenth runs faster
    found = {}
    for refit in (False, True):
        settings = (PCA, training(refit=refit))
        model = learning.learn(Window(name="short", size=SIZE), sample(values), PIPELINE, settings, 10.0, lambda _: None)
        newest = sample(values).at(np.arange(2750, 2900))
        found[refit] = (np.median(model.deciding.scores(newest.values, newest.times)), model.graph.content)
    assert found[True][0] < 0.7 * found[False][0]
    assert found[True][1] == found[False][1]


def test_the_losses_of_each_epoch_are_kept() -> None:
    settings = (ModelKind(autoencoder=Autoencoder(layers=[16, 4])), training(epochs=4))
    model = learning.learn(Window(name="short", size=SIZE), sample(machine(800)), PIPELINE, settings, 10.0, lambda _: None)
    assert len(model.history) == model.epochs
    assert all(loss > 0 and checked > 0 for loss, checked in model.history)


@pytest.mark.parametrize(
    ("limits", "available", "device"),
    [
        (None, True, "cpu"),
        ({"memory": "2Gi"}, True, "cpu"),
        ({"nvidia.com/gpu": "0"}, True, "cpu"),
        ({"nvidia.com/gpu": 1}, False, "cpu"),
        ({"nvidia.com/gpu": 1}, True, "cuda"),
    ],
)
def test_a_gpu_is_used_where_the_pod_was_given_one_and_torch_finds_it(limits, available: bool, device: str) -> None:
    try:
        assert training_device(Resources(limits=limits), lambda: available) == device
    finally:
        torch.use_deterministic_algorithms(False)
