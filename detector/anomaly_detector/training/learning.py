"""From windows to graphs and calibrations: fits, exports, scores what was held out. This module brings torch in."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from anomaly_api.calibration import Calibration
from anomaly_api.learning import Autoencoder, Training
from anomaly_api.schema import seconds
from anomaly_api.source import Pipeline, Window
from anomaly_detector.core.columns import MICROSECONDS
from anomaly_detector.training.calibrate import calibrate
from anomaly_detector.training.data.messages import Messages
from anomaly_detector.training.data.samples import Sample, Split, memory_for, split
from anomaly_detector.training.export import Graph, export
from anomaly_detector.training.failures import TrainingError
from anomaly_detector.training.models.autoencoder import derived_layers
from anomaly_detector.training.models.fitting import FittingError, Plan, fit

_CHECKED: Final = 2000
"""Windows on which the graph is compared with the network."""
_MOST_HELD_OUT: Final = 4_000_000


@dataclass(frozen=True)
class Learned:
    """The model of one window."""

    window: Window
    graph: Graph
    split: Split
    layers: list[int]
    epochs: int
    seconds: float
    constant: NDArray[np.bool_]


def learn(
    window: Window, sample: Sample, pipeline: Pipeline, settings: tuple[Autoencoder, Training], interval: float,
    progress: Callable[[float], None],
) -> Learned:  # fmt: skip
    """Fits and exports. Raises TrainingError."""
    torch.set_num_threads(1)  # two collapse when the other core is busy
    autoencoder, training = settings
    parts = split(sample, window, interval, training.holdout_percent)
    train, validation = parts.train(sample), parts.validation(sample)
    if min(len(train), len(validation)) < 2:
        raise TrainingError(
            f"window {window.name}: {len(sample)} windows cannot be divided by time: too many have the same time; "
            "check spec.time, or give more data"
        )
    layers = autoencoder.layers or derived_layers(window.size, len(pipeline.features), len(pipeline.windows))
    plan = Plan(layers=layers, epochs=training.epochs, seed=training.seed)
    try:
        fitted = fit(train.values, validation.values, plan, progress)
    except FittingError as error:
        raise TrainingError(f"window {window.name}: {error}") from error
    graph = export(fitted.scorer, train.values[-_CHECKED:])
    return Learned(window, graph, parts, layers, fitted.epochs, fitted.seconds, fitted.constant)


@dataclass
class _Scores:
    scores: list[NDArray[np.float64]]
    slots: list[NDArray[np.int64]]
    times: list[NDArray[np.int64]]

    def add(self, learned: Learned, sample: Sample) -> None:
        self.scores.append(learned.graph.scores(sample.values))
        self.slots.append(sample.slots)
        self.times.append(sample.times)

    def calibration(self, window: Window) -> Calibration:
        scores = np.concatenate(self.scores) if self.scores else np.empty(0)
        if not len(scores):
            raise TrainingError(f"window {window.name}: nothing is left to hold out; give more data or raise holdoutPercent")
        apart = max(1, -(-window.size // window.every))
        times = np.concatenate(self.times) / MICROSECONDS
        return calibrate(window.name, scores, np.concatenate(self.slots), times, apart, seconds(window.max_gap) * window.every)


def calibrations(
    learned: list[Learned], samples: dict[str, Sample], pipeline: Pipeline, again: Callable[[], Iterable[Messages]]
) -> list[Calibration]:
    """Of the held-out scores of every model, in order.

    Where windows were thinned out, the readings are read `again`: excursions can be told apart only when none is missing.
    """
    found = {model.window.name: _Scores([], [], []) for model in learned}
    thinned = [model for model in learned if not samples[model.window.name].complete]
    for model in learned:
        if model not in thinned:
            found[model.window.name].add(model, model.split.held_out(samples[model.window.name]))
    if thinned:
        _score_again(thinned, found, pipeline, again())
    return [found[model.window.name].calibration(model.window) for model in learned]


def _score_again(learned: list[Learned], found: dict[str, _Scores], pipeline: Pipeline, messages: Iterable[Messages]) -> None:
    memory = memory_for(pipeline)
    places = {window.name: place for place, window in enumerate(pipeline.windows)}
    for whole in messages:
        for part in whole.cut(memory.most_messages):
            for portion in memory.micro_batches(memory.decode(part).batch):
                windows = memory.process(portion).windows
                for model in learned:
                    batch = windows[places[model.window.name]]
                    held_out = model.split.held_out(Sample(batch.values, batch.slots, batch.times, complete=True))
                    if len(held_out):
                        found[model.window.name].add(model, held_out)
        if sum(len(scores) for collected in found.values() for scores in collected.scores) > _MOST_HELD_OUT:
            return
