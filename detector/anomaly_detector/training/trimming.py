"""Leaves the strangest windows out of what is learned from: a history has anomalies in it, and a model that learned one is blind
to it.

A first short fit, a principal component analysis, scores all windows; those far beyond the others leave, at most a given share,
and a second one without them scores all again (the concentration steps of Rousseeuw and Van Driessen 2006).
Only what is far out leaves: of clean data nothing does, and the tail that thresholds come from stays what it is.
"""

from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from anomaly_api.kinds import Pca
from anomaly_api.learning import ModelKind
from anomaly_detector.training.models.kind import Data, Effort, FittingError
from anomaly_detector.training.models.kinds import fit_model

_ROUNDS: Final = 2
_FAR: Final = 5.0
"""Standard deviations of the logarithm of the score above its median, as the upper half of the scores has them."""
_UPPER, _UPPER_AT = 0.9, 1.2816
"""Quantile that the upper half's standard deviation is taken from, and where a normal distribution has it: anomalies in less than
a tenth of the windows do not move it much."""
_MOST_WINDOWS: Final = 20_000
"""That a principal component analysis is made of; evenly chosen."""
_LEAST: Final = 0.01
"""Unit of a feature's error, as a share of the largest unit: one that hardly ever errs must not decide alone."""
_FIRST: Final = ModelKind(pca=Pca())
_KINDS: Final = ("autoencoder", "pca", "isolationForest", "localOutlierFactor", "ensemble")
"""Kinds that are hurt by anomalies in their history. Medians by the hour are not."""


def trimmed(model: ModelKind, data: Data, percent: float, seed: int) -> tuple[Data, int]:
    """`data` without the strangest windows, at most `percent` of those learned from, and how many have left."""
    if percent <= 0 or model.kind not in _KINDS or len(data.train) < 100:
        return data, 0
    kept = data.train
    try:
        for _ in range(_ROUNDS):
            kept = data.train[~_strange(_scores(data, kept, data.train, seed), percent / 100)]
        scores = _scores(data, kept, data.validation, seed)
    except FittingError:
        return data, 0  # the kind itself will say what is wrong with the data
    checked = data.validation[~_strange(scores, percent / 100)]
    return replace(data, train=kept, validation=checked), len(data.train) - len(kept) + len(data.validation) - len(checked)


def _scores(data: Data, learned: NDArray[np.int64], scored: NDArray[np.int64], seed: int) -> NDArray[np.float64]:
    """[n] Mean of the features' errors, each in units of its median: what is usual must not be set by what is strange."""
    some = learned[:: max(1, len(learned) // _MOST_WINDOWS)]
    scorer = fit_model(_FIRST, replace(data, train=some), Effort(epochs=1, seed=seed)).scorer
    usual = np.median(data.outputs(scorer, some, 1).astype(np.float64), axis=0)
    errors = data.outputs(scorer, scored, 1).astype(np.float64)
    scores: NDArray[np.float64] = (errors / np.maximum(usual, max(_LEAST * float(usual.max(initial=0.0)), 1e-12))).mean(axis=1)
    return scores


def _strange(scores: NDArray[np.float64], share: float) -> NDArray[np.bool_]:
    """[n] The highest scores, at most this share of them, that are far out."""
    logs = np.log(np.maximum(scores, 1e-12))
    middle = float(np.median(logs))
    spread = max((float(np.quantile(logs, _UPPER)) - middle) / _UPPER_AT, 0.05)
    most = int(share * len(scores))
    strange = np.zeros(len(scores), np.bool_)
    highest = np.argsort(-logs, kind="stable")[:most]
    strange[highest[logs[highest] > middle + _FAR * spread]] = True
    return strange
