"""What a spec says of a feature is inside the model's graph: scalers and their way back, roles, directions, least deviations."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from anomaly_api.kinds import IsolationForest, Pca, Seasonal
from anomaly_api.learning import ModelKind
from anomaly_api.source import Feature
from anomaly_detector.core.columns import MICROSECONDS

torch = pytest.importorskip("torch")

from anomaly_detector.training.export import TOLERANCE, difference_to_torch, export  # noqa: E402 - needs torch
from anomaly_detector.training.models.kind import Data, Effort, FittingError, Scorer  # noqa: E402
from anomaly_detector.training.models.kinds import fit_model  # noqa: E402

SIZE = 6
PCA, SEASONAL = ModelKind(pca=Pca()), ModelKind(seasonal=Seasonal(period="20m", bins=6))


def cut(readings: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(np.moveaxis(np.lib.stride_tricks.sliding_window_view(readings, SIZE, axis=0), -1, 1))


def service(count: int = 600, seed: int = 0) -> np.ndarray:
    """[count, 3] Share of errors near 5 %, latency in seconds, load that both follow a little."""
    random = np.random.default_rng(seed)
    load = 100 + 10 * np.sin(np.arange(count) / 20) + random.normal(0, 1, count)
    errors = (0.05 + random.normal(0, 0.004, count) + 0.0002 * (load - 100)).clip(0, 1)
    latency = 0.02 * np.exp(random.normal(0, 0.3, count) + 0.01 * (load - 100))
    return np.stack([errors, latency, load], axis=1).astype(np.float32)


def asked(errors: dict[str, Any] | None = None, latency: dict[str, Any] | None = None, load: dict[str, Any] | None = None) -> Any:
    named = (("errors", errors), ("latency", latency), ("load", load))
    return tuple(Feature.model_validate({"name": name, **(each or {})}) for name, each in named)


def fitted(features: tuple[Feature, ...], kind: ModelKind = PCA) -> Scorer:
    windows = cut(service())
    times = (10 * MICROSECONDS * np.arange(len(windows))).astype(np.int64)
    every = np.arange(len(windows))
    data = Data(windows, every[:500], every[500:], times, tuple(each.name for each in features), features)
    return fit_model(kind, data, Effort(1, 1)).scorer


def run(scorer: Scorer, windows: np.ndarray) -> tuple[np.ndarray, ...]:
    given = [torch.from_numpy(windows), torch.zeros(len(windows), dtype=torch.int64)]
    with torch.no_grad():
        return tuple(each.numpy() for each in scorer(*given[: 2 if scorer.timed else 1]))


EVERYTHING = asked(
    {"kind": "Ratio", "direction": "Above"}, {"kind": "Latency", "leastDeviation": 0.01}, {"scaler": "MinMax", "role": "Context"}
)


@pytest.mark.parametrize("kind", [PCA, SEASONAL], ids=["pca", "seasonal"])
def test_the_graph_agrees_with_torch_and_stays_finite_whatever_comes(kind: ModelKind) -> None:
    scorer, windows = fitted(EVERYTHING, kind), cut(service(200, seed=5))
    times = (10 * MICROSECONDS * np.arange(len(windows))).astype(np.int64)
    graph = export(scorer, windows, times)
    windows[::20, 3:, 1] *= 40
    assert difference_to_torch(graph, scorer, windows, times) <= TOLERANCE
    for wild in (3e38, -3e38, 0.0):
        windows[:, -1] = wild
        assert all(np.isfinite(output).all() for output in graph.run(windows, times))


@pytest.mark.parametrize("scaler", ["Standard", "Robust", "MinMax", "Log1p", "ArcSine"])
def test_what_is_expected_is_in_the_features_own_unit_whatever_the_scaler(scaler: str) -> None:
    windows = cut(service(seed=3))
    expected = run(fitted(asked(*([{"scaler": scaler}] * 2), {"scaler": scaler, "whole": None})), windows)[2]
    wrong = np.abs(expected - windows[:, -1]) / windows.reshape(-1, 3).std(axis=0)
    assert (np.median(wrong, axis=0) < 1.0).all()


@pytest.mark.parametrize("kind", [PCA, SEASONAL], ids=["pca", "seasonal"])
@pytest.mark.parametrize(("direction", "good", "bad"), [("Above", 0.0, 0.12), ("Below", 0.12, 0.0)])
def test_only_a_deviation_in_the_direction_that_is_asked_about_counts(
    direction: str, good: float, bad: float, kind: ModelKind
) -> None:
    scorer, windows = fitted(asked({"direction": direction}), kind), cut(service(seed=3))[:120]
    usual = run(scorer, windows)[0]
    for at in range(1, SIZE + 1):  # the step goes through the window
        welcome, unwelcome = windows.copy(), windows.copy()
        welcome[:, -at:, 0], unwelcome[:, -at:, 0] = good, bad
        assert np.quantile(run(scorer, welcome)[0], 0.9) <= usual.max()
    assert run(scorer, unwelcome)[0].min() > np.quantile(usual, 0.99) or run(scorer, unwelcome)[1][:, 0].min() > 1


def test_context_is_no_contributor_and_the_others_are_judged_by_it() -> None:
    scorer, windows = fitted(asked(load={"role": "Context"})), cut(service(seed=3))
    usual, errors, _ = run(scorer, windows)
    assert not errors[:, 2].any()
    assert scorer.share[2] == 0
    windows[:, -2:, 1] = 0.5
    assert np.median(run(scorer, windows)[0]) > usual.max()


def test_a_deviation_smaller_than_the_least_does_not_count() -> None:
    windows = cut(service(seed=3))
    windows[:, -3:, 0] += 0.03
    strict, lenient = (fitted(asked({"leastDeviation": least}) if least else asked()) for least in (0.04, None))
    assert np.median(run(lenient, windows)[1][:, 0]) > 1
    assert not run(strict, windows)[1][:, 0].any()
    windows[:, -1, 0] += 0.1
    assert run(strict, windows)[1][:, 0].all()


def test_kinds_without_expected_values_refuse_what_they_cannot_do() -> None:
    with pytest.raises(FittingError, match="isolationForest does not: choose autoencoder, pca or seasonal"):
        fitted(asked(load={"role": "Context"}), ModelKind(isolation_forest=IsolationForest()))
