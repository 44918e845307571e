"""Fitting a network by gradient descent: deterministic for a seed, one thread, early stopping. It knows no files and no Kafka."""

from typing import Final

import numpy as np
import torch
import torch._dynamo  # the optimiser and the exporter load it on first use, which takes seconds that are none of the fitting's
from torch import nn

from anomaly_detector.training.models.kind import CHUNK, INPUT_LIMIT, Data, Effort, Fitted, FittingError
from anomaly_detector.training.models.reconstruction import WindowScorer

_LARGEST_BATCH: Final = 256
_SMALLEST_BATCH: Final = 16
_STEPS: Final = 48
"""Of the optimiser, in an epoch, at least; little data is taken in smaller batches, or it would be left before it is learned."""
_RATE: Final = 3e-3
_PATIENCE: Final = 6
_WORTHWHILE: Final = 0.002
_NOISE: Final = 0.2
"""Added to what the network is shown, in standard deviations of a feature: it learns what belongs together, not to copy."""


class Network(nn.Module):
    """From flat scaled windows [n, size * features] to the same as the network would have them."""

    def forward(self, flat: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError

    def loss(self, batch: torch.Tensor, chance: torch.Generator) -> torch.Tensor:
        """What descent makes small: the error after noise was added."""
        noisy = batch + _NOISE * torch.randn(batch.shape, generator=chance, device=batch.device)
        return squared_error(self(noisy), batch)


def squared_error(found: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """Mean over everything."""
    return (found - wanted).square().mean()


def fit_network(scorer: WindowScorer, network: Network, data: Data, effort: Effort) -> Fitted:
    """Fits the scorer's network to the windows that are learned from; the weights that do best on the newer ones are kept.

    Raises FittingError when the loss is not a number.
    """
    learned, checked = data.shown(scorer, data.train), data.shown(scorer, data.validation)
    network.to(effort.device)
    history = _descend(network, learned.to(effort.device), checked.to(effort.device), effort)
    network.to("cpu")
    return Fitted(scorer=scorer.settle(data), settings={}, epochs=len(history), history=history)


def _descend(network: Network, learned: torch.Tensor, checked: torch.Tensor, effort: Effort) -> list[tuple[float, float]]:
    """Adam over slices of one shuffled tensor until the validation loss no longer falls; the best weights are kept.

    Returns loss and validation loss of each epoch.
    """
    chance = torch.Generator(effort.device).manual_seed(effort.seed)
    optimiser = torch.optim.Adam(network.parameters(), lr=_RATE, fused=True)
    calm = torch.optim.lr_scheduler.ReduceLROnPlateau(optimiser, factor=0.3, patience=2, threshold=_WORTHWHILE)
    best, best_epoch = _error(network, checked), 0
    kept = {name: value.clone() for name, value in network.state_dict().items()}
    size = min(_LARGEST_BATCH, max(_SMALLEST_BATCH, len(learned) // _STEPS))
    history = list[tuple[float, float]]()
    for epoch in range(1, effort.epochs + 1):
        order = torch.randperm(len(learned), generator=chance, device=learned.device)
        total = torch.zeros((), device=learned.device)
        network.train()
        for start in range(0, len(learned), size):
            loss = network.loss(learned[order[start : start + size]], chance)
            optimiser.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            optimiser.step()
            total += loss.detach() * min(size, len(learned) - start)
        current = _error(network, checked)
        if not np.isfinite(current):
            raise FittingError(f"the loss became {current} in epoch {epoch}: the readings are beyond what float32 holds")
        if current < best * (1 - _WORTHWHILE):
            best_epoch = epoch
        if current < best:
            best = current
            kept = {name: value.clone() for name, value in network.state_dict().items()}
        history.append((float(total) / len(learned), current))
        calm.step(current)
        effort.progress(epoch / effort.epochs)
        if epoch - best_epoch >= _PATIENCE:
            break
    network.load_state_dict(kept)
    network.eval()
    return history


def _error(network: Network, checked: torch.Tensor) -> float:
    """Mean squared error, some windows at a time."""
    network.eval()
    total = 0.0
    with torch.no_grad():
        for start in range(0, len(checked), CHUNK):
            chunk = checked[start : start + CHUNK]
            total += float((network(chunk.clamp(-INPUT_LIMIT, INPUT_LIMIT)) - chunk).square().sum())
    return total / checked.numel()
