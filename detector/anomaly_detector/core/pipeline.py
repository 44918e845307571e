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

from anomaly_api.evidence import RevisionEvidence
from anomaly_api.schema import seconds
from anomaly_detector.core.alerts.alert import Alert
from anomaly_detector.core.alerts.builder import ScoredWindows
from anomaly_detector.core.alerts.silence import SilentEntities
from anomaly_detector.core.apart import Apart
from anomaly_detector.core.columns import MICROSECONDS, Messages
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
from anomaly_detector.core.preprocess.intakes import Intakes
from anomaly_detector.core.preprocess.preprocessor import Preprocessed, Preprocessor
from anomaly_detector.core.roles import Roles
from anomaly_detector.core.scoring.executor import Executor, inline
from anomaly_detector.core.scoring.revisions import Clock, LoadedRevision, RunningRevision, no_clock
from anomaly_detector.core.shadow import Shadow, Terms

Observer = Callable[[Preprocessed, Mapping[str, ScoredWindows], Processed], None]
"""Sees what a portion of a batch became: its readings, its windows with their scores, what they led to."""


class DetectionPipeline:
    """Everything between a batch of messages and its alerts."""

    def __init__(self, source: str, loaded: LoadedRevision, quota: MemoryQuota | None = None, clock: Clock = no_clock) -> None:
        """Without a quota no entity is ever forgotten; `clock` tells how long models take."""
        self._source = source
        self._roles = Roles(source, loaded, quota, clock)
        self.configuration = self._roles.configured()
        """What decides the readings of the next batch, and how they are taken in."""
        self.intakes = Intakes(self.configuration.intake)
        self._apart: Apart | None = None
        """The candidate's own way, if it cannot share the windows."""
        self._shares = 0
        """Partitions by which limits are shared."""
        self.episodes = self._new_episodes()
        self._under_way: UnderWay | None = None
        self.observers: tuple[Observer, ...] = ()
        """A backtest wants every score; a pod counts what it decides."""

    @property
    def stable(self) -> RunningRevision:
        """The revision that decides, but for the entities that are the candidate's."""
        return self._roles.stable

    @property
    def shadow(self) -> Shadow | None:
        """The candidate, if there is one that can be compared."""
        return self._roles.shadow

    @property
    def most_messages(self) -> int:
        """Messages that a batch should have at most."""
        return self.intakes.most_messages

    @property
    def preprocessor(self) -> Preprocessor:
        """What makes the windows that are decided."""
        return self.intakes.main

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
        candidate = self._apart.evidence() if self._apart is not None else self._roles.candidate
        return [self.stable.evidence(), *([candidate] if candidate else [])]

    def allow(self, quota: MemoryQuota) -> None:
        """Goes over to another quota, from the next reading on."""
        self._roles.quota = quota
        self._reconfigure()

    def adopt(
        self, loaded: LoadedRevision, candidate: LoadedRevision | None = None, terms: Terms | None = None
    ) -> list[tuple[int, Alert]]:
        """Goes over to other revisions, or to other terms for the candidate: by default it is in shadow.

        Windows stay when entity, time and features do; so do open episodes. Returns what is to be told of those that end, with
        their partitions.
        """
        self._roles.adopt(loaded, candidate, terms or Terms())
        return self._go_over(self._roles.configured())

    @property
    def endings(self) -> Endings:
        """Ends episodes for what people said of them."""
        return Endings(self._source, self._entities, self.episodes.told)

    def closures(self, before: Configuration, after: Configuration | None) -> Closures:
        """What ends when a partition goes over from a configuration to another; None: when what was known of it is void."""
        return Closures(self._source, before, after)

    def prepare(self) -> Configuration:
        """Before a batch: what the running baseline learns from may have changed with the one before, where a model failed."""
        if self._roles.look() or (self._apart is not None and self._apart.shadow.failed):
            self._reconfigure()
        return self.configuration

    def decide_as(self, configuration: Configuration) -> None:
        """Goes by a configuration that was written down: to decide once more what another process has decided."""
        self.configuration = configuration
        self.intakes.change(configuration.intake, configuration.beside)
        self._set_apart()

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
            if taken.silences:
                outcome.alerts += self.silent(self.preprocessor).told(taken.silences)
            outcome.readings += len(taken.readings.rows)
            outcome.tally += taken.tally
            self._under_way = self._deciding.score(messages, taken, outcome, executor)
            left -= len(portion.batch)
            if left:
                self._decide()  # who leaves with the next portion has a name until that is asked for
        if self._apart is not None:
            self._apart.begin(messages, decoded.rejects, executor)

    def finish(self) -> Outcome:
        """Decides what was begun."""
        outcome = self._decide()
        if self._apart is not None:
            self._apart.finish(self.stable.revision.alerts.open.above)
        outcome.alerts.sort(key=lambda alert: alert.row)
        return outcome

    def forget(self, partition: int) -> None:
        """Drops the state of a partition."""
        self.intakes.forget(partition)
        self.episodes.forget(partition)

    def snapshot(self, partition: int) -> dict[str, Any]:
        """State of a partition: names and plain arrays."""
        return self.intakes.snapshot(partition) | self.episodes.snapshot(partition)

    def restore(self, partition: int, state: Mapping[str, Any]) -> None:
        """Sets the state of a partition to a snapshot that was made under the same intake; what it lacks is as new."""
        self.intakes.restore(partition, state)
        if "episodes" in state:
            slots = self.preprocessor.entities.known(partition)
            self.episodes.put(partition, np.array([slots[name] for name in state["names"]], np.int64), state)

    @property
    def _entities(self) -> Entities:
        return self.preprocessor.entities

    def _go_over(self, asked: Configuration) -> list[tuple[int, Alert]]:
        """To another configuration; returns what is to be told of episodes that end with it."""
        before, self.configuration = self.configuration, asked
        ended = self.episodes.ended(self.closures(before, asked)) + self.silent(self.preprocessor).ended(
            before.intake, asked.intake
        )
        for partition in sorted(set(self._entities.partitions)):
            told = self.endings.renounced(partition, before.deciders, asked.deciders)
            ended += [(partition, alert) for alert in told]
        if not self.intakes.change(asked.intake, asked.beside):
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
        if self.shadow is not None and not self.shadow.apart:
            running, policy = self.shadow.running, self.shadow.policy(self.configuration.deciders.partitions)
            names = [window.name for window in running.revision.pipeline.windows]
            comparison = Comparison(running.name, policy, names, decides=self.configuration.deciders.weight > 0)
        self.episodes.adopt(self.stable.name, self._policy(), self._window_names, comparison)
        self._set_apart()

    def _set_apart(self) -> None:
        """The candidate's own way follows the intake that was configured for it."""
        beside, known = self.intakes.beside, self._apart
        if self.shadow is None or beside is None:
            self._apart = None
        elif known is None or known.shadow is not self.shadow or known.preprocessor is not beside:
            self._apart = Apart(self.shadow, beside, self.configuration.deciders.partitions)
        else:
            known.adopt(self.configuration.deciders.partitions)

    def silent(self, preprocessor: Preprocessor) -> SilentEntities:
        """Tells of entities that are silent, as far as somebody remembers."""
        return SilentEntities(self._source, self.stable.revision.name, self._policy(), preprocessor)

    @property
    def _deciding(self) -> Deciding:
        shadow = self.shadow if self._apart is None and not (self.shadow and self.shadow.apart) else None
        return Deciding(self._source, self.configuration, self.stable, shadow, self.episodes)

    def _reconfigure(self) -> None:
        self.configuration = self._roles.configured()
        self.intakes.change(self.configuration.intake, self.configuration.beside)
        self._set_apart()

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
        outcome.alerts += self.silent(self.preprocessor).left(leaving)
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
                under_way.outcome.ended += self._go_over(self._roles.configured())
        deciding = self._deciding
        walked = deciding.decide(under_way, ours, theirs)
        for observer in self.observers:
            observer(under_way.taken, ours, walked)
        if self._apart is not None:
            self._apart.stable(ours, self._entities, walked)
        deciding.compare(under_way, ours, theirs or deciding.by_candidate(under_way), walked)
        return under_way.outcome
