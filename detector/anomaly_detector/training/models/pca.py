"""Principal component analysis of the flat window: what its first components cannot reproduce is unusual.

The squared error of a window is its Q statistic (Jackson and Mudholkar 1979), here by feature and in units of what is usual.
"""

from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from anomaly_api.kinds import Pca
from anomaly_detector.training.models.descent import Network
from anomaly_detector.training.models.kind import Data, Effort, Fitted, FittingError
from anomaly_detector.training.models.reconstruction import WindowScorer

_WIDEST: Final = 1024
"""Numbers in a window up to which its covariance is taken; beyond, the components come from `_ROWS` windows."""
_ROWS: Final = 1024
_CHUNK: Final = 8192


class Components(Network):
    """Projects windows onto components."""

    mean: torch.Tensor
    components: torch.Tensor

    def __init__(self, mean: NDArray[np.float64], components: NDArray[np.float64]) -> None:
        """`mean` [d], `components` [d, k]."""
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32))
        self.register_buffer("components", torch.tensor(components, dtype=torch.float32))

    def forward(self, flat: torch.Tensor) -> torch.Tensor:
        return (flat - self.mean) @ self.components @ self.components.T + self.mean


class PcaKind:
    """Fits a principal component analysis."""

    def fit(self, settings: Pca, data: Data, effort: Effort) -> Fitted:
        """Raises FittingError when there is nothing that varies, or values are not numbers."""
        scaling = data.scaling()
        scorer = WindowScorer(data.size, scaling, torch.nn.Identity(), settings.errors)
        mean, components = components_of(data, scorer, settings.variance_percent / 100, effort.parameters)
        scorer.network = Components(mean, components)
        effort.progress(1.0)
        return Fitted(scorer.settle(data), {"components": components.shape[1]})


def components_of(
    data: Data, scorer: WindowScorer, variance: float, most_numbers: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean [d] and the components [d, k] that carry this share of the variance, at most as many as the archive has room for."""
    shown = data.shown(scorer, data.train).numpy()
    if not np.isfinite(shown).all():
        raise FittingError("some readings are not finite: the readings are beyond what float32 holds")
    width = shown.shape[1]
    mean = shown.mean(axis=0, dtype=np.float64)
    if width <= _WIDEST:
        covariance = np.zeros((width, width))
        for start in range(0, len(shown), _CHUNK):
            part = shown[start : start + _CHUNK] - mean
            covariance += part.T @ part
        values, vectors = np.linalg.eigh(covariance)
        values, vectors = values[::-1], vectors[:, ::-1]
    else:
        some = shown[:: max(1, len(shown) // _ROWS)][:_ROWS] - mean
        values, left = np.linalg.eigh(some @ some.T)
        values, left = values[::-1], left[:, ::-1]
        kept = values > 1e-9 * max(values[0], 1e-300)
        values, vectors = values[kept], some.T @ left[:, kept] / np.sqrt(values[kept])
    shares = np.cumsum(np.maximum(values, 0)) / max(np.maximum(values, 0).sum(), 1e-300)
    count = int(np.searchsorted(shares, variance) + 1)
    count = max(1, min(count, width - 1, vectors.shape[1], most_numbers // width))
    chosen = vectors[:, :count]
    signs = np.sign(chosen[np.abs(chosen).argmax(axis=0), np.arange(count)])  # eigenvectors have no sign of their own
    return mean, chosen * signs
