"""What is learned from windows: deterministic, finite, the same in torch and ONNX Runtime, unmoved by wild readings."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from anomaly_api.kinds import Autoencoder, Pca
from anomaly_api.learning import ModelKind
from anomaly_api.source import Window
from anomaly_detector.core.columns import MICROSECONDS
from anomaly_detector.training.data.samples import Sample
from anomaly_detector.training.models.scaling import robust_scaling
from tests.training.conftest import pipeline, training

torch = pytest.importorskip("torch")

from anomaly_detector.training import learning  # noqa: E402 - needs torch
from anomaly_detector.training.failures import TrainingError  # noqa: E402
from anomaly_detector.training.models.dense import Dense, derived_layers  # noqa: E402
from anomaly_detector.training.models.kind import Data, Effort, Fitted, FittingError  # noqa: E402
from anomaly_detector.training.models.kinds import fit_model  # noqa: E402

SIZE = 8
MODEL = ModelKind(autoencoder=Autoencoder())


def machine(readings: int, seed: int = 0, constant: bool = False) -> np.ndarray:
    """[readings, 3] of sensors that follow one load."""
    random = np.random.default_rng(seed)
    load = 1 + 0.2 * np.sin(np.arange(readings) / 15)
    columns = [100 * load, 12 * load**2, np.full(readings, 5.0) if constant else 1500 * load]
    values = np.stack(columns, axis=1)
    values[:, : 2 if constant else 3] *= 1 + 0.01 * random.standard_normal((readings, 2 if constant else 3))
    return values.astype(np.float32)


def cut(values: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(np.moveaxis(np.lib.stride_tricks.sliding_window_view(values, SIZE, axis=0), -1, 1))


def sample(values: np.ndarray) -> Sample:
    windows = cut(values)
    times = (10 * MICROSECONDS * (np.arange(len(windows)) + SIZE)).astype(np.int64)
    return Sample(windows, np.zeros(len(windows), np.int64), times, complete=True)


def fit(windows: np.ndarray, learned: int, epochs: int, progress=lambda _: None) -> Fitted:
    """An autoencoder of the first windows, which stops by the others."""
    places = np.arange(len(windows))
    data = Data(windows, places[:learned], places[learned:], places)
    return fit_model(ModelKind(autoencoder=Autoencoder(layers=[8, 2])), data, Effort(epochs, 1, progress=progress))


def learned(values: np.ndarray, epochs: int = 3, seed: int = 1) -> learning.Learned:
    settings = (MODEL, training(epochs=epochs, seed=seed))
    return learning.learn(Window(name="short", size=SIZE), sample(values), pipeline(), settings, 10.0, lambda _: None)


@pytest.fixture(scope="module")
def model() -> learning.Learned:
    return learned(machine(1500), epochs=20)


def test_the_same_data_and_seed_give_the_same_graph_to_the_byte():
    first, second, other = learned(machine(400)), learned(machine(400)), learned(machine(400), seed=2)
    digests = [hashlib.sha256(model.graph.content).hexdigest() for model in (first, second, other)]
    assert digests[0] == digests[1] != digests[2]


def test_a_broken_correlation_scores_far_more_than_any_normal_window(model):
    windows = cut(machine(200, seed=9))
    score, _, _ = model.graph.run(windows)
    windows[:, :, 1] *= 0.8
    broken, errors, _ = model.graph.run(windows)
    assert broken.min() > max(2 * score.max(), 3 * np.median(score))
    assert (errors.argmax(axis=1) == 1).mean() > 0.9


def test_the_expected_reading_is_in_the_readings_own_units(model):
    windows = cut(machine(200, seed=9))
    _, _, expected = model.graph.run(windows)
    assert np.abs(expected / windows[:, -1] - 1).max() < 0.1


def test_the_score_is_the_mean_of_the_roots_of_the_feature_errors_as_far_as_they_are_not_saturated(model):
    windows = cut(machine(50, seed=9))
    windows[25:, :, 1] *= 2
    score, errors, _ = model.graph.run(windows)
    counted = np.where(errors > 1, 1 + np.log(np.maximum(errors, 1)), errors)
    assert errors.max() > 10
    assert score == pytest.approx(np.sqrt(counted).mean(axis=1), rel=1e-5)


def test_one_feature_that_is_far_away_for_good_weighs_less_than_several_that_deviate(model):
    windows = cut(machine(50, seed=9))
    lost, several = windows.copy(), windows.copy()
    lost[:, :, 2] = 1e9
    several *= np.array([1.2, 0.8, 1.2], np.float32)
    usual, one, many = (model.graph.run(each)[0] for each in (windows, lost, several))
    assert usual.max() < one.min()
    assert one.max() < 2 * many.min()
    assert np.isfinite(one).all()


def test_a_dense_autoencoder_reproduces_windows_at_least_as_well_as_principal_components():
    windows = cut(machine(600))
    places = np.arange(len(windows))
    data = Data(windows, places[:450], places[450:], places)
    plain = fit_model(ModelKind(pca=Pca()), data, Effort(20, 1)).scorer
    deep = fit_model(ModelKind(autoencoder=Autoencoder()), data, Effort(20, 1)).scorer
    with torch.no_grad():
        shown = data.shown(plain, data.validation)
        linear, network = (float((each.network(shown) - shown).square().mean()) for each in (plain, deep))
    assert network <= linear


@pytest.mark.parametrize("wild", [3.4e38, -3.4e38, 1e30, 1e-38, 0.0])
def test_finite_readings_always_give_finite_scores(model, wild):
    windows = cut(machine(20, seed=9))
    windows[:, 3, 0] = wild
    windows[5:, :, 2] = -wild
    assert all(np.isfinite(output).all() for output in model.graph.run(windows))


@pytest.mark.parametrize("count", [0, 1, 7])
def test_the_graph_takes_any_number_of_windows(model, count):
    score, errors, expected = model.graph.run(cut(machine(100))[:count])
    assert (score.shape, errors.shape, expected.shape) == ((count,), (count, 3), (count, 3))


def test_a_constant_feature_is_named_and_a_change_in_it_stands_out():
    model = learned(machine(800, constant=True), epochs=10)
    assert model.constant == ["speed"]
    windows = cut(machine(100, seed=9, constant=True))
    before = np.median(model.graph.run(windows)[0])
    windows[:, -1, 2] += 3
    assert model.graph.run(windows)[0].min() > 3 * before


def test_a_few_wild_readings_move_the_scaling_little():
    rows = machine(2000)
    clean = robust_scaling(rows[:, None])
    rows[::500] = 1e9
    wild = robust_scaling(rows[:, None])
    assert wild.center == pytest.approx(clean.center, rel=0.02)
    assert wild.scale == pytest.approx(clean.scale, rel=0.1)


def test_a_feature_that_is_rarely_anything_but_zero_is_scaled_by_what_it_is_then():
    rows = np.zeros((1000, 1), np.float32)
    rows[500:503] = 50
    scaling = robust_scaling(rows[:, None])
    assert not scaling.constant[0]
    assert scaling.scale[0] == pytest.approx(rows.std(), rel=1e-3)


def test_windows_that_cannot_be_divided_by_time_are_refused_with_the_cause():
    values = sample(machine(100))
    same = Sample(values.values, values.slots, np.zeros_like(values.times), complete=True)
    with pytest.raises(TrainingError, match="too many have the same time"):
        learning.learn(Window(name="short", size=SIZE), same, pipeline(), (MODEL, training()), 10.0, lambda _: None)


def test_a_network_that_cannot_be_fitted_says_so():
    windows = cut(machine(100))
    windows[:] = np.nan
    with pytest.raises(FittingError, match="beyond what float32 holds"):
        fit(windows, 80, epochs=2)


def test_training_stops_early_when_nothing_is_gained_and_says_how_far_it_is():
    told: list[float] = []
    windows = cut(machine(200))
    fitted = fit(windows, 150, 2000, told.append)
    assert fitted.epochs < 2000
    assert told == [epoch / 2000 for epoch in range(1, fitted.epochs + 1)]


@pytest.mark.parametrize(("size", "features", "windows"), [(2, 1, 1), (12, 1, 1), (12, 128, 1), (60, 19, 3), (1024, 128, 8)])
def test_derived_layers_narrow_to_the_bottleneck(size, features, windows):
    layers = derived_layers(size, features, windows)
    assert layers == sorted(layers, reverse=True)
    assert layers[-1] >= 1
    assert layers[0] <= size * features


@pytest.mark.parametrize(("size", "features", "windows"), [(12, 6, 1), (12, 128, 1), (60, 19, 1), (12, 19, 3), (256, 6, 1)])
def test_models_of_derived_layers_fit_into_a_config_map(size, features, windows):
    network = Dense(size * features, derived_layers(size, features, windows))
    assert windows * 4 * sum(parameter.numel() for parameter in network.parameters()) < 900 * 1024


def test_thinned_windows_are_scored_by_reading_once_more():
    """The calibration from a second reading is that of windows that were all kept."""
    from tests.training.test_samples import gathered, messages

    whole, thinned = gathered(most=10_000), gathered(most=300)
    every, some = whole.samples(), thinned.samples()
    settings = (MODEL, training())
    wanted = pipeline()
    model = learning.learn(wanted.windows[0], every["short"], wanted, settings, whole.interval, lambda _: None)
    [kept] = learning.calibrations([model], learning.held_out_scores([model], every, wanted, list))
    [again] = learning.calibrations([model], learning.held_out_scores([model], some, wanted, lambda: [messages()]))
    assert not some["short"].complete
    assert (again.windows, again.maximum, again.peaks) == (kept.windows, pytest.approx(kept.maximum), pytest.approx(kept.peaks))
