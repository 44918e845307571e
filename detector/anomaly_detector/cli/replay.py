"""The pipeline of a scoring pod over a table: scores, alarms, severities and reasons of every reading. No broker, no cluster.

Decoding is left out, because columns are there already; everything behind it is what runs in a pod: ordering, filling, windows,
the model's graph, thresholds, episodes, alert policy. What comes out is put beside the reading that it is about.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from anomaly_api.alerting import Severity
from anomaly_api.assignment import Revision
from anomaly_api.exposure import WindowExposure
from anomaly_api.schema import Empty
from anomaly_api.source import Entity, Pipeline, Time
from anomaly_detector.cli.table import Table
from anomaly_detector.core.alerts.builder import ScoredWindows
from anomaly_detector.core.columns import Batch, Messages, Readings
from anomaly_detector.core.decode.json import Decoded
from anomaly_detector.core.episodes.episode import Transition
from anomaly_detector.core.episodes.processor import Processed
from anomaly_detector.core.episodes.transitions import EpisodeTransition
from anomaly_detector.core.health.exposure import ExposureCounter
from anomaly_detector.core.pipeline import DetectionPipeline
from anomaly_detector.core.preprocess.preprocessor import Preprocessed
from anomaly_detector.core.scoring.onnx import Model
from anomaly_detector.core.scoring.revisions import LoadedRevision

_BATCH: Final = 16_384
_SOURCE: Final = "/backtest"
_NOBODY: Final = -1


def plain(pipeline: Pipeline) -> Pipeline:
    """The same windows of readings whose entity and time are known already."""
    time = Time(lateness=pipeline.time.lateness, max_waiting=pipeline.time.max_waiting)
    columns = (f"f{place}" for place in range(len(pipeline.read)))
    features = [each if each.derived else each.model_copy(update={"field": next(columns)}) for each in pipeline.features]
    return Pipeline(entity=Entity(key=Empty()), time=time, features=features, windows=pipeline.windows)


@dataclass
class Replayed:
    """What became of each reading of a table, in its order."""

    score: NDArray[np.float64]
    """[n] 1.0 is the threshold, the highest of its windows; not a number: no window ended with it."""
    severity: NDArray[np.int64]
    """[n] Place of the severity in `severities` while an episode of the entity was open, -1 otherwise."""
    severities: list[str]
    top: NDArray[np.int64]
    """[n] Place of the feature that adds most to a score of at least 1.0, -1 otherwise."""
    by_model: NDArray[np.bool_]
    """[n] Whether the model gave the score; otherwise the statistical scorer."""
    scorer: str
    """Kind of the model, if there is one."""
    features: list[str]
    records: list[EpisodeTransition] = field(default_factory=list)
    """Of episodes, in the order of the stream."""
    exposure: list[WindowExposure] = field(default_factory=list)
    """What a pod would have counted of them, by window; nothing without a model."""
    prepared: NDArray[np.float64] | None = None
    """[n, features] As windows have them, where something is computed from what is read; None: they are the table's values."""

    @property
    def anomalous(self) -> NDArray[np.bool_]:
        """[n] Whether an episode of the entity was open at the reading."""
        return self.severity >= 0


@dataclass
class _Tape:
    """What the pipeline says, batch by batch."""

    pipeline: DetectionPipeline
    reasons: bool
    slots: list[NDArray[np.int64]] = field(default_factory=list)
    times: list[NDArray[np.int64]] = field(default_factory=list)
    scores: list[NDArray[np.float64]] = field(default_factory=list)
    tops: list[NDArray[np.int64]] = field(default_factory=list)
    by_model: list[NDArray[np.bool_]] = field(default_factory=list)
    records: list[EpisodeTransition] = field(default_factory=list)
    prepared: list[Readings] = field(default_factory=list)

    def note(self, taken: Preprocessed, scored: Mapping[str, ScoredWindows], walked: Processed) -> None:
        for each in scored.values():
            values = each.scores.values
            top = np.full(len(values), _NOBODY, np.int64)
            high = np.flatnonzero(values >= 1.0)
            if self.reasons and len(high):
                why = self.pipeline.stable.explain(each.window, high, each.scores, taken.levels)
                top[high] = [int(np.argmax(one.errors)) for one in why]
            self.slots.append(each.window.slots)
            self.times.append(each.window.times)
            self.scores.append(values.astype(np.float64))
            self.tops.append(top)
            self.by_model.append(np.full(len(values), each.scores.by_model))
        if self.pipeline.configuration.intake.prepares:
            self.prepared.append(taken.readings)
        self.records += [record for record in walked.records if isinstance(record, EpisodeTransition)]


def replay(
    table: Table,
    revision: Revision,
    model: Model | None,
    progress: Callable[[float], None] = lambda _: None,
    *,
    reasons: bool = True,
) -> Replayed:
    """Runs the pipeline over all readings. `revision` is of a `plain` pipeline; `reasons`: whether `top` is wanted."""
    pipeline = DetectionPipeline(_SOURCE, LoadedRevision(revision, model))
    tape, counter = _Tape(pipeline, reasons), ExposureCounter(revision)
    pipeline.observers = (tape.note, lambda _, scored, walked: counter.observe(scored, walked))
    names = np.array(table.names, object)
    most = min(_BATCH, pipeline.most_messages)
    for start in range(0, len(table), most):
        end = min(start + most, len(table))
        count = end - start
        partitions = np.zeros(count, np.int64)
        batch = Batch(
            np.arange(count), partitions, names[table.codes[start:end]].tolist(), table.times[start:end], table.values[start:end]
        )
        messages = Messages([None] * count, [None] * count, np.full(count, -1), partitions)
        pipeline.begin(messages, Decoded(batch, []))
        pipeline.finish()
        progress(end / len(table))
    found = _aligned(
        table,
        tape,
        [severity.name for severity in _ranked(revision)],
        model.kind.value if model else "",
        [feature.name for feature in revision.pipeline.features],
    )
    found.exposure = counter.evidence() if model else []
    return found


def _ranked(revision: Revision) -> list[Severity]:
    return sorted(revision.alerts.severities, key=lambda severity: severity.above)


def _aligned(table: Table, tape: _Tape, severities: list[str], scorer: str, features: list[str]) -> Replayed:
    """Beside the readings, what was said of them."""
    places = {name: place for place, name in enumerate(table.names)}
    of_slot = np.array([places[name] for name in tape.pipeline.preprocessor.entities.names], np.int64)
    count = len(table)
    order = np.lexsort((np.arange(count), table.times, table.codes))
    found = Replayed(
        np.full(count, np.nan),
        np.full(count, -1, np.int64),
        severities,
        np.full(count, _NOBODY, np.int64),
        np.zeros(count, bool),
        scorer,
        features,
        tape.records,
    )
    if tape.slots:
        rows = _rows(table, order, of_slot[np.concatenate(tape.slots)], np.concatenate(tape.times))
        scores, tops = np.concatenate(tape.scores), np.concatenate(tape.tops)
        by_model = np.concatenate(tape.by_model)
        known = ~np.isnan(scores)
        rising = np.flatnonzero(known)[np.argsort(scores[known], kind="stable")]  # of several windows the highest one counts
        found.score[rows[rising]], found.top[rows[rising]] = scores[rising], tops[rising]
        found.by_model[rows[rising]] = by_model[rising]
    if tape.prepared:
        slots, times, values = (
            np.concatenate([getattr(each, name) for each in tape.prepared]) for name in ("slots", "times", "values")
        )
        found.prepared = np.full((count, len(features)), np.nan)
        found.prepared[_rows(table, order, of_slot[slots], times)] = values
    _mark(found, table, order, places)
    return found


def _rows(table: Table, order: NDArray[np.int64], codes: NDArray[np.int64], times: NDArray[np.int64]) -> NDArray[np.int64]:
    """The row of each (entity, time): the first, where there are several."""
    starts = np.searchsorted(table.codes[order], np.arange(len(table.names) + 1))
    rows = np.empty(len(codes), np.int64)
    by_entity = np.argsort(codes, kind="stable")
    borders = np.searchsorted(codes[by_entity], np.arange(len(table.names) + 1))
    for entity in range(len(table.names)):
        mine = by_entity[borders[entity] : borders[entity + 1]]
        own = order[starts[entity] : starts[entity + 1]]
        rows[mine] = own[np.searchsorted(table.times[own], times[mine])]
    return rows


def _mark(found: Replayed, table: Table, order: NDArray[np.int64], places: Mapping[str, int]) -> None:
    """Sets the severity of all readings during which an episode was open."""
    ranks = {name: rank for rank, name in enumerate(found.severities)}
    turns: dict[tuple[int, str], list[tuple[int, int]]] = defaultdict(list)
    for record in found.records:
        rank = -1 if record.turn is Transition.CLOSED else ranks[record.severity]
        turns[places[record.entity], record.window].append((record.time, rank))
    starts = np.searchsorted(table.codes[order], np.arange(len(table.names) + 1))
    for (entity, _), told in turns.items():
        own = order[starts[entity] : starts[entity + 1]]
        moments = np.array([time for time, _ in told])
        states = np.array([-1, *(rank for _, rank in told)])
        now = states[np.searchsorted(moments, table.times[own], side="right")]
        found.severity[own] = np.maximum(found.severity[own], now)
