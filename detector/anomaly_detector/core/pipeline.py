"""The stages put together: messages in, alerts and rejects out. A function of its state and the batch; it knows no broker.

    messages -> decode -> windows -> scores of every revision -> episodes, by the revision that decides -> alerts
              `> rejects                                                  entities that are forgotten `> alerts

A batch can be left half way, while its windows are being scored (`begin`), and decided later (`finish`): meanwhile the next one
is parsed. Its state is touched in the order of the stream all the same, so what comes out does not depend on it.

All windows are scored by every revision; exactly one decides each. State belongs to partitions: that of one can be saved, given
up and restored without touching the others.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
from msgspec import Struct, field

from anomaly_api.alert import EpisodeReason, LimitKind
from anomaly_api.alerting import AlertPolicy
from anomaly_api.policy import Fallback
from anomaly_api.schema import seconds
from anomaly_api.source import Pipeline
from anomaly_detector.core.alerts.alert import Alert
from anomaly_detector.core.alerts.builder import AlertBuilder, ScoredWindows
from anomaly_detector.core.columns import MICROSECONDS, Float32, Messages
from anomaly_detector.core.decode.json import Decoded, Reject
from anomaly_detector.core.entities.lru import Reason
from anomaly_detector.core.entities.micro_batch import Evicted
from anomaly_detector.core.entities.quota import MemoryQuota
from anomaly_detector.core.entities.table import Entities
from anomaly_detector.core.episodes.closures import Closures
from anomaly_detector.core.episodes.policy import EpisodePolicy
from anomaly_detector.core.episodes.processor import Processed
from anomaly_detector.core.episodes.table import Episodes
from anomaly_detector.core.episodes.transitions import EpisodeTransition, EvictedEntity
from anomaly_detector.core.preprocess.counts import ReadingCounts
from anomaly_detector.core.preprocess.preprocessor import Preprocessed, Preprocessor, Regime
from anomaly_detector.core.preprocess.windows import WindowBatch
from anomaly_detector.core.scoring.executor import Executor, Work, inline
from anomaly_detector.core.scoring.revisions import LoadedRevision, RunningRevision, Scores

_ENDINGS: Final = {Reason.BUDGET: EpisodeReason.EVICTED, Reason.IDLE: EpisodeReason.IDLE}


class Outcome(Struct):
    """What a batch led to."""

    rejects: list[Reject]
    alerts: list[Alert] = []
    """In the order of the messages that led to them."""
    readings: int = 0
    """Readings taken into windows."""
    tally: ReadingCounts = field(default_factory=ReadingCounts)
    """What became of the other readings."""
    windows: int = 0
    """Windows decided."""
    top: float | None = None
    """Highest score; 1.0 is the threshold."""
    dropped: list[LimitKind] = []
    """Episodes that a limit held back, each once in a period."""
    suppressed: int = 0
    """Alerts that are for the record only."""
    left: list[Evicted] = []
    """Entities that were forgotten; some of them may have come back since."""
    cut_off: int = 0
    """Of those that had to make room, how many were so active that their next reading would have belonged to the same window."""

    def scored(self, values: Float32) -> None:
        """Windows were decided, unless their score is not a number."""
        decided = values[~np.isnan(values)]
        if len(decided):
            self.windows += len(decided)
            self.top = max(float(decided.max()), -np.inf if self.top is None else self.top)


class _UnderWay(Struct, frozen=True):
    """What was taken in and is not decided yet."""

    messages: Messages
    taken: Preprocessed
    asked: list[tuple[WindowBatch, list[Work[Scores]]]]
    """Windows, and by revision how to ask for their scores."""
    outcome: Outcome


Observer = Callable[[Preprocessed, Mapping[str, ScoredWindows], Processed], None]
"""Sees what a portion of a batch became: its readings, its windows with their scores, what they led to."""


class DetectionPipeline:
    """Everything between a batch of messages and its alerts."""

    def __init__(self, source: str, loaded: LoadedRevision, quota: MemoryQuota | None = None) -> None:
        """Without an allowance nobody is ever forgotten."""
        self._source = source
        self._quota = quota
        self._revisions = [RunningRevision(source, loaded)]
        self.preprocessor = Preprocessor(self._asked())
        self._shares = 0
        """Partitions by which limits are shared."""
        self._episodes = self._new_episodes()
        self._under_way: _UnderWay | None = None
        self.observer: Observer | None = None
        """A backtest wants every score; a pod tells episodes only."""

    @property
    def most_messages(self) -> int:
        """Messages that a batch should have at most."""
        return self.preprocessor.most_messages

    @property
    def stable(self) -> RunningRevision:
        """The revision that decides."""
        return self._revisions[0]

    @property
    def regime(self) -> Regime:
        """What decides the readings of the next batch, and how they are taken in."""
        return self.preprocessor.regime

    @property
    def entities(self) -> int:
        """Entities known."""
        return len(self._entities)

    @property
    def warming(self) -> int:
        """Of them, those that have not been scored yet."""
        return len(self._entities) - int(np.count_nonzero(self._episodes.scored))

    @property
    def limiting(self) -> int:
        """Limits that hold episodes back."""
        return self._episodes.limiting

    @property
    def memory_bytes(self) -> int:
        """What is remembered, as the bounds count it."""
        return self._entities.used

    def allow(self, quota: MemoryQuota) -> None:
        """Goes over to another allowance, from the next reading on."""
        self._quota = quota
        self.preprocessor.change(self._asked())

    def adopt(self, loaded: LoadedRevision) -> list[tuple[int, Alert]]:
        """Goes over to another revision. Windows stay when entity, time and features do; so do open episodes.

        Returns what is to be told of those that end, with their partitions.
        """
        before = self.stable
        running = RunningRevision(self._source, loaded)
        if before.revision == loaded.revision:  # its model loaded meanwhile
            running.windows, running.episodes = before.windows, before.episodes
            running.fallback_windows = before.fallback_windows
        self._revisions = [running]
        asked = self._asked()
        ended = self._ended(self.closures(self.regime, asked))
        if self.preprocessor.change(asked):
            self._episodes.adopt(self._policy(), self._window_names)
        else:
            self._episodes = self._new_episodes()
        return ended

    def closures(self, before: Regime, after: Regime | None) -> Closures:
        """What ends when a partition goes over from a regime to another one; None: when what was known of it is void."""
        return Closures(self._source, before, after)

    def prepare(self) -> Regime:
        """Before a batch: whether running levels are needed may have changed with the one before, where a model failed."""
        if self.stable.wants_levels and not self.regime.levels:
            self.preprocessor.change(self._asked())
        return self.regime

    def process(self, messages: Messages) -> Outcome:
        """Takes in a batch, and decides it."""
        self.begin(messages, self.parse(messages))
        return self.finish()

    def parse(self, messages: Messages) -> Decoded:
        """What `begin` wants to have of a batch. It touches no state: the batch before may still be under way."""
        return self.preprocessor.parse(messages)

    def begin(self, messages: Messages, parsed: Decoded, executor: Executor = inline) -> None:
        """Takes in a batch and begins to score its windows; before anything else may happen to the stream it wants `finish`."""
        assert self._under_way is None, "a batch was begun before the one before it was finished"
        self.prepare()
        if self._shares != self.regime.partitions:
            self._episodes.adopt(self._policy(), self._window_names)
        decoded = self.preprocessor.believe(parsed, messages)
        outcome = Outcome(decoded.rejects)
        left = len(decoded.batch)
        for portion in self.preprocessor.micro_batches(decoded.batch):
            if portion.leaving:
                self._part(portion.leaving, messages, outcome)
            taken = self.preprocessor.process(portion, messages.headers)
            outcome.readings += len(taken.readings.rows)
            outcome.tally += taken.tally
            self._under_way = _UnderWay(messages, taken, self._score(taken, executor), outcome)
            left -= len(portion.batch)
            if left:
                self._decide()  # who leaves with the next portion has a name until that is asked for

    def finish(self) -> Outcome:
        """Decides what was begun."""
        outcome = self._decide()
        outcome.alerts.sort(key=lambda alert: alert.row)
        return outcome

    def forget(self, partition: int) -> None:
        """Drops the state of a partition."""
        self.preprocessor.forget(partition)
        self._episodes.forget_partition(partition)

    def snapshot(self, partition: int) -> dict[str, Any]:
        """State of a partition: names and plain arrays."""
        slots = np.array(list(self._entities.known(partition).values()), np.int64)
        own = {"episodes": self._episodes.take(slots), "limit": self._episodes.state_of_partition(partition)}
        return self.preprocessor.snapshot(partition) | own

    def restore(self, partition: int, state: Mapping[str, Any]) -> None:
        """Sets the state of a partition to a snapshot that was made under the same regime; what it lacks is as new."""
        slots = self.preprocessor.restore(partition, state)
        if "episodes" in state:
            self._episodes.put(slots, state["episodes"])
        if state.get("limit"):
            self._episodes.restore_partition(partition, state["limit"])

    def dirty(self) -> list[tuple[int, str]]:
        """Partition and name of the entities whose episodes may have changed since it was last asked."""
        return [(self._entities.partitions[slot], self._entities.names[slot]) for slot in self._episodes.dirty().tolist()]

    def episodes_of(self, partition: int, entity: str) -> dict[str, dict[str, Any]]:
        """By window, what there is to remember of an entity's episodes: plain values. Nothing, for most entities."""
        slot = self._entities.known_slot(partition, entity)
        return {} if slot is None else self._episodes.state(slot)

    def restore_episodes(self, partition: int, entity: str, state: Mapping[str, Mapping[str, Any]]) -> None:
        """Sets an entity's episodes to what `episodes_of` gave; those of windows that are no more are left out."""
        self._episodes.restore(int(self._entities.admit(partition, [entity])[0]), state)

    def dirty_limits(self) -> set[int]:
        """Partitions whose limit may have changed since it was last asked."""
        return self._episodes.dirty_partitions()

    def limit_of(self, partition: int) -> dict[str, Any] | None:
        """What there is to remember of a partition's limit: plain values."""
        return self._episodes.state_of_partition(partition)

    def restore_limit(self, partition: int, state: Mapping[str, Any]) -> None:
        """Sets a partition's limit to what `limit_of` gave."""
        self._episodes.restore_partition(partition, state)

    @property
    def _entities(self) -> Entities:
        return self.preprocessor.entities

    def _asked(self) -> Regime:
        stable = self.stable
        revision = stable.revision
        windows, by_model = revision.pipeline.windows, not stable.wants_levels
        decisions = {window.name: stable.decision(window.name, by_model=by_model) for window in windows}
        decides = next(iter(decisions.values()))
        # Levels are counted whether they are needed or not: when a model fails is no time to forget entities.
        allowed = self._quota and self._quota.bounds(_row_bytes(revision.pipeline, revision.fallback), windows)
        return Regime(
            revision=revision.digest,
            levels=stable.wants_levels,
            pipeline=revision.pipeline,
            fallback=revision.fallback,
            bounds=allowed,
            partitions=self._quota.partitions if self._quota else 1,
            scorer=decides.scorer,
            model=decides.model,
            thresholds={name: decision.threshold for name, decision in decisions.items()},
        )

    def _ended(self, closures: Closures) -> list[tuple[int, Alert]]:
        if not closures.any:
            return []
        names, partitions, episodes = self._entities.names, self._entities.partitions, self._episodes
        found = []
        for partition, name, slot in sorted((partitions[slot], names[slot], slot) for slot in episodes.remembered()):
            found += [(partition, alert) for alert in closures.of_entity(name, episodes.state(slot))]
        for partition in episodes.limited():
            found += [(partition, alert) for alert in closures.of_partition(partition, episodes.state_of_partition(partition))]
        return found

    @property
    def _window_names(self) -> list[str]:
        return [window.name for window in self.regime.pipeline.windows]

    def _new_episodes(self) -> Episodes:
        return Episodes(self._entities, self._policy(), self._window_names)

    def _policy(self) -> EpisodePolicy:
        self._shares = self.regime.partitions
        return EpisodePolicy(self.stable.revision.alerts, self._shares)

    def _part(self, leaving: list[Evicted], messages: Messages, outcome: Outcome) -> None:
        """Closes the episodes of entities that are forgotten: nobody shall wait for their end."""
        gap = max(seconds(window.max_gap) for window in self.regime.pipeline.windows) * MICROSECONDS
        outcome.left += leaving
        outcome.cut_off += sum(left.reason is Reason.BUDGET and left.idle <= gap for left in leaving)
        times = self.preprocessor.windows.newest(np.array([left.slot for left in leaving], np.int64)).tolist()
        ended = [
            EvictedEntity(left.row, left.slot, left.name, time, _ENDINGS[left.reason])
            for left, time in zip(leaving, times, strict=True)
            if self._episodes.remembers(left.slot)
        ]
        if ended:
            self._tell(self._episodes.observe([], messages.partitions, ended), None, {}, messages, outcome)

    def _score(self, taken: Preprocessed, executor: Executor) -> list[tuple[WindowBatch, list[Work[Scores]]]]:
        windows = (window for window in taken.windows if len(window.slots))
        return [(window, [each.score(window, taken.levels, executor) for each in self._revisions]) for window in windows]

    def _decide(self) -> Outcome:
        """Tells what follows from the scores that are under way."""
        assert self._under_way is not None, "nothing was begun"
        under_way, self._under_way = self._under_way, None
        messages, taken, outcome = under_way.messages, under_way.taken, under_way.outcome
        scored: dict[str, ScoredWindows] = {}
        for window, asked in under_way.asked:
            scores, *_ = [each() for each in asked]
            outcome.scored(scores.values)
            scored[window.name] = ScoredWindows(window, scores)
        kinds = [each.kind(taken.readings.rows) for each in scored.values()]
        walked = self._episodes.observe(kinds, messages.partitions)
        self._tell(walked, taken, scored, messages, outcome)
        if self.observer is not None:
            self.observer(taken, scored, walked)
        return outcome

    def _tell(
        self,
        walked: Processed,
        taken: Preprocessed | None,
        scored: Mapping[str, ScoredWindows],
        messages: Messages,
        outcome: Outcome,
    ) -> None:
        self.stable.episodes += walked.opened
        outcome.dropped += walked.dropped
        if walked.records:
            builder = AlertBuilder(self._source, self.stable, messages, taken.traces if taken else None)
            outcome.alerts += builder.tell(walked.records, scored, taken.levels if taken else None)
            outcome.suppressed += sum(
                isinstance(record, EpisodeTransition) and record.suppressed_by is not None for record in walked.records
            )


def _row_bytes(pipeline: Pipeline, fallback: Fallback) -> int:
    """What an entity takes in the columns of all stages: they are asked, so that none is forgotten."""
    entities = Preprocessor(Regime(revision="", levels=True, pipeline=pipeline, fallback=fallback)).entities
    Episodes(entities, EpisodePolicy(AlertPolicy()), [window.name for window in pipeline.windows])
    return entities.row_bytes
