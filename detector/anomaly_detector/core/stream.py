"""The stages put together: messages in, alerts and rejects out. A function of its state and the batch; it knows no broker.

    messages -> decode -> windows -> scores of every revision -> episodes, by the revision that decides -> alerts
              `> rejects                                                  entities that are forgotten `> alerts

All windows are scored by every revision; exactly one decides each. State belongs to partitions: that of one can be saved, given
up and restored without touching the others.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from anomaly_api.policy import Fallback
from anomaly_api.schema import seconds
from anomaly_api.source import Pipeline
from anomaly_detector.core.alerts import Alert, Explanation, cloud_event
from anomaly_detector.core.bounds import Allowance
from anomaly_detector.core.columns import MICROSECONDS, Float32, Int64, Messages
from anomaly_detector.core.decode import Reject
from anomaly_detector.core.entities import Entities
from anomaly_detector.core.episodes import Episodes, Turn
from anomaly_detector.core.eviction import Reason
from anomaly_detector.core.memory import Memory, Regime, Tally
from anomaly_detector.core.portions import Left
from anomaly_detector.core.revisions import LoadedRevision, RunningRevision, Scores
from anomaly_detector.core.statistical import Levels
from anomaly_detector.core.windows import WindowBatch


@dataclass(slots=True)
class Outcome:
    """What a batch led to."""

    rejects: list[Reject]
    alerts: list[Alert] = field(default_factory=list)
    """In the order of the messages that led to them."""
    readings: int = 0
    """Readings taken into windows."""
    tally: Tally = field(default_factory=Tally)
    """What became of the other readings."""
    windows: int = 0
    """Windows decided."""
    top: float | None = None
    """Highest score; 1.0 is the threshold."""
    left: list[Left] = field(default_factory=list)
    """Entities that were forgotten; some of them may have come back since."""
    cut_off: int = 0
    """Of those that had to make room, how many were so active that their next reading would have belonged to the same window."""

    def scored(self, values: Float32) -> None:
        """Windows were decided, unless their score is not a number."""
        decided = values[~np.isnan(values)]
        if len(decided):
            self.windows += len(decided)
            self.top = max(float(decided.max()), -np.inf if self.top is None else self.top)


class Stream:
    """Everything between a batch of messages and its alerts."""

    def __init__(self, source: str, loaded: LoadedRevision, allowance: Allowance | None = None) -> None:
        """Without an allowance nobody is ever forgotten."""
        self._source = source
        self._allowance = allowance
        self._revisions = [RunningRevision(source, loaded)]
        self.memory = Memory(self._asked())
        self._episodes: dict[str, Episodes] = {}
        self._fit_episodes()

    @property
    def most_messages(self) -> int:
        """Messages that a batch should have at most."""
        return self.memory.most_messages

    @property
    def stable(self) -> RunningRevision:
        """The revision that decides."""
        return self._revisions[0]

    @property
    def regime(self) -> Regime:
        """What decides the readings of the next batch, and how they are taken in."""
        return self.memory.regime

    @property
    def entities(self) -> int:
        """Entities known."""
        return len(self._entities)

    @property
    def warming(self) -> int:
        """Of them, those that have not been scored yet."""
        scored = [episodes.scored for episodes in self._episodes.values()]
        return len(self._entities) - int(np.count_nonzero(np.logical_or.reduce(scored)))

    @property
    def memory_bytes(self) -> int:
        """What is remembered, as the bounds count it."""
        return self._entities.used

    def allow(self, allowance: Allowance) -> None:
        """Goes over to another allowance, from the next reading on."""
        self._allowance = allowance
        self.memory.change(self._asked())

    def adopt(self, loaded: LoadedRevision) -> None:
        """Goes over to another revision. Windows stay when entity, time and features do; so do open episodes."""
        before = self.stable
        running = RunningRevision(self._source, loaded)
        if before.revision == loaded.revision:  # its model loaded meanwhile
            running.windows, running.episodes = before.windows, before.episodes
            running.fallback_windows = before.fallback_windows
        self._revisions = [running]
        if not self.memory.change(self._asked()):
            self._episodes = {}
        self._fit_episodes()

    def prepare(self) -> Regime:
        """Before a batch: whether running levels are needed may have changed with the one before, where a model failed."""
        if self.stable.wants_levels and not self.regime.levels:
            self.memory.change(self._asked())
        return self.regime

    def process(self, messages: Messages) -> Outcome:
        """Takes in a batch."""
        self.prepare()
        decoded = self.memory.decode(messages)
        outcome = Outcome(decoded.rejects)
        for portion in self.memory.portions(decoded.batch):
            self._part(portion.leaving, outcome)
            taken = self.memory.take_in(portion)
            outcome.readings += len(taken.readings.rows)
            outcome.tally += taken.tally
            for window in taken.windows:
                if len(window.slots):
                    scores, *_ = (revision.score(window, taken.levels) for revision in self._revisions)
                    outcome.scored(scores.values)
                    outcome.alerts += self._decide(window, scores, taken.levels, taken.readings.rows)
        outcome.alerts.sort(key=lambda alert: alert.row)
        return outcome

    def forget(self, partition: int) -> None:
        """Drops the state of a partition."""
        self.memory.forget(partition)

    def snapshot(self, partition: int) -> dict[str, Any]:
        """State of a partition: names and plain arrays."""
        slots = np.array(list(self._entities.known(partition).values()), np.int64)
        episodes = {f"episodes.{name}": stage.take(slots) for name, stage in self._episodes.items()}
        return self.memory.snapshot(partition) | episodes

    def restore(self, partition: int, state: Mapping[str, Any]) -> None:
        """Sets the state of a partition to a snapshot that was made under the same regime; what it lacks is as new."""
        slots = self.memory.restore(partition, state)
        for name, stage in self._episodes.items():
            if f"episodes.{name}" in state:
                stage.put(slots, state[f"episodes.{name}"])

    def stirred(self) -> list[tuple[int, str]]:
        """Partition and name of the entities whose episodes may have changed since it was last asked."""
        slots = {int(slot) for episodes in self._episodes.values() for slot in episodes.stirred()}
        return [(self._entities.partitions[slot], self._entities.names[slot]) for slot in sorted(slots)]

    def episodes_of(self, partition: int, entity: str) -> dict[str, dict[str, Any]]:
        """By window, what there is to remember of an entity's episodes: plain numbers. Nothing, for most entities."""
        slot = self._entities.known_slot(partition, entity)
        if slot is None:
            return {}
        place = np.array([slot])
        return {
            name: {column: value.item() for column, value in episodes.take(place).items()}
            for name, episodes in self._episodes.items()
            if not episodes.idle(place).item()
        }

    def restore_episodes(self, partition: int, entity: str, state: Mapping[str, Mapping[str, Any]]) -> None:
        """Sets an entity's episodes to what `episodes_of` gave; those of windows that are no more are left out."""
        slots = self._entities.admit(partition, [entity])
        for name, rows in state.items():
            if name in self._episodes:
                self._episodes[name].put(slots, rows)

    @property
    def _entities(self) -> Entities:
        return self.memory.entities

    def _asked(self) -> Regime:
        stable = self.stable
        revision = stable.revision
        windows = revision.pipeline.windows
        # Levels are counted whether they are needed or not: when a model fails is no time to forget entities.
        allowed = self._allowance and self._allowance.bounds(_row_bytes(revision.pipeline, revision.fallback), windows)
        return Regime(
            revision=revision.digest,
            levels=stable.wants_levels,
            pipeline=revision.pipeline,
            fallback=revision.fallback,
            bounds=allowed,
        )

    def _fit_episodes(self) -> None:
        """Episodes for each window that there is."""
        names = [window.name for window in self.regime.pipeline.windows]
        for name in [name for name in self._episodes if name not in names]:
            self._episodes.pop(name).detach()
        for name in names:
            if name not in self._episodes:
                self._episodes[name] = Episodes(self._entities)

    def _part(self, leaving: list[Left], outcome: Outcome) -> None:
        """Closes the episodes of entities that are forgotten: nobody shall wait for their end."""
        if not leaving:
            return
        gap = max(seconds(window.max_gap) for window in self.regime.pipeline.windows) * MICROSECONDS
        outcome.left += leaving
        outcome.cut_off += sum(left.reason is Reason.BUDGET and left.idle <= gap for left in leaving)
        slots = np.array([left.slot for left in leaving], np.int64)
        times = self.memory.windows.newest(slots)
        nothing = Explanation(*(np.empty(0, np.float32),) * 3)
        for name, episodes in self._episodes.items():
            decision = self.stable.decision(name, Scores(np.empty(0, np.float32), by_model=self.stable.loaded.model is not None))
            for turn in episodes.break_off(slots):
                left = leaving[turn.place]
                event = cloud_event(decision, left.name, int(times[turn.place]), turn, nothing)
                outcome.alerts.append(Alert(left.row, left.name, event))

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


def _row_bytes(pipeline: Pipeline, fallback: Fallback) -> int:
    """What an entity takes in the columns of all stages: they are asked, so that none is forgotten."""
    entities = Memory(Regime(revision="", levels=True, pipeline=pipeline, fallback=fallback)).entities
    for _ in pipeline.windows:
        Episodes(entities)
    return entities.row_bytes
