"""The stages put together: messages in, alerts and rejects out. A function of its state and the batch; it knows no broker.

    messages -> decode -> windows -> scores of every revision -> episodes, by the revision that decides -> alerts
              `> rejects

All windows are scored by every revision; exactly one decides each. State belongs to partitions: that of one can be saved, given
up and restored without touching the others.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from anomaly_api.source import Pipeline
from anomaly_detector.core.alerts import Alert, cloud_event
from anomaly_detector.core.columns import Int64, Stamps
from anomaly_detector.core.decode import Decoder, Reject
from anomaly_detector.core.entities import Columns, Entities
from anomaly_detector.core.episodes import Episodes, Turn
from anomaly_detector.core.revisions import LoadedRevision, RunningRevision, Scores
from anomaly_detector.core.statistical import Levels, Statistical
from anomaly_detector.core.windows import WindowBatch, Windows


@dataclass(frozen=True, slots=True)
class Messages:
    """Messages as columns, each partition's in the order of their offsets."""

    values: Sequence[bytes | None]
    keys: Sequence[bytes | None]
    timestamps_ms: Stamps
    """-1 where a message has none."""
    partitions: Int64

    def __len__(self) -> int:
        return len(self.values)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a batch led to."""

    alerts: list[Alert]
    """In the order of the messages that led to them."""
    rejects: list[Reject]
    readings: int
    """Readings taken into windows."""
    late: int
    """Readings left out, because a newer one of their entity had been seen."""
    windows: int
    """Windows decided."""
    top: float | None
    """Highest score; 1.0 is the threshold."""


class Stream:
    """Everything between a batch of messages and its alerts."""

    def __init__(self, source: str, loaded: LoadedRevision) -> None:
        self._source = source
        self._begin(loaded)

    @property
    def most_messages(self) -> int:
        """Messages that a batch should have at most."""
        return self._windows.most_readings

    @property
    def stable(self) -> RunningRevision:
        """The revision that decides."""
        return self._revisions[0]

    @property
    def entities(self) -> int:
        """Entities known."""
        return len(self._entities)

    @property
    def warming(self) -> int:
        """Of them, those that have not been scored yet."""
        scored = [episodes.scored for episodes in self._episodes.values()]
        return len(self._entities) - int(np.count_nonzero(np.logical_or.reduce(scored)))

    def adopt(self, loaded: LoadedRevision) -> None:
        """Goes over to another revision. Windows stay when entity, time and features do; so do open episodes."""
        before, after = self.stable.revision, loaded.revision
        if _readings(before.pipeline) != _readings(after.pipeline):
            self._begin(loaded)
            return
        if before.pipeline != after.pipeline:
            self._windows.adapt(after.pipeline.windows)
        self._run(loaded, counts=self.stable if before == after else None)

    def process(self, messages: Messages) -> Outcome:
        """Takes in a batch."""
        decoded = self._decoder.decode(messages.values, messages.keys, messages.timestamps_ms, messages.partitions)
        pushed = self._windows.push(decoded.batch)
        if self.stable.wants_levels:
            self._ensure_statistical()
        levels = self._statistical.observe(pushed.readings) if self._statistical else None
        alerts: list[Alert] = []
        tops: list[float] = []
        windows = 0
        for window in pushed.windows:
            if not len(window.slots):
                continue
            scores, *_ = (revision.score(window, levels) for revision in self._revisions)
            decided = scores.values[~np.isnan(scores.values)]
            if len(decided):
                windows += len(decided)
                tops.append(float(decided.max()))
            alerts += self._decide(window, scores, levels, pushed.readings.rows)
        alerts.sort(key=lambda alert: alert.row)
        return Outcome(alerts, decoded.rejects, len(pushed.readings.rows), pushed.late, windows, max(tops, default=None))

    def forget(self, partition: int) -> None:
        """Drops the state of a partition."""
        self._entities.drop(partition)

    def snapshot(self, partition: int) -> dict[str, Any]:
        """State of a partition: names and plain arrays."""
        known = self._entities.known(partition)
        slots = np.array(list(known.values()), np.int64)
        return {"names": list(known)} | {name: stage.take(slots) for name, stage in self._stages().items()}

    def restore(self, partition: int, state: dict[str, Any]) -> None:
        """Sets the state of a partition to a snapshot that a stream with the same pipeline made."""
        self.forget(partition)
        slots = self._entities.admit(partition, state["names"])
        if "statistical" in state:
            self._ensure_statistical()
        for name, stage in self._stages().items():
            if name in state:
                stage.put(slots, state[name])

    def _begin(self, loaded: LoadedRevision) -> None:
        """Starts with empty windows."""
        pipeline = loaded.revision.pipeline
        self._entities = Entities()
        self._decoder = Decoder(pipeline)
        self._windows = Windows(pipeline, self._entities)
        self._episodes: dict[str, Episodes] = {}
        self._statistical: Statistical | None = None
        self._run(loaded)

    def _run(self, loaded: LoadedRevision, counts: RunningRevision | None = None) -> None:
        running = RunningRevision(self._source, loaded)
        if counts is not None:  # the same revision, its model loaded meanwhile
            running.windows, running.episodes = counts.windows, counts.episodes
            running.fallback_windows = counts.fallback_windows
        self._revisions = [running]
        names = [window.name for window in loaded.revision.pipeline.windows]
        for name in [name for name in self._episodes if name not in names]:
            self._episodes.pop(name).detach()
        for name in names:
            if name not in self._episodes:
                self._episodes[name] = Episodes(self._entities)
        if self._statistical is not None:
            self._statistical.set(loaded.revision.fallback)
            if not running.wants_levels:
                self._statistical.detach()
                self._statistical = None

    def _ensure_statistical(self) -> None:
        if self._statistical is None:
            revision = self.stable.revision
            self._statistical = Statistical(revision.fallback, len(revision.pipeline.features), self._entities)

    def _stages(self) -> dict[str, Columns]:
        stages: dict[str, Columns] = {"windows": self._windows}
        stages |= {f"episodes.{name}": episodes for name, episodes in self._episodes.items()}
        return stages | ({"statistical": self._statistical} if self._statistical else {})

    def _decide(self, window: WindowBatch, scores: Scores, levels: Levels | None, rows: Int64) -> list[Alert]:
        revision = self.stable
        turns = self._episodes[window.name].observe(window.slots, window.times, scores.values, revision.revision.alerts)
        if not turns:
            return []
        revision.episodes += sum(turn.turn is Turn.OPENED for turn in turns)
        decision = revision.decision(window.name, scores)
        reasons = revision.explain(window, np.array([turn.place for turn in turns]), scores, levels)
        alerts = []
        for turn, why in zip(turns, reasons, strict=True):
            entity = self._entities.names[int(window.slots[turn.place])]
            event = cloud_event(decision, entity, int(window.times[turn.place]), turn, why)
            alerts.append(Alert(int(rows[window.places[turn.place]]), entity, event))
        return alerts


def _readings(pipeline: Pipeline) -> tuple[Any, ...]:
    """What windows are made of."""
    return pipeline.entity, pipeline.time, pipeline.features
