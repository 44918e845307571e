"""What a kind of model is: it fits windows, and what it fitted is a torch module that scores windows in the readings' own units.

A kind is one file in this folder and one line in `kinds.py`. Its scorer becomes the ONNX graph that the detector runs, scaling
and normalisation inside, so whatever a kind does must be written with operations that ONNX has.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Generic, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from anomaly_api.kinds import TimeInputs
from anomaly_api.schema import Contract
from anomaly_api.source import Feature
from anomaly_detector.training.models.judging import Judging
from anomaly_detector.training.models.scaling import Scaling, robust_scaling
from anomaly_detector.training.models.shaping import Shaping

INPUT_LIMIT: Final = 6.0
"""What a model is shown of a scaled value, on both sides; the error is taken from the whole value."""
_ERROR_LIMIT: Final = 1e9
"""Scaled values are cut back to this, so that squares of finite readings stay finite in float32."""
CHUNK: Final = 4096
PARAMETERS: Final = 200_000
"""Numbers in the graphs of all windows together, at most: what fits into a ConfigMap."""
Settings = TypeVar("Settings", bound=Contract, contravariant=True)


class FittingError(Exception):
    """The model could not be fitted; the message says what to do."""


@dataclass(frozen=True)
class Data:
    """Windows to learn from. They are held once; parts of them are places, not copies."""

    values: NDArray[np.float32]
    """[windows, size, features]"""
    train: NDArray[np.int64]
    """[n] Places of the windows that are learned from."""
    validation: NDArray[np.int64]
    """[m] Places of newer windows, by which a kind knows when to stop."""
    times: NDArray[np.int64]
    """[windows] Event time of the newest reading, microseconds."""
    features: tuple[str, ...] = ()
    """Their names."""
    asked: tuple[Feature, ...] = ()
    """What the spec says of them; empty: nothing."""
    clock: TimeInputs | None = None
    """The inputs that say what time it is; None: there are none."""

    @property
    def size(self) -> int:
        """Readings in a window."""
        return int(self.values.shape[1])

    @property
    def width(self) -> int:
        """Features."""
        return int(self.values.shape[2])

    def scaling(self) -> Scaling:
        """Centre and range of each feature over the windows that are learned from."""
        return robust_scaling(self.values, self.train, self.asked)

    def chunks(self, places: NDArray[np.int64]) -> Iterator[torch.Tensor]:
        """These windows, some at a time: [k, size, features]."""
        for start in range(0, len(places), CHUNK):
            yield torch.from_numpy(self.values[places[start : start + CHUNK]])

    def _times(self, places: NDArray[np.int64]) -> Iterator[torch.Tensor]:
        """Their times, some at a time."""
        for start in range(0, len(places), CHUNK):
            yield torch.from_numpy(self.times[places[start : start + CHUNK]])

    def shown(self, scorer: "Scorer", places: NDArray[np.int64]) -> torch.Tensor:
        """[n, size * features] These windows as a model is shown them: scaled, flat, cut back."""
        found = torch.empty((len(places), self.size * self.width))
        start = 0
        with torch.no_grad():
            for chunk in self.chunks(places):
                found[start : start + len(chunk)] = scorer.scaled(chunk)
                start += len(chunk)
        return found.clamp_(-INPUT_LIMIT, INPUT_LIMIT)

    def outputs(self, scorer: "Scorer", places: NDArray[np.int64], place: int) -> NDArray[np.float32]:
        """One of the scorer's outputs for these windows."""
        with torch.no_grad():
            parts = [
                (scorer(chunk, times) if scorer.timed else scorer(chunk))[place].numpy()
                for chunk, times in zip(self.chunks(places), self._times(places), strict=True)
            ]
        return np.concatenate(parts)


@dataclass(frozen=True)
class Effort:
    """How much may be done."""

    epochs: int
    seed: int
    graphs: int = 1
    """Graphs in the archive, which share what it may hold."""
    progress: Callable[[float], None] = field(default=lambda _: None)
    """Told the share done."""

    device: str = "cpu"
    """Where networks are fitted, as torch calls it."""

    @property
    def parameters(self) -> int:
        """Numbers in one graph, at most."""
        return PARAMETERS // self.graphs


class Scorer(nn.Module):
    """From windows [n, size, features] in the readings' own units to score [n], feature errors [n, features] and, where the kind
    has it, the expected newest reading [n, features]; see `core.scoring.artifact`.
    """

    center: torch.Tensor
    scale: torch.Tensor
    pick: torch.Tensor
    share: torch.Tensor
    spread: torch.Tensor
    expects: bool = True
    """Whether there is an expected reading."""
    timed: bool = False
    """Whether the graph has the windows' times [n] as a second input."""

    def __init__(self, size: int, scaling: Scaling) -> None:
        super().__init__()
        features = len(scaling.center)
        self.size, self.features = size, features
        self.register_buffer("center", torch.tensor(scaling.center, dtype=torch.float32))
        self.register_buffer("scale", torch.tensor(scaling.scale, dtype=torch.float32))
        self.register_buffer("spread", torch.tensor(scaling.scale if scaling.spread is None else scaling.spread).float())
        self.shaping = Shaping(scaling.shape) if scaling.shape is not None else None
        self.judging = Judging(scaling.judged) if scaling.judged is not None else None
        self.register_buffer("share", torch.full((features, 1), 1 / features) if self.judging is None else self.judging.share)
        self.register_buffer("pick", torch.eye(features).repeat(size, 1))

    def scaled(self, windows: torch.Tensor) -> torch.Tensor:
        """Windows [n, size, features] in units of each feature's range, flat: [n, size * features]."""
        # flat from the first step on: ONNX Runtime is ten times slower where a short row is broadcast
        center, scale = self.center.repeat(self.size), self.scale.repeat(self.size)
        flat = windows.flatten(1) if self.shaping is None else self.shaping(windows.flatten(1))
        return ((flat - center) / scale).clamp(-_ERROR_LIMIT, _ERROR_LIMIT)

    def own(self, scaled: torch.Tensor) -> torch.Tensor:
        """Scaled readings [n, features] in their own units."""
        # one Gemm: where a short row is multiplied and added, ONNX Runtime takes three times as long
        found = nn.functional.linear(scaled, self.pick[: self.features] * self.scale, self.center)
        return found if self.shaping is None else self.shaping.back(found)

    def counted(self, scaled: torch.Tensor, rebuilt: torch.Tensor) -> torch.Tensor:
        """Errors [n, k * features] of scaled readings beside what was expected, 0 where one does not count."""
        error = scaled - rebuilt
        if self.judging is None:
            return error
        deviation = None
        if self.judging.bounded:
            width = scaled.shape[1]
            here, there = (self.own(each.reshape(-1, self.features)).reshape(-1, width) for each in (scaled, rebuilt))
            deviation = here - there
        return self.judging.counted(error, deviation)


@dataclass(frozen=True)
class Fitted:
    """A model that is done."""

    scorer: Scorer
    settings: dict[str, Any]
    """What was settled where the user left it open, such as widths of layers; by the names of the API."""
    epochs: int = 0
    """Passes over the data; 0 where a kind needs none."""
    history: Sequence[tuple[float, float]] = ()
    """Loss and validation loss of each pass."""


class Kind(Protocol, Generic[Settings]):
    """A kind of model."""

    def fit(self, settings: Settings, data: Data, effort: Effort) -> Fitted:
        """Learns from `data`: deterministic for a seed. Raises FittingError with a sentence where it cannot."""
