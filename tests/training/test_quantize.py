"""Quantized graphs keep the promises of the suite of all kinds, within a tolerance; kinds without a network are refused."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from anomaly_api.kinds import Autoencoder, Pca
from anomaly_api.learning import ModelKind, Quantization
from anomaly_api.source import Feature, Window
from anomaly_detector.training.failures import TrainingError
from tests.training.conftest import pipeline, training
from tests.training.test_conformance import ASKED, cut, data, machine

pytest.importorskip("torch")

from anomaly_detector.training import learning
from anomaly_detector.training.export import Graph, export
from anomaly_detector.training.models.kind import Effort
from anomaly_detector.training.models.kinds import fit_model
from anomaly_detector.training.quantize import TOLERANCE, quantized
from tests.training import test_learning

WITH_NETWORKS = ("Dense", "Convolutional", "Lstm", "Tcn", "Transformer", "Pca", "Ensemble")


@pytest.fixture(scope="module", params=WITH_NETWORKS)
def pair(request: pytest.FixtureRequest) -> tuple[Graph, Graph]:
    """A graph as it was exported, and quantized."""
    scorer = fit_model(ASKED[request.param], data(machine(800)), Effort(epochs=4, seed=1)).scorer
    graph = export(scorer, *cut(machine(400)))
    return graph, quantized(graph, cut(machine(800))[0])


def test_scores_change_little_and_faults_stay_far_above(pair: tuple[Graph, Graph]) -> None:
    graph, small = pair
    windows, times = cut(machine(300, seed=7))
    usual, changed = graph.run(windows, times)[0], small.run(windows, times)[0]
    assert np.abs(changed - usual).max() <= 1.5 * TOLERANCE * usual.max()
    windows[:, -3:, 2] += 8 * machine(1000).std(axis=0)[2]
    assert (small.run(windows, times)[0] > np.quantile(changed, 0.99)).mean() > 0.8


def test_a_quantized_score_does_not_depend_on_the_windows_beside_it(pair: tuple[Graph, Graph]) -> None:
    windows, times = cut(machine(199, seed=9))
    whole = pair[1].run(windows, times)[0]
    parts = [pair[1].run(windows[at : at + 3], times[at : at + 3])[0] for at in range(0, len(windows) // 3 * 3, 3)]
    assert np.concatenate(parts).tobytes() == whole[: len(windows) // 3 * 3].tobytes()


def test_finite_readings_give_finite_quantized_scores(pair: tuple[Graph, Graph]) -> None:
    windows, times = cut(machine(30, seed=9))
    windows[:, 3, 0] = 3.4e38
    windows[5:, :, 2] = -1e30
    assert all(np.isfinite(output).all() for output in pair[1].run(windows, times))


def test_the_same_graph_is_quantized_to_the_same_bytes(pair: tuple[Graph, Graph]) -> None:
    assert quantized(pair[0], cut(machine(800))[0]).content == pair[1].content


@pytest.mark.parametrize("kind", ["IsolationForest", "Bounds", "Seasonal"])
def test_a_kind_without_a_network_is_refused_with_a_sentence(kind: str) -> None:
    graph = export(fit_model(ASKED[kind], data(machine(800)), Effort(epochs=1, seed=1)).scorer, *cut(machine(100)))
    with pytest.raises(TrainingError, match="Int8 is for networks and components, and this kind has neither"):
        quantized(graph, cut(machine(200))[0])


def test_a_large_network_becomes_less_than_half_as_large_and_sets_its_own_threshold() -> None:
    asked = ModelKind(autoencoder=Autoencoder(layers=[256, 64, 8]), quantization=Quantization.INT8)
    window = Window(name="short", size=test_learning.SIZE)
    sample = test_learning.sample(test_learning.machine(800))
    features = pipeline(features=[Feature(name=name) for name in ("flow", "current", "speed")])
    model = learning.learn(window, sample, features, (asked, training(epochs=2)), 10.0, lambda _: None)
    assert model.precise is not None
    assert len(model.deciding.content) < 0.5 * len(model.precise.content)
    kept = {each.name: each.data_type for each in onnx.load_from_string(model.graph.content).graph.initializer}
    assert kept["network.linear.components"] == onnx.TensorProto.FLOAT
    held_out = learning.held_out_scores([model], {"short": sample}, features, list)["short"]
    part = sample.at(model.split.held_out(sample))
    assert np.concatenate(held_out.scores) == pytest.approx(model.graph.scores(part.values, part.times))


def test_the_default_is_no_quantization() -> None:
    assert ModelKind(pca=Pca()).quantization is None
