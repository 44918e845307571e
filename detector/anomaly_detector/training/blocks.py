"""Held-out scores of a short history, block by block: every window is scored by a model that has not seen it.

    |  held out  |gap|        learned from        |     and so on, until each of four blocks was held out;
    |  learned   |gap|  held out  |gap|  learned  |     the model that stays learns from all of them

Of a history of some hundred windows, a newest fifth would leave too little to learn from, and would be too little to know the
tail of the scores by. Four fits in place of one cost nothing where a fit takes a moment.
"""

from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from anomaly_api.learning import ModelKind
from anomaly_api.source import Feature
from anomaly_detector.training.data.samples import Sample
from anomaly_detector.training.models.kind import Data, Effort, Fitted
from anomaly_detector.training.models.kinds import fit_model

BLOCKS: Final = 4
_ENOUGH: Final = 2000
"""Windows, from which on the newest part alone is held out."""
_FEWEST: Final = 40


def applies(model: ModelKind, sample: Sample) -> bool:
    """Whether a history is short, and the kind quick to fit."""
    return model.pca is not None and sample.complete and _FEWEST <= len(sample) < _ENOUGH


def readings_scored_together(model: ModelKind, size: int) -> int:
    """Readings of a part, where the score of a window of `size` is the mean over its parts."""
    assert model.pca is not None, "blocks are for this kind"
    return size - model.pca.errors.smoothing + 1


def fit_by_blocks(
    model: ModelKind, sample: Sample, features: tuple[Feature, ...], overlap: int, effort: Effort
) -> tuple[Fitted, NDArray[np.float64]]:
    """The model of all windows, and [n] the score of each by a model of the other blocks.

    `overlap`: time that is scored together, microseconds; windows nearer than that to a block are not learned from. Of smoothed
    scores the whole window would leave too little to learn from. Raises FittingError.
    """
    borders = np.quantile(sample.times, np.linspace(0, 1, BLOCKS + 1), method="lower")
    borders[-1] += 1
    scores, names = np.full(len(sample), np.nan), tuple(each.name for each in features)
    for first, last in pairwise(borders.tolist()):
        held_out = np.flatnonzero((sample.times >= first) & (sample.times < last))
        away = np.flatnonzero((sample.times < first - overlap) | (sample.times >= last + overlap))
        if len(held_out) and len(away) > 1:
            part = Data(sample.values, away, away, sample.times, names, features, model.time)
            scores[held_out] = part.outputs(fit_model(model, part, effort).scorer, held_out, 0)
    every = np.arange(len(sample))
    return fit_model(model, Data(sample.values, every, every, sample.times, names, features, model.time), effort), scores
