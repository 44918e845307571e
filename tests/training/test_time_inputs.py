"""Hour and weekday as inputs of a model: in a time zone, inside the graph; what is usual by day is found at night."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from anomaly_api.kinds import Ensemble, EnsembleMember, FeatureErrors, Pca, TimeInputs
from anomaly_api.learning import ModelKind
from anomaly_detector.core.columns import MICROSECONDS

torch = pytest.importorskip("torch")

from anomaly_detector.training.export import TOLERANCE, difference_to_torch, export  # noqa: E402 - needs torch
from anomaly_detector.training.models.clock import Clock  # noqa: E402
from anomaly_detector.training.models.kind import Data, Effort, FittingError, Scorer  # noqa: E402
from anomaly_detector.training.models.kinds import fit_model  # noqa: E402

SIZE, STEP = 6, 10 * 60
START = int(datetime(2026, 3, 16, tzinfo=UTC).timestamp())
BERLIN = ZoneInfo("Europe/Berlin")
PCA = ModelKind(pca=Pca())


def plant(days: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Windows of two features that follow the shifts of Berlin, from Monday to Friday, and the times of their newest readings."""
    random = np.random.default_rng(seed)
    seconds = START + STEP * np.arange(days * 86_400 // STEP)
    local = [datetime.fromtimestamp(at, BERLIN) for at in seconds.tolist()]
    working = np.array([8 <= at.hour < 18 and at.weekday() < 5 for at in local])
    load = np.where(working, 100.0, 20.0) + random.normal(0, 3, len(seconds))
    values = np.stack([load, 0.5 * load + random.normal(0, 1, len(seconds))], axis=1).astype(np.float32)
    windows = np.ascontiguousarray(np.moveaxis(np.lib.stride_tricks.sliding_window_view(values, SIZE, axis=0), -1, 1))
    return windows, (seconds[SIZE - 1 :] * MICROSECONDS).astype(np.int64)


def fitted(inputs: TimeInputs | None, model: ModelKind = PCA, days: int = 28) -> Scorer:
    windows, times = plant(days)
    every = np.arange(len(windows))
    return fit_model(model, Data(windows, every, every[-200:], times, ("load", "current"), clock=inputs), Effort(3, 1)).scorer


def scores(scorer: Scorer, windows: np.ndarray, times: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        given = [torch.from_numpy(windows), torch.from_numpy(times)]
        return scorer(*given[: 2 if scorer.timed else 1])[0].numpy()


def at(times: np.ndarray, hour: int, weekday: int) -> np.ndarray:
    local = [datetime.fromtimestamp(time / MICROSECONDS, BERLIN) for time in times.tolist()]
    return np.array([each.hour == hour and each.weekday() == weekday for each in local])


SHIFTS = TimeInputs(hour=True, weekday=True, time_zone="Europe/Berlin")


def test_a_level_that_is_usual_by_day_is_found_at_night_and_on_a_sunday() -> None:
    windows, times = plant(15, seed=5)
    noon = windows[at(times, 12, 1)][0]
    for inputs, is_found in ((SHIFTS, True), (None, False)):
        scorer = fitted(inputs, days=21)
        usual = np.quantile(scores(scorer, windows, times), 0.99)
        for hour, weekday in ((3, 1), (12, 6)):
            quiet = at(times, hour, weekday)
            moved = np.repeat(noon[None], int(quiet.sum()), axis=0)
            assert (np.median(scores(scorer, moved, times[quiet])) > usual) == is_found


def test_the_graph_agrees_with_torch_for_ensembles_and_smoothed_scores() -> None:
    windows, times = plant(15, seed=6)
    smoothed = Pca(errors=FeatureErrors(smoothing=3))
    members = [EnsembleMember(pca=smoothed), EnsembleMember(pca=Pca(variance_percent=80))]
    scorer = fitted(SHIFTS, ModelKind(ensemble=Ensemble(members=members)), days=15)
    graph = export(scorer, windows, times)
    assert graph.timed
    assert difference_to_torch(graph, scorer, windows, times) <= TOLERANCE


def test_hours_are_those_of_the_zone_before_and_after_the_clocks_change() -> None:
    clock = Clock(TimeInputs(time_zone="Europe/Berlin"), START * MICROSECONDS)
    for moment in (datetime(2026, 3, 29, 0, 59, tzinfo=UTC), datetime(2026, 3, 29, 1, 1, tzinfo=UTC)):
        for year in (0, 5, 10):
            then = moment + timedelta(days=7 * 52 * year)
            local = then.astimezone(BERLIN)
            part = 2 * np.pi * (local.hour * 3600 + local.minute * 60) / 86_400
            given = clock(torch.tensor([round(then.timestamp()) * MICROSECONDS])).numpy()[0]
            np.testing.assert_allclose([given[1], given[7]], [np.sin(part), np.cos(part)], atol=1e-5)


def test_a_history_that_is_too_short_and_a_zone_that_is_none_are_refused_with_a_sentence() -> None:
    with pytest.raises(FittingError, match="weekday needs a history of at least 14 days to learn from and has 7"):
        fitted(SHIFTS, days=7)
    with pytest.raises(FittingError, match="timeZone 'Mars/Phobos' is not known here"):
        fitted(TimeInputs(time_zone="Mars/Phobos"), days=3)
