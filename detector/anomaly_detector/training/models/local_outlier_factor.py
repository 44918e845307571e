"""Local outlier factor (Breunig et al. 2000) of a window among training windows, as a novelty detector.

Windows are compared by their principal components, and by how far they lie beside them. A feature's error is the squared
distance from the mean of the nearest training windows, whose newest reading is what was expected.
"""

from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from anomaly_api.kinds import FeatureErrors, LocalOutlierFactor
from anomaly_detector.training.models.kind import CHUNK, Data, Effort, Fitted, FittingError, Scorer
from anomaly_detector.training.models.pca import components_of
from anomaly_detector.training.models.reconstruction import WindowScorer
from anomaly_detector.training.models.scaling import Scaling

_VARIANCE: Final = 0.95
_COMPONENTS: Final = 24
_LEAST_DISTANCE: Final = 1e-3


class NeighbourScorer(Scorer):
    """Compares windows with those that it keeps. Distances are taken in float64: they are differences of large numbers."""

    mean: torch.Tensor
    components: torch.Tensor
    kept: torch.Tensor
    reach: torch.Tensor
    density: torch.Tensor

    def __init__(self, size: int, scaling: Scaling, mean: NDArray[np.float64], components: NDArray[np.float64]) -> None:
        super().__init__(size, scaling)
        self.neighbours = 0
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32))
        self.register_buffer("components", torch.tensor(components, dtype=torch.float32))

    def codes(self, scaled: torch.Tensor) -> torch.Tensor:
        """[n, components + 1] Components, and the distance from them."""
        moved = scaled - self.mean
        code = moved @ self.components
        beside = moved - code @ self.components.T
        distance = ((beside * beside) @ torch.ones(beside.shape[1], 1)).sqrt()
        return torch.cat([code, distance], dim=1)

    def keep(self, kept: torch.Tensor, neighbours: int) -> None:
        """`kept` [m, components + 1]: codes of training windows."""
        self.neighbours = neighbours
        self.register_buffer("kept", kept)
        distances = self._distances(kept)
        distances.fill_diagonal_(torch.inf)
        nearest, places = torch.topk(distances, neighbours, largest=False)
        self.register_buffer("reach", nearest[:, -1].float())
        reached = torch.maximum(nearest, self.reach.double()[places])
        self.register_buffer("density", (1 / reached.mean(dim=1).clamp_min(_LEAST_DISTANCE)).float())

    def _distances(self, codes: torch.Tensor) -> torch.Tensor:
        """[n, m] Distances from the kept windows, float64."""
        here, there = codes.double(), self.kept.double()
        ones = torch.ones(here.shape[1], 1, dtype=torch.float64)
        squared = (here * here) @ ones + ((there * there) @ ones).T - 2 * (here @ there.T)
        return torch.relu(squared).sqrt()

    def forward(self, windows: torch.Tensor) -> tuple[torch.Tensor, ...]:
        scaled = self.scaled(windows)
        codes = self.codes(scaled)
        nearest, places = torch.topk(self._distances(codes), self.neighbours, largest=False)
        share = torch.full((self.neighbours, 1), 1.0 / self.neighbours, dtype=torch.float64)
        reached = torch.maximum(nearest, self.reach[places].double()) @ share
        factor = (self.density[places].double() @ share) * reached
        # the mean of the nearest ones: how often each kept window is among them, times their codes
        usual = self.kept[places][:, :, :-1].mean(dim=1)
        rebuilt = usual @ self.components.T + self.mean
        error = scaled - rebuilt
        expected = self.own(rebuilt[:, -self.features :])
        return factor.squeeze(1).float(), (error * error) @ (self.pick / self.size), expected


class LocalOutlierFactorKind:
    """Keeps training windows and their densities."""

    def fit(self, settings: LocalOutlierFactor, data: Data, effort: Effort) -> Fitted:
        """Raises FittingError when there are no more windows than neighbours."""
        width = data.size * data.width
        most = max(1, min(_COMPONENTS, effort.parameters // (4 * width)))
        scaling = data.scaling()
        plain = WindowScorer(data.size, scaling, torch.nn.Identity(), FeatureErrors())
        mean, components = components_of(data, plain, _VARIANCE, most * width)
        references = min(settings.references, len(data.train), max(100, effort.parameters // (2 * (components.shape[1] + 1))))
        if references <= settings.neighbours:
            raise FittingError(
                f"localOutlierFactor compares with {settings.neighbours} neighbours and there are {len(data.train)} windows to "
                "learn from: give more data or set neighbours lower"
            )
        scorer = NeighbourScorer(data.size, scaling, mean, components)
        places = data.train[np.linspace(0, len(data.train) - 1, references).round().astype(np.int64)]
        with torch.no_grad():
            parts = [scorer.codes(scorer.scaled(chunk).clamp(-CHUNK, CHUNK)) for chunk in data.chunks(places)]
            scorer.keep(torch.cat(parts), settings.neighbours)
        effort.progress(1.0)
        return Fitted(scorer.eval(), {"neighbours": settings.neighbours, "references": references})
