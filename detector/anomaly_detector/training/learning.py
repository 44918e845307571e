"""From windows to graphs and calibrations: fits, exports, scores what was held out. This module brings torch in."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from anomaly_api.calibration import Calibration
from anomaly_api.learning import ModelKind, Training
from anomaly_api.schema import seconds
from anomaly_api.source import Feature, Pipeline, Window
from anomaly_detector.core.columns import MICROSECONDS
from anomaly_detector.training import blocks
from anomaly_detector.training.calibrate import calibrate
from anomaly_detector.training.data.messages import Messages
from anomaly_detector.training.data.samples import LeftOut, Sample, Sooner, Split, as_shown, memory_for, split
from anomaly_detector.training.device import training_device
from anomaly_detector.training.export import Graph, export
from anomaly_detector.training.failures import TrainingError
from anomaly_detector.training.models.kind import Data, Effort, Fitted, FittingError
from anomaly_detector.training.models.kinds import fit_model
from anomaly_detector.training.quantize import quantized
from anomaly_detector.training.trimming import trimmed

_CHECKED: Final = 2000
"""Windows on which the graph is compared with the network."""
_MOST_HELD_OUT: Final = 4_000_000


@dataclass(frozen=True)
class Learned:
    """The model of one window."""

    window: Window
    graph: Graph
    split: Split
    settings: dict[str, Any]
    """What the kind settled where the user left it open."""
    epochs: int
    seconds: float
    constant: list[str]
    """Features that never changed."""
    held_out: NDArray[np.float64] | None = None
    """[n] Score of each window by a model that has not seen it, where all were held out in turn (`blocks`)."""
    history: Sequence[tuple[float, float]] = ()
    """Loss and validation loss of each epoch."""
    left_out: int = 0
    """Windows that were too strange to be learned from."""
    refitted: Graph | None = None
    """The graph of a model of all windows, the held-out ones too, where the spec asks for it: it decides, by the threshold of
    `graph`."""

    precise: Graph | None = None
    """`graph` in 32-bit floating point, where it is quantized."""

    @property
    def deciding(self) -> Graph:
        """The graph that goes into the archive."""
        return self.refitted or self.graph


def learn(
    window: Window, sample: Sample, pipeline: Pipeline, settings: tuple[ModelKind, Training], interval: float,
    progress: Callable[[float], None], sooner: Sequence[Sooner] = (),
) -> Learned:  # fmt: skip
    """Fits and exports. Raises TrainingError."""
    torch.set_num_threads(1)  # two collapse when the other core is busy
    model, training = settings
    parts = split(sample, window, interval, training.holdout_percent, sooner)
    names = tuple(feature.name for feature in pipeline.features)
    data = Data(
        sample.values, parts.train(sample), parts.validation(sample), sample.times, names, tuple(pipeline.features), model.time
    )
    if min(len(data.train), len(data.validation)) < 2:
        raise TrainingError(
            f"window {window.name}: {len(sample)} windows cannot be divided by time: too many have the same time; "
            "check spec.time, or give more data"
        )
    started = time.monotonic()
    device = training_device(training.resources)
    effort = Effort(training.epochs, training.seed, len(pipeline.windows), progress, device)
    held_out, refitted, left_out = None, None, 0
    if blocks.applies(model, sample):
        span = round((blocks.readings_scored_together(model, window.size) - 1) * interval * MICROSECONDS)
        fitted, held_out = _by_blocks(window, model, sample, tuple(pipeline.features), span, effort)
    else:
        data, left_out = trimmed(model, data, training.trim_percent, training.seed)
        fitted = _fitted(window, model, data, effort)
        if training.refit:
            strange = np.setdiff1d(parts.train(sample), data.train)
            every = np.setdiff1d(np.arange(len(sample)), strange)
            again = replace(data, train=every, validation=parts.held_out(sample))
            newer = _fitted(window, model, again, replace(effort, epochs=max(1, fitted.epochs)))
            refitted = _exported(newer, model, sample, every)[0]
    spent = time.monotonic() - started
    graph, precise = _exported(fitted, model, sample, data.train)
    constant = [name for name, still in zip(names, data.scaling().constant, strict=True) if still]
    figures = (fitted.settings, fitted.epochs, spent, constant, held_out, fitted.history, left_out)
    return Learned(window, graph, parts, *figures, refitted, precise)


def _exported(fitted: Fitted, model: ModelKind, sample: Sample, learned: NDArray[np.int64]) -> tuple[Graph, Graph | None]:
    """The graph, quantized where the spec asks for it, and then the one in 32-bit floating point too."""
    newest = learned[-_CHECKED:]
    graph = export(fitted.scorer, sample.values[newest], sample.times[newest])
    return (graph, None) if model.quantization is None else (quantized(graph, sample.values[newest], sample.times[newest]), graph)


def _fitted(window: Window, model: ModelKind, data: Data, effort: Effort) -> Fitted:
    try:
        return fit_model(model, data, effort)
    except FittingError as error:
        raise TrainingError(f"window {window.name}: {error}") from error


def _by_blocks(
    window: Window, model: ModelKind, sample: Sample, features: tuple[Feature, ...], span: int, effort: Effort
) -> tuple[Fitted, NDArray[np.float64]]:
    try:
        return blocks.fit_by_blocks(model, sample, features, span, effort)
    except FittingError as error:
        raise TrainingError(f"window {window.name}: {error}") from error


@dataclass
class HeldOutScores:
    """Scores of the windows of one size that were held out, with their entities and event times (microseconds)."""

    scores: list[NDArray[np.float64]]
    slots: list[NDArray[np.int64]]
    times: list[NDArray[np.int64]]

    def keep(self, scores: NDArray[np.float64], sample: Sample) -> None:
        """Scores that are known already; those that are not numbers are left out."""
        known = np.isfinite(scores)
        self.scores.append(scores[known])
        self.slots.append(sample.slots[known])
        self.times.append(sample.times[known])

    def add(self, learned: Learned, sample: Sample) -> None:
        """Scores windows that the model has not seen."""
        self.scores.append(learned.graph.scores(sample.values, sample.times))
        self.slots.append(sample.slots)
        self.times.append(sample.times)

    def calibration(self, window: Window) -> Calibration:
        """Raises TrainingError where nothing was held out."""
        scores = np.concatenate(self.scores) if self.scores else np.empty(0)
        if not len(scores):
            raise TrainingError(f"window {window.name}: nothing is left to hold out; give more data or raise holdoutPercent")
        apart = max(1, -(-window.size // window.every))
        times = np.concatenate(self.times) / MICROSECONDS
        return calibrate(window.name, scores, np.concatenate(self.slots), times, apart, seconds(window.max_gap) * window.every)


def calibrations(learned: list[Learned], scores: "Mapping[str, HeldOutScores]") -> list[Calibration]:
    """Of the held-out scores of every model, in order. Raises TrainingError."""
    return [scores[model.window.name].calibration(model.window) for model in learned]


def in_time(scores: "Mapping[str, HeldOutScores]") -> list[tuple[str, NDArray[np.int64], NDArray[np.float64]]]:
    """By window, event times (microseconds) and scores of what was held out."""
    return [(name, np.concatenate(each.times), np.concatenate(each.scores)) for name, each in scores.items() if each.scores]


def held_out_scores(
    learned: list[Learned],
    samples: dict[str, Sample],
    pipeline: Pipeline,
    again: Callable[[], Iterable[Messages]],
    left_out: LeftOut | None = None,
    names: Sequence[str] = (),
) -> "dict[str, HeldOutScores]":
    """The held-out scores of every model, by window; the samples lack what is `left_out` already. `names`: of the samples' slots.

    Where windows were thinned out, the readings are read `again`: excursions can be told apart only when none is missing.
    """
    found = {model.window.name: HeldOutScores([], [], []) for model in learned}
    thinned = [model for model in learned if not samples[model.window.name].complete]
    for model in learned:
        if model not in thinned:
            sample = samples[model.window.name]
            if model.held_out is not None:
                found[model.window.name].keep(model.held_out, sample)
            else:
                found[model.window.name].add(model, sample.at(model.split.held_out(sample)))
    if thinned:
        _score_again(thinned, found, pipeline, again(), left_out, names)
    return found


def _score_again(
    learned: list[Learned],
    found: dict[str, HeldOutScores],
    pipeline: Pipeline,
    messages: Iterable[Messages],
    left_out: LeftOut | None,
    names: Sequence[str],
) -> None:
    memory = memory_for(pipeline)
    places = {window.name: place for place, window in enumerate(pipeline.windows)}
    numbers, known = {name: number for number, name in enumerate(names)}, np.empty(0, np.int64)
    for whole in messages:
        for part in whole.cut(memory.most_messages):
            for portion in memory.micro_batches(memory.decode(part).batch):
                windows = memory.process(portion).windows
                fresh = enumerate(memory.entities.names[len(known) :], len(known))
                new = [numbers.get(name, slot) for slot, name in fresh]
                known = np.concatenate([known, np.array(new, np.int64)])
                for model in learned:
                    batch = as_shown(windows[places[model.window.name]])
                    found_here = Sample(batch.values, known[batch.slots], batch.times, complete=True)
                    held_out = found_here.at(model.split.held_out(found_here))
                    if left_out is not None and len(held_out):
                        out = left_out(model.window, names, held_out)
                        held_out = held_out.at(np.flatnonzero(~out)) if out.any() else held_out
                    if len(held_out):
                        found[model.window.name].add(model, held_out)
        if sum(len(scores) for collected in found.values() for scores in collected.scores) > _MOST_HELD_OUT:
            return
