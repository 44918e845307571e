"""A model of a table, made by the code of a training Job, and the revision that decides by it. Nothing is registered anywhere."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

import msgspec
import numpy as np

from anomaly_api.alerting import AlertPolicy
from anomaly_api.assignment import Identity, Revision, TrainingOrder
from anomaly_api.calibration import ThresholdSource, WindowThreshold
from anomaly_api.detector import DetectorSpec
from anomaly_api.gate import GateReport
from anomaly_api.policy import Threshold
from anomaly_api.thresholds import window_threshold
from anomaly_detector.cli.errors import CommandError
from anomaly_detector.cli.replay import plain
from anomaly_detector.cli.table import Table
from anomaly_detector.core.scoring.artifact import ArtifactError, ModelArtifact, artifact_digest, unpack
from anomaly_detector.core.scoring.onnx import Model
from anomaly_detector.training import job
from anomaly_detector.training.data.memory_limit import memory_limit
from anomaly_detector.training.data.messages import Messages
from anomaly_detector.training.data.samples import Gathering, affordable
from anomaly_detector.training.failures import TrainingError
from anomaly_detector.training.reporting import Progress

_AT_ONCE: Final = 8192
_MEASURED, _ROUNDS = 8192, 5
_FEWEST: Final = 20
"""Windows; `training.minimum` is about what a Job waits for, and here nothing more will come."""


@dataclass(frozen=True)
class Trained:
    """A model, as the detector loads it."""

    archive: bytes
    artifact: ModelArtifact
    model: Model
    windows: int
    """That it was made of and judged by."""
    outcome: job.Outcome | None = None
    """What the training left behind; None of a model from a folder."""


class _TableSource:
    """A table's readings, as messages of a `plain` pipeline."""

    def __init__(self, table: Table, name: str) -> None:
        self.name, self.share_read = name, 1.0
        self._table = table

    def read(self) -> Iterator[Messages | None]:
        yield from self.again()

    def again(self) -> Iterator[Messages]:
        table = self._table
        fields = [f"f{place}" for place in range(table.values.shape[1])]
        keys = [name.encode() for name in table.names]
        for start in range(0, len(table), _AT_ONCE):
            part = slice(start, start + _AT_ONCE)
            rows = [[None if number != number else number for number in row] for row in table.values[part].tolist()]
            values: list[bytes | None] = [msgspec.json.encode(dict(zip(fields, row, strict=True))) for row in rows]
            entities: list[bytes | None] = [keys[code] for code in table.codes[part].tolist()]
            yield Messages(values, entities, table.times[part] // 1000, np.zeros(len(values), np.int64))


class _Told(Progress):
    """Passes on how far a training is."""

    def __init__(self, progress: Callable[[float], None]) -> None:
        super().__init__("cli")
        self._progress = progress

    def update(self, **changes: Any) -> None:
        super().update(**changes)
        if changes.get("progress") is not None:
            self._progress(changes["progress"] / 100)


def train(spec: DetectorSpec, table: Table, where: str, progress: Callable[[float], None] = lambda _: None) -> Trained:
    """The model that a training Job would make of these readings. Raises CommandError."""
    order = _order(spec)
    source = _TableSource(table, where)
    gathered = Gathering(order.pipeline, spec.training.maximum.windows, spec.training.seed, affordable(memory_limit()))
    for messages in source.again():
        gathered.take(messages)
    if gathered.windows < _FEWEST:
        said = job.shortage(gathered, order, where)[1] if gathered.windows < spec.training.minimum.windows else ""
        raise CommandError(f"too little to train: {said}; at least {_FEWEST} windows are needed")
    try:
        outcome = job.learn_model(source, gathered, order, _Told(progress))
    except TrainingError as error:
        raise CommandError(f"the training failed: {error}") from error
    return replace(load(outcome.archive, spec, gathered.windows), outcome=outcome)


def card_of(spec: DetectorSpec, trained: Trained, title: str) -> "tuple[GateReport | None, str]":
    """The gate's judgement beside a PCA, and the model card as HTML."""
    from anomaly_detector.training.card.page import card

    assert trained.outcome is not None, "it was just trained"
    order = _order(spec)
    judgement = job.judged(trained.outcome, order, Progress("cli"))
    page = card(job.card_figures(trained.outcome, order, judgement, title))
    return judgement.report if judgement else None, page


def quantization(trained: Trained) -> Iterator[str]:
    """For each quantized graph, its size and speed beside those of the graph in 32-bit floating point, measured now."""
    for learned in trained.outcome.learned if trained.outcome else ():
        if learned.precise is None or trained.outcome is None:
            continue
        sample = trained.outcome.samples[learned.window.name]
        windows, times = sample.values[:_MEASURED], sample.times[:_MEASURED]
        rates = []
        for graph in (learned.graph, learned.precise):
            graph.scores(windows, times)
            began = time.perf_counter()
            for _ in range(_ROUNDS):
                graph.scores(windows, times)
            rates.append(_ROUNDS * len(windows) / max(time.perf_counter() - began, 1e-9))
        sizes = f"{len(learned.graph.content):,} bytes instead of {len(learned.precise.content):,}"
        yield f"window {learned.window.name}, Int8: {sizes}; {rates[0]:,.0f} windows/s instead of {rates[1]:,.0f}"


def load(archive: bytes, spec: DetectorSpec, windows: int = 0) -> Trained:
    """Raises CommandError when the archive holds no model for these features and windows."""
    try:
        artifact = unpack(archive, artifact_digest(archive))
        return Trained(archive, artifact, Model(artifact, plain(spec.pipeline)), windows)
    except ArtifactError as error:
        raise CommandError(f"the model cannot be used: {error}") from error


def revision_of(spec: DetectorSpec, trained: Trained | None, threshold: Threshold | None = None) -> Revision:
    """What decides: the model with the thresholds that the spec asks for (or `threshold` in their place), or the fallback."""
    pipeline = plain(spec.pipeline)
    if trained is not None:
        asked = threshold or spec.threshold
        thresholds = [window_threshold(asked, calibration) for calibration in trained.artifact.manifest.calibration]
    else:
        value = spec.fallback.standard_deviations
        thresholds = [
            WindowThreshold(window=window.name, value=value, source=ThresholdSource.FALLBACK, asked=f"{value:g}")
            for window in pipeline.windows
        ]
    return Revision(
        model=trained.artifact.digest if trained else None,
        pipeline=pipeline,
        thresholds=thresholds,
        fallback=spec.fallback,
        alerts=AlertPolicy(**{name: getattr(spec.alerts, name) for name in AlertPolicy.model_fields}),
    )


def wants_training(spec: DetectorSpec) -> bool:
    """Whether a training Job would make the model."""
    return spec.model.trained


def _order(spec: DetectorSpec) -> TrainingOrder:
    return TrainingOrder(
        detector=Identity(namespace="default", name="backtest", uid=""),
        job="backtest",
        kafka=spec.source.kafka,
        pipeline=plain(spec.pipeline),
        model=spec.model,
        training=spec.training,
        model_store=spec.model_store,
        threshold=spec.threshold,
    )
