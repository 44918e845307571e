"""The models that a new one is compared with: the one in use, and a principal component analysis of the same data."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

import fsspec
import numpy as np
from numpy.typing import NDArray

from anomaly_api.assignment import StableModel
from anomaly_api.kinds import Pca
from anomaly_api.learning import ModelKind
from anomaly_api.meta import MODEL_FILE, STABLE_FOLDER
from anomaly_api.revision import mismatch
from anomaly_api.source import Pipeline
from anomaly_detector.core.scoring.artifact import MAX_ARCHIVE_BYTES, ArtifactError, ModelArtifact, unpack
from anomaly_detector.training.export import Graph
from anomaly_detector.training.failures import TrainingError
from anomaly_detector.training.models.kind import Data, Effort, FittingError
from anomaly_detector.training.models.kinds import fit_model
from anomaly_detector.training.store import reachable

STABLE_ENV: Final = "ANOMALY_STABLE_FOLDER"
"""Overrides where the model in use is mounted, for tests."""
Scores = Callable[[NDArray[np.float32], NDArray[np.int64]], NDArray[np.float64]]
"""From windows [n, size, features] and times [n], microseconds, to scores [n]."""
_MOST_WINDOWS: Final = 20_000
"""That a PCA is made of; evenly chosen."""


class UnavailableError(Exception):
    """A model that cannot be compared with; the message says why."""


def load_stable(stable: StableModel, pipeline: Pipeline) -> ModelArtifact:
    """The model in use, verified. Raises UnavailableError."""
    try:
        with fsspec.open(_place(stable), "rb") as opened:
            archive = opened.read(MAX_ARCHIVE_BYTES + 1)
        artifact = unpack(archive, stable.digest)
    except (OSError, ValueError, ImportError, ArtifactError, TrainingError) as error:
        said = (str(error).splitlines() or [type(error).__name__])[0]
        raise UnavailableError(f"AnomalyModel {stable.name} was not compared: it cannot be read ({said})") from error
    differs = mismatch(pipeline, artifact.manifest.interface)
    if differs:
        raise UnavailableError(f"AnomalyModel {stable.name} was not compared: {differs}")
    return artifact


def stable_scores(artifact: ModelArtifact, window: str) -> Scores:
    """How the model in use scores a window. Raises UnavailableError."""
    try:
        return Graph(artifact.graphs[window]).scores
    except (RuntimeError, ValueError, KeyError) as error:
        raise UnavailableError(f"the model in use was not compared: its graph does not load ({error})") from error


def pca_scores(data: Data, seed: int) -> Scores:
    """How a PCA of what was learned from scores a window. Raises UnavailableError."""
    import torch

    some = data.train[:: max(1, len(data.train) // _MOST_WINDOWS)]
    part = replace(data, train=some)
    try:
        scorer = fit_model(ModelKind(pca=Pca()), part, Effort(epochs=1, seed=seed)).scorer
    except FittingError as error:
        raise UnavailableError(f"a PCA was not compared: {error}") from error

    def scores(windows: NDArray[np.float32], times: NDArray[np.int64]) -> NDArray[np.float64]:
        with torch.no_grad():
            whole = Data(windows, np.empty(0, np.int64), np.empty(0, np.int64), times)
            found = [scorer(chunk)[0].numpy() for chunk in whole.chunks(np.arange(len(windows)))]
        return np.concatenate(found).astype(np.float64) if found else np.empty(0)

    return scores


def _place(stable: StableModel) -> str:
    if stable.artifact.uri is not None:
        return reachable(stable.artifact.uri.url)
    return str(Path(os.environ.get(STABLE_ENV, STABLE_FOLDER)) / MODEL_FILE)
