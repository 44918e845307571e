"""The autoencoder, in all architectures: networks that learn to reproduce normal windows through a bottleneck."""

import math
from collections.abc import Callable, Sequence
from typing import Final

import torch

from anomaly_api.kinds import Architecture, Autoencoder
from anomaly_detector.training.models.dense import Denoising, Dense, Sparse, Variational, derived_layers
from anomaly_detector.training.models.descent import Network, fit_network
from anomaly_detector.training.models.kind import Data, Effort, Fitted, FittingError
from anomaly_detector.training.models.pca import Components, components_of
from anomaly_detector.training.models.reconstruction import WindowScorer
from anomaly_detector.training.models.sequence import LONGEST_UNROLLED, Convolutional, Lstm, Tcn, Transformer

_VARIANCE: Final = 0.95
"""That the components beside the layers carry."""
_NETWORKS: Final[dict[Architecture, Callable[[int, int, Sequence[int]], Network]]] = {
    Architecture.DENSE: lambda size, features, layers: Dense(size * features, layers),
    Architecture.DENOISING: lambda size, features, layers: Denoising(size * features, layers),
    Architecture.SPARSE: lambda size, features, layers: Sparse(size * features, layers),
    Architecture.VARIATIONAL: lambda size, features, layers: Variational(size * features, layers),
    Architecture.CONVOLUTIONAL: Convolutional,
    Architecture.LSTM: Lstm,
    Architecture.TCN: Tcn,
    Architecture.TRANSFORMER: Transformer,
}


class AutoencoderKind:
    """Fits an autoencoder."""

    def fit(self, settings: Autoencoder, data: Data, effort: Effort) -> Fitted:
        """Raises FittingError when the architecture cannot have such windows, or the loss is not a number."""
        if settings.architecture is Architecture.LSTM and data.size > LONGEST_UNROLLED:
            raise FittingError(
                f"an autoencoder of architecture Lstm takes windows of at most {LONGEST_UNROLLED} readings and this one has "
                f"{data.size}: choose Tcn or Convolutional, or a smaller window"
            )
        layers = settings.layers or layers_for(settings.architecture, data.size, data.width, effort.graphs)
        torch.manual_seed(effort.seed)
        network = _NETWORKS[settings.architecture](data.size, data.width, layers)
        scorer = WindowScorer(data.size, data.scaling(), network, settings.errors)
        if isinstance(network, Dense):
            numbers = sum(parameter.numel() for parameter in network.parameters())
            room = max(effort.parameters - numbers, 0) // 2  # the graph holds them twice: into the components and out of them
            network.begin(Components(*components_of(data, scorer, _VARIANCE, room)))
        fitted = fit_network(scorer, network, data, effort)
        said = {"architecture": settings.architecture.value, "layers": layers}
        return Fitted(fitted.scorer, said, fitted.epochs, fitted.history)


def layers_for(architecture: Architecture, size: int, features: int, graphs: int = 1) -> list[int]:
    """Widths from the first layer to the bottleneck, where the user names none.

    >>> [layers_for(Architecture(name), 12, 6) for name in ("Dense", "Sparse", "Convolutional", "Lstm", "Tcn", "Transformer")]
    [[64, 32, 8], [64, 32, 16], [32, 2], [32], [32], [16, 8]]
    """
    dense = derived_layers(size, features, graphs)
    wide = 1 << min(6, 3 + math.ceil(math.log2(features + 1)) - 1)
    if architecture is Architecture.SPARSE:
        return [*dense[:-1], 2 * dense[-1]] if len(dense) > 1 else dense
    if architecture is Architecture.CONVOLUTIONAL:
        return [wide, max(1, round(features / 3))]
    if architecture in (Architecture.LSTM, Architecture.TCN):
        return [wide]
    if architecture is Architecture.TRANSFORMER:
        return [min(16, wide), dense[-1]]
    return dense
