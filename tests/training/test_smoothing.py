"""A smoothed score is the mean over the parts of a window; a short history is scored by models that have not seen it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from anomaly_api.learning import ModelKind
from anomaly_api.source import Feature
from anomaly_detector.training import blocks
from anomaly_detector.training.data.samples import Sample
from anomaly_detector.training.models.kind import Data, Effort, FittingError
from anomaly_detector.training.models.kinds import fit_model

NAMES = ("flow", "pressure", "speed")
SECOND = 1_000_000


def _pca(smoothing: int) -> ModelKind:
    return ModelKind.model_validate({"pca": {"errors": {"smoothing": smoothing}}})


def _windows(count: int = 300, size: int = 10) -> np.ndarray:
    random = np.random.default_rng(3)
    rows = random.normal(size=(count + size - 1, 1)) @ np.ones((1, 3)) + 0.1 * random.normal(size=(count + size - 1, 3))
    return np.lib.stride_tricks.sliding_window_view(rows.astype(np.float32), size, axis=0).transpose(0, 2, 1).copy()


def _data(windows: np.ndarray) -> Data:
    places = np.arange(len(windows))
    return Data(windows, places[:250], places[250:], places * SECOND, NAMES)


def test_a_smoothed_score_is_the_mean_of_the_scores_of_the_parts() -> None:
    windows = _windows()
    whole = fit_model(_pca(4), _data(windows), Effort(1, 1)).scorer
    inner = whole.inner
    given = torch.from_numpy(windows)
    with torch.no_grad():
        score, errors, expected = whole(given)
        parts = [inner(given[:, start : start + 7]) for start in range(4)]
    torch.testing.assert_close(score, torch.stack([part[0] for part in parts]).mean(0))
    torch.testing.assert_close(errors, torch.stack([part[1] for part in parts]).mean(0))
    torch.testing.assert_close(expected, parts[-1][2])


def test_a_window_that_smoothing_leaves_nothing_of_is_refused_with_a_sentence() -> None:
    with pytest.raises(FittingError, match="Choose a window of at least smoothing"):
        fit_model(_pca(10), _data(_windows()), Effort(1, 1))


def test_every_window_of_a_short_history_has_a_score_by_a_model_that_has_not_seen_it() -> None:
    windows = _windows()
    windows[80:85] += 50  # odd readings that a model which had seen them would take for usual
    sample = Sample(windows, np.zeros(len(windows), np.int64), np.arange(len(windows)) * SECOND, complete=True)
    assert blocks.applies(_pca(1), sample)
    _, scores = blocks.fit_by_blocks(_pca(1), sample, tuple(Feature(name=name) for name in NAMES), 9 * SECOND, Effort(1, 1))
    assert np.isfinite(scores).all()
    assert scores[80:85].min() > scores[np.r_[0:80, 85:300]].max()


def test_a_long_history_or_a_kind_that_takes_long_to_fit_is_not_held_out_in_blocks() -> None:
    long = Sample(np.zeros((2000, 2, 1), np.float32), np.zeros(2000, np.int64), np.arange(2000), complete=True)
    short = Sample(long.values[:100], long.slots[:100], long.times[:100], complete=True)
    assert not blocks.applies(_pca(1), long)
    assert not blocks.applies(ModelKind.model_validate({"autoencoder": {}}), short)
