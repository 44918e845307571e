"""The stages put together: messages in, alerts and rejects out. A function of its state and the batch; it knows no broker.

    messages -> decode -> windows -> scores of every revision -> episodes, by the revision that decides -> alerts
              `> rejects                                                  entities that are forgotten `> alerts

A batch can be left half way, while its windows are being scored (`begin`), and decided later (`finish`): meanwhile the next one
is parsed. Its state is touched in the order of the stream all the same, so what comes out does not depend on it.

All windows are scored by every revision; exactly one decides each. State belongs to partitions: that of one can be saved, given
up and restored without touching the others.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from anomaly_api.evidence import RevisionEvidence, RevisionFailure
from anomaly_api.schema import seconds
from anomaly_detector.core.alerts.alert import Alert
from anomaly_detector.core.alerts.builder import ScoredWindows
from anomaly_detector.core.columns import MICROSECONDS, Messages
from anomaly_detector.core.composition import composed
from anomaly_detector.core.configuration import Configuration
from anomaly_detector.core.deciding import Deciding, UnderWay
from anomaly_detector.core.decode.json import Decoded
from anomaly_detector.core.entities.lru import Reason
from anomaly_detector.core.entities.micro_batch import Evicted
from anomaly_detector.core.entities.quota import MemoryQuota
from anomaly_detector.core.entities.table import Entities
from anomaly_detector.core.episodes.by_revision import Comparison, RevisionEpisodes
from anomaly_detector.core.episodes.closures import Closures
from anomaly_detector.core.episodes.policy import EpisodePolicy
from anomaly_detector.core.episodes.processor import Processed
from anomaly_detector.core.feedback.endings import Endings
from anomaly_detector.core.outcome import Outcome
from anomaly_detector.core.preprocess.preprocessor import Preprocessed, Preprocessor
from anomaly_detector.core.scoring.executor import Executor, inline
from anomaly_detector.core.scoring.revisions import Clock, LoadedRevision, RunningRevision, no_clock
from anomaly_detector.core.scoring.sharing import why_apart
from anomaly_detector.core.shadow import Shadow, Terms

Observer = Callable[[Preprocessed, Mapping[str, ScoredWindows], Processed], None]
"""Sees what a portion of a batch became: its readings, its windows with their scores, what they led to."""


class DetectionPipeline:
    """Everything between a batch of messages and its alerts."""

    def __init__(self, source: str, loaded: LoadedRevision, quota: MemoryQuota | None = None, clock: Clock = no_clock) -> None:
        """Without a quota no entity is ever forgotten; `clock` tells how long models take."""
        self._source, self._clock = source, clock
        self._quota = quota
        self.stable = RunningRevision(source, loaded, clock)
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
        self._under_way: UnderWay | None = None
        self.observers: tuple[Observer, ...] = ()
        """A backtest wants every score; a pod counts what it decides."""

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
        return len(self._entities) - int(np.count_nonzero(self.episodes.told.scored))

    @property
    def limiting(self) -> int:
        """Limits that hold episodes back."""
        return self.episodes.told.limiting

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

    def adopt(
        self, loaded: LoadedRevision, candidate: LoadedRevision | None = None, terms: Terms | None = None
    ) -> list[tuple[int, Alert]]:
        """Goes over to other revisions, or to other terms for the candidate: by default it is in shadow.

        Windows stay when entity, time and features do; so do open episodes. Returns what is to be told of those that end, with
        their partitions.
        """
        before = self.stable
        if before.loaded != loaded:
            self.stable = RunningRevision(self._source, loaded, self._clock)
            self._statistical = self.stable.wants_levels
            if before.revision == loaded.revision:  # its model loaded meanwhile
                self.stable.count_on(before)
        self._adopt_candidate(candidate, terms or Terms())
        return self._go_over(self._configured())

    @property
    def endings(self) -> Endings:
        """Ends episodes for what people said of them."""
        return Endings(self._source, self._entities, self.episodes.told)

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
            self._set_episodes()
        decoded = self.preprocessor.believe(parsed, messages)
        outcome = Outcome(decoded.rejects, skips=decoded.skips)
        left = len(decoded.batch)
        for portion in self.preprocessor.micro_batches(decoded.batch):
            if portion.leaving:
                self._part(portion.leaving, messages, outcome)
            taken = self.preprocessor.process(portion, messages.headers)
            outcome.readings += len(taken.readings.rows)
            outcome.tally += taken.tally
            self._under_way = self._deciding.score(messages, taken, outcome, executor)
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

    def _adopt_candidate(self, candidate: LoadedRevision | None, terms: Terms) -> None:
        """A candidate that is compared already goes on, with what is counted of it."""
        before, self.shadow, self._rejected = self.shadow, None, None
        if candidate is not None and candidate.revision != self.stable.revision:
            failure, message = candidate.failure, candidate.message
            if candidate.complete and (
                apart := why_apart(self.stable.revision, candidate.revision, every_reading=self._statistical)
            ):
                failure, message = RevisionFailure.INTAKE_DIFFERS, f"the candidate is not compared: {apart}"
            if failure is not None:
                name = candidate.revision.name
                self._rejected = RevisionEvidence(
                    revision=name, role="candidate", loaded=False, failure=failure, message=message, rollout=terms.rollout
                )
            elif before is not None and before.continues(candidate, self.stable.name, terms):
                self.shadow, before.terms = before, terms
            else:
                self.shadow = Shadow(RunningRevision(self._source, candidate, self._clock), self.stable.name, terms)
        if before is not None and before is not self.shadow:
            before.detach()

    def _go_over(self, asked: Configuration) -> list[tuple[int, Alert]]:
        """To another configuration; returns what is to be told of episodes that end with it."""
        before, self.configuration = self.configuration, asked
        ended = self._ended(self.closures(before, asked))
        for partition in sorted(set(self._entities.partitions)):
            told = self.endings.renounced(partition, before.deciders, asked.deciders)
            ended += [(partition, alert) for alert in told]
        if not self.preprocessor.change(asked.intake):
            self.episodes = self._new_episodes()
        self._set_episodes()
        if len(before.deciders.deciding) + len(asked.deciders.deciding) > 2:
            self.episodes.keep(asked.deciders)
        return ended

    def _set_episodes(self) -> None:
        """Each revision's episodes go by its policy."""
        comparison = None
        if self.shadow is not None:
            self.shadow.attach(self._entities)
            running, policy = self.shadow.running, self.shadow.policy(self.configuration.deciders.partitions)
            names = [window.name for window in running.revision.pipeline.windows]
            comparison = Comparison(running.name, policy, names, decides=self.configuration.deciders.weight > 0)
        self.episodes.adopt(self.stable.name, self._policy(), self._window_names, comparison)

    @property
    def _deciding(self) -> Deciding:
        return Deciding(self._source, self.configuration, self.stable, self.shadow, self.episodes)

    def _reconfigure(self) -> None:
        self.configuration = self._configured()
        self.preprocessor.change(self.configuration.intake)

    def _configured(self) -> Configuration:
        return composed(self.stable, self.shadow, self._quota, sparingly=not self._statistical)

    def _ended(self, closures: Closures) -> list[tuple[int, Alert]]:
        if not closures.any:
            return []
        names, partitions, episodes = self._entities.names, self._entities.partitions, self.episodes.told
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
        """Entities are forgotten."""
        gap = max(seconds(window.max_gap) for window in self.stable.revision.pipeline.windows) * MICROSECONDS
        outcome.left += leaving
        outcome.cut_off += sum(left.reason is Reason.BUDGET and left.idle <= gap for left in leaving)
        times = self.preprocessor.windows.newest(np.array([left.slot for left in leaving], np.int64))
        self._deciding.part(leaving, times, messages, outcome)

    def _decide(self) -> Outcome:
        """Tells what follows from the scores that are under way."""
        assert self._under_way is not None, "nothing was begun"
        under_way, self._under_way = self._under_way, None
        ours = self._deciding.by_stable(under_way)
        theirs = None
        if self.configuration.deciders.weight:  # else nothing waits for it
            theirs = self._deciding.by_candidate(under_way)
            if theirs is None:
                under_way.outcome.ended += self._go_over(self._configured())
        deciding = self._deciding
        walked = deciding.decide(under_way, ours, theirs)
        for observer in self.observers:
            observer(under_way.taken, ours, walked)
        deciding.compare(under_way, ours, theirs or deciding.by_candidate(under_way), walked)
        return under_way.outcome
