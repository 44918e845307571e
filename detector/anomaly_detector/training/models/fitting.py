"""Fitting a network to windows: deterministic for a seed, one thread, early stopping. It knows no files and no Kafka."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
import torch._dynamo  # the optimiser and the exporter load it on first use, which takes seconds that are none of the fitting's
from numpy.typing import NDArray

from anomaly_detector.training.models.autoencoder import INPUT_LIMIT, WindowScorer
from anomaly_detector.training.models.scaling import robust_scaling

_LARGEST_BATCH: Final = 256
_SMALLEST_BATCH: Final = 16
_STEPS: Final = 48
"""Of the optimiser, in an epoch, at least; little data is taken in smaller batches, or it would be left before it is learned."""
_RATE: Final = 3e-3
_PATIENCE: Final = 6
_WORTHWHILE: Final = 0.002
_NOISE: Final = 0.2
"""Added to what the network is shown, in standard deviations of a feature: it learns what belongs together, not to copy."""
_RESIDUAL_FLOOR: Final = 1e-3
_ORDINARY: Final = 0.995


class FittingError(Exception):
    """The network could not be fitted; the message says what to do."""


@dataclass(frozen=True)
class Plan:
    """How to fit."""

    layers: list[int]
    epochs: int
    seed: int


@dataclass(frozen=True)
class Fitted:
    """A network that is done."""

    scorer: WindowScorer
    constant: NDArray[np.bool_]
    epochs: int
    seconds: float


def fit(train: NDArray[np.float32], validation: NDArray[np.float32], plan: Plan, progress: Callable[[float], None]) -> Fitted:
    """An autoencoder of `train` [n, size, features] that does best on `validation`, which is newer.

    `progress` is told the share done, after each epoch. Raises FittingError when the loss is not a number.
    """
    started = time.monotonic()
    torch.manual_seed(plan.seed)
    scaling = robust_scaling(train.reshape(-1, train.shape[2]))
    scorer = WindowScorer(train.shape[1], scaling, plan.layers)
    with torch.no_grad():
        learned = scorer.scaled(torch.from_numpy(train)).flatten(1).clamp_(-INPUT_LIMIT, INPUT_LIMIT)
        checked = scorer.scaled(torch.from_numpy(validation)).flatten(1).clamp_(-INPUT_LIMIT, INPUT_LIMIT)
    epochs = _descend(scorer, learned, checked, plan, progress)
    with torch.no_grad():
        scorer.weight.copy_(_weights(scorer, checked))
    return Fitted(scorer=scorer.eval(), constant=scaling.constant, epochs=epochs, seconds=time.monotonic() - started)


def _descend(
    scorer: WindowScorer, learned: torch.Tensor, checked: torch.Tensor, plan: Plan, progress: Callable[[float], None]
) -> int:
    """Adam over slices of one shuffled tensor until the validation loss no longer falls; the best weights are kept."""
    shuffle = torch.Generator().manual_seed(plan.seed)
    optimiser = torch.optim.Adam(scorer.network.parameters(), lr=_RATE, fused=True)
    calm = torch.optim.lr_scheduler.ReduceLROnPlateau(optimiser, factor=0.3, patience=2, threshold=_WORTHWHILE)
    best, best_epoch = float("inf"), 0
    kept = {name: value.clone() for name, value in scorer.network.state_dict().items()}
    size = min(_LARGEST_BATCH, max(_SMALLEST_BATCH, len(learned) // _STEPS))
    epoch = 0
    for epoch in range(1, plan.epochs + 1):
        order = torch.randperm(len(learned), generator=shuffle)
        for start in range(0, len(learned), size):
            batch = learned[order[start : start + size]]
            noisy = batch + _NOISE * torch.randn(batch.shape, generator=shuffle)
            loss = (scorer.network(noisy) - batch).square().mean()
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
        with torch.no_grad():
            current = float((scorer.reconstruct(checked) - checked).square().mean())
        if not np.isfinite(current):
            raise FittingError(f"the loss became {current} in epoch {epoch}: the readings are beyond what float32 holds")
        if current < best * (1 - _WORTHWHILE):
            best_epoch = epoch
        if current < best:
            best = current
            kept = {name: value.clone() for name, value in scorer.network.state_dict().items()}
        calm.step(current)
        progress(epoch / plan.epochs)
        if epoch - best_epoch >= _PATIENCE:
            break
    scorer.network.load_state_dict(kept)
    return epoch


def _weights(scorer: WindowScorer, checked: torch.Tensor) -> torch.Tensor:
    """One over the usual squared error of each feature, so that one which the others predict well speaks louder."""
    errors = (scorer.reconstruct(checked) - checked).square().reshape(-1, scorer.size, scorer.features).mean(dim=1)
    ordinary = torch.from_numpy(np.quantile(errors.numpy(), _ORDINARY, axis=0))  # torch's refuses large tensors
    usual = errors.minimum(ordinary).mean(dim=0)  # anomalies among them would make it deaf
    return 1.0 / usual.clamp_min(_RESIDUAL_FLOOR)
