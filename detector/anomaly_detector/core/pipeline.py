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
from msgspec import Struct

from anomaly_api.alert import EpisodeReason
from anomaly_api.evidence import RevisionEvidence, RevisionFailure
from anomaly_api.schema import seconds
from anomaly_api.source import Window
from anomaly_detector.core.alerts.alert import Alert
from anomaly_detector.core.alerts.builder import AlertBuilder, ScoredWindows
from anomaly_detector.core.columns import MICROSECONDS, Messages
from anomaly_detector.core.composition import composed
from anomaly_detector.core.configuration import Configuration, decides_otherwise
from anomaly_detector.core.decode.json import Decoded
from anomaly_detector.core.entities.lru import Reason
from anomaly_detector.core.entities.micro_batch import Evicted
from anomaly_detector.core.entities.quota import MemoryQuota
from anomaly_detector.core.entities.table import Entities
from anomaly_detector.core.episodes.by_revision import RevisionEpisodes
from anomaly_detector.core.episodes.closures import Closures
from anomaly_detector.core.episodes.policy import EpisodePolicy
from anomaly_detector.core.episodes.processor import Processed
from anomaly_detector.core.episodes.transitions import EpisodeTransition, EvictedEntity
from anomaly_detector.core.feedback.endings import Endings
from anomaly_detector.core.outcome import Outcome
from anomaly_detector.core.preprocess.preprocessor import Preprocessed, Preprocessor
from anomaly_detector.core.preprocess.windows import WindowBatch
from anomaly_detector.core.scoring.executor import Executor, Work, inline
from anomaly_detector.core.scoring.revisions import LoadedRevision, RunningRevision, Scores
from anomaly_detector.core.scoring.sharing import why_apart
from anomaly_detector.core.shadow import Shadow

_ENDINGS: Final = {Reason.BUDGET: EpisodeReason.EVICTED, Reason.IDLE: EpisodeReason.IDLE}


class _UnderWay(Struct, frozen=True):
    """What was taken in and is not decided yet."""

    messages: Messages
    taken: Preprocessed
    asked: list[tuple[WindowBatch, Work[Scores]]]
    """The stable revision's windows, and how to ask for their scores."""
    shadowed: list[WindowBatch]
    shadow: list[Work[Scores]]
    """The same of the candidate."""
    outcome: Outcome


Observer = Callable[[Preprocessed, Mapping[str, ScoredWindows], Processed], None]
"""Sees what a portion of a batch became: its readings, its windows with their scores, what they led to."""


class DetectionPipeline:
    """Everything between a batch of messages and its alerts."""

    def __init__(self, source: str, loaded: LoadedRevision, quota: MemoryQuota | None = None) -> None:
        """Without a quota no entity is ever forgotten."""
        self._source = source
        self._quota = quota
        self.stable = RunningRevision(source, loaded)
        """The revision that decides."""
        self.shadow: Shadow | None = None
        """The candidate, if there is one that can be compared."""
        self._rejected: RevisionEvidence | None = None
        """A candidate that cannot."""
        self._statistical = self.stable.wants_levels
        """Whether the baseline learns from every reading: where no model decides, and from the first failure of one on."""
        self.configuration = self._configured()
        """What decides the readings of the next batch, and how they are taken in."""
        self.preprocessor = Preprocessor(self.configuration.intake)
        self._shares = 0
        """Partitions by which limits are shared."""
        self.episodes = self._new_episodes()
        self._under_way: _UnderWay | None = None
        self.observer: Observer | None = None
        """A backtest wants every score; a pod tells episodes only."""

    @property
    def most_messages(self) -> int:
        """Messages that a batch should have at most."""
        return self.preprocessor.most_messages

    @property
    def entities(self) -> int:
        """Entities known."""
        return len(self._entities)

    @property
    def warming(self) -> int:
        """Of them, those that have not been scored yet."""
        return len(self._entities) - int(np.count_nonzero(self.episodes.stable.scored))

    @property
    def limiting(self) -> int:
        """Limits that hold episodes back."""
        return self.episodes.stable.limiting

    @property
    def memory_bytes(self) -> int:
        """What is remembered, as the bounds count it."""
        return self._entities.used

    def evidence(self) -> list[RevisionEvidence]:
        """What the operator is told of each revision."""
        candidate = self.shadow.evidence() if self.shadow is not None else self._rejected
        return [self.stable.evidence(), *([candidate] if candidate else [])]

    def allow(self, quota: MemoryQuota) -> None:
        """Goes over to another quota, from the next reading on."""
        self._quota = quota
        self._reconfigure()

    def adopt(self, loaded: LoadedRevision, candidate: LoadedRevision | None = None) -> list[tuple[int, Alert]]:
        """Goes over to other revisions. Windows stay when entity, time and features do; so do open episodes.

        Returns what is to be told of those that end, with their partitions.
        """
        before = self.stable
        if before.loaded != loaded:
            self.stable = RunningRevision(self._source, loaded)
            self._statistical = self.stable.wants_levels
            if before.revision == loaded.revision:  # its model loaded meanwhile
                self.stable.count_on(before)
        self._adopt_candidate(candidate)
        asked = self._configured()
        ended = self._ended(self.closures(self.configuration, asked))
        if decides_otherwise(self.configuration.deciders, asked.deciders):
            for partition in sorted(set(self._entities.partitions)):
                ended += [(partition, alert) for alert in self.endings.renounced(partition, self.configuration.deciders.stable)]
        self.configuration = asked
        if not self.preprocessor.change(asked.intake):
            self.episodes = self._new_episodes()
        else:
            self.episodes.adopt(self.stable.name, self._policy(), self._window_names)
        if self.shadow is None:
            self.episodes.end_shadow()
        else:
            windows = [window.name for window in self.shadow.running.revision.pipeline.windows]
            self.episodes.shadow(self.shadow.running.name, self.shadow.rules(self._shares), windows)
        return ended

    @property
    def endings(self) -> Endings:
        """Ends episodes for what people said of them."""
        return Endings(self._source, self._entities, self.episodes.stable)

    def closures(self, before: Configuration, after: Configuration | None) -> Closures:
        """What ends when a partition goes over from a configuration to another; None: when what was known of it is void."""
        return Closures(self._source, before, after)

    def prepare(self) -> Configuration:
        """Before a batch: what the running baseline learns from may have changed with the one before, where a model failed."""
        if self.stable.wants_levels and not self._statistical:
            self._statistical = True
            self._reconfigure()
        return self.configuration

    def decide_as(self, configuration: Configuration) -> None:
        """Goes by a configuration that was written down: to decide once more what another process has decided."""
        self.configuration = configuration
        self.preprocessor.change(configuration.intake)

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
        if self._shares != self.configuration.deciders.partitions:
            self.episodes.adopt(self.stable.name, self._policy(), self._window_names)
        decoded = self.preprocessor.believe(parsed, messages)
        outcome = Outcome(decoded.rejects)
        left = len(decoded.batch)
        for portion in self.preprocessor.micro_batches(decoded.batch):
            if portion.leaving:
                self._part(portion.leaving, messages, outcome)
            taken = self.preprocessor.process(portion, messages.headers)
            outcome.readings += len(taken.readings.rows)
            outcome.tally += taken.tally
            self._under_way = self._score(messages, taken, outcome, executor)
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
        self.episodes.forget(partition)

    def snapshot(self, partition: int) -> dict[str, Any]:
        """State of a partition: names and plain arrays."""
        return self.preprocessor.snapshot(partition) | self.episodes.snapshot(partition)

    def restore(self, partition: int, state: Mapping[str, Any]) -> None:
        """Sets the state of a partition to a snapshot that was made under the same intake; what it lacks is as new."""
        slots = self.preprocessor.restore(partition, state)
        if "episodes" in state:
            self.episodes.put(partition, slots, state)

    @property
    def _entities(self) -> Entities:
        return self.preprocessor.entities

    def _adopt_candidate(self, candidate: LoadedRevision | None) -> None:
        """A candidate that is compared already goes on, with what is counted of it."""
        before, self.shadow, self._rejected = self.shadow, None, None
        if candidate is None:
            return
        failure, message = candidate.failure, candidate.message
        if candidate.complete and (apart := why_apart(self.stable.revision, candidate.revision, every_reading=self._statistical)):
            failure, message = RevisionFailure.INTAKE_DIFFERS, f"the candidate is not compared: {apart}"
        if failure is not None:
            name = candidate.revision.name
            self._rejected = RevisionEvidence(revision=name, role="candidate", loaded=False, failure=failure, message=message)
        else:
            self.shadow = before if before and before.running.loaded == candidate else Shadow(self._source, candidate)

    def _reconfigure(self) -> None:
        self.configuration = self._configured()
        self.preprocessor.change(self.configuration.intake)

    def _configured(self) -> Configuration:
        candidate = self.shadow.running if self.shadow is not None else None
        return composed(self.stable, candidate, self._quota, sparingly=not self._statistical)

    def _ended(self, closures: Closures) -> list[tuple[int, Alert]]:
        if not closures.any:
            return []
        names, partitions, episodes = self._entities.names, self._entities.partitions, self.episodes.stable
        found = []
        for partition, name, slot in sorted((partitions[slot], names[slot], slot) for slot in episodes.remembered()):
            found += [(partition, alert) for alert in closures.of_entity(name, episodes.state(slot))]
        for partition in episodes.limited():
            found += [(partition, alert) for alert in closures.of_partition(partition, episodes.state_of_partition(partition))]
        return found

    @property
    def _window_names(self) -> list[str]:
        return [window.name for window in self.stable.revision.pipeline.windows]

    def _new_episodes(self) -> RevisionEpisodes:
        return RevisionEpisodes(self._entities, self.stable.name, self._policy(), self._window_names)

    def _policy(self) -> EpisodePolicy:
        self._shares = self.configuration.deciders.partitions
        return EpisodePolicy(self.stable.revision.alerts, self._shares, self.stable.revision.thresholds)

    def _part(self, leaving: list[Evicted], messages: Messages, outcome: Outcome) -> None:
        """Closes the episodes of entities that are forgotten: nobody shall wait for their end."""
        gap = max(seconds(window.max_gap) for window in self.stable.revision.pipeline.windows) * MICROSECONDS
        outcome.left += leaving
        outcome.cut_off += sum(left.reason is Reason.BUDGET and left.idle <= gap for left in leaving)
        times = self.preprocessor.windows.newest(np.array([left.slot for left in leaving], np.int64)).tolist()
        ended = [
            EvictedEntity(left.row, left.slot, left.name, time, _ENDINGS[left.reason])
            for left, time in zip(leaving, times, strict=True)
            if self.episodes.stable.remembers(left.slot)
        ]
        if ended:
            self._tell(self.episodes.stable.observe([], messages.partitions, ended), None, {}, messages, outcome)

    def _score(self, messages: Messages, taken: Preprocessed, outcome: Outcome, executor: Executor) -> _UnderWay:
        """Begins to score: the stable revision's windows first."""
        by_window = dict(zip(map(_identity, self.configuration.intake.windows), taken.windows, strict=True))
        full = {each: batch for each, batch in by_window.items() if len(batch.slots)}
        stable = [full[each] for each in map(_identity, self.stable.revision.pipeline.windows) if each in full]
        asked = [(window, self.stable.score(window, taken.levels, executor)) for window in stable]
        shadowed: list[WindowBatch] = []
        shadow: list[Work[Scores]] = []
        if self.shadow is not None:
            wanted = self.shadow.running.revision.pipeline.windows
            shadowed = [full[each] for each in map(_identity, wanted) if each in full]
            shadow = self.shadow.score(shadowed, taken.levels, executor)
        return _UnderWay(messages, taken, asked, shadowed, shadow, outcome)

    def _decide(self) -> Outcome:
        """Tells what follows from the scores that are under way."""
        assert self._under_way is not None, "nothing was begun"
        under_way, self._under_way = self._under_way, None
        messages, taken, outcome = under_way.messages, under_way.taken, under_way.outcome
        scored: dict[str, ScoredWindows] = {}
        for window, asked in under_way.asked:
            scores = asked()
            if self.episodes.stable.trails(window.name):
                scores = self.stable.adjusted(window, scores, self.episodes.stable.adjusted)
            outcome.scored(scores.values)
            scored[window.name] = ScoredWindows(window, scores)
        kinds = [each.kind(taken.readings.rows) for each in scored.values()]
        walked = self.episodes.stable.observe(kinds, messages.partitions)
        self._tell(walked, taken, scored, messages, outcome)
        if self.observer is not None:
            self.observer(taken, scored, walked)
        if self.shadow is not None and self.episodes.candidate is not None:
            self.shadow.decide(
                self.episodes.candidate,
                under_way.shadowed,
                under_way.shadow,
                {name: (each.window, each.scores) for name, each in scored.items()},
                taken.readings.rows,
                messages.partitions,
                self.stable.revision.alerts.open.above,
            )
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


def _identity(window: Window) -> tuple[str, int, int, str]:
    """Windows that are equal in this are the same windows."""
    return window.name, window.size, window.every, window.max_gap
