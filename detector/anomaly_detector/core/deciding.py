"""From windows to alerts: every revision scores them, one decides each entity, and what it decides is told. It takes nothing in.

windows  >  scores by stable     `>  of each entity those of who decides it  >  episodes that are told  >  alerts
`> scores by candidate  `>  both: compared, counted
"""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from anomaly_api.alert import EpisodeReason
from anomaly_api.source import Window
from anomaly_detector.core.alerts.alert import Alert
from anomaly_detector.core.alerts.builder import AlertBuilder, ScoredWindows
from anomaly_detector.core.columns import Float32, Int64, Messages
from anomaly_detector.core.configuration import Configuration
from anomaly_detector.core.entities.lru import Reason
from anomaly_detector.core.entities.micro_batch import Evicted
from anomaly_detector.core.episodes.by_revision import RevisionEpisodes
from anomaly_detector.core.episodes.processor import Processed, WindowScores
from anomaly_detector.core.episodes.transitions import EpisodeTransition, EvictedEntity
from anomaly_detector.core.outcome import Outcome
from anomaly_detector.core.preprocess.preprocessor import Preprocessed
from anomaly_detector.core.preprocess.windows import WindowBatch
from anomaly_detector.core.scoring.executor import Executor, Work
from anomaly_detector.core.scoring.revisions import RunningRevision, Scores
from anomaly_detector.core.shadow import Shadow

_ENDINGS: Final = {Reason.BUDGET: EpisodeReason.EVICTED, Reason.IDLE: EpisodeReason.IDLE}
Scored = Mapping[str, ScoredWindows]
"""Scores of one revision, by the name of the window."""


class UnderWay(Struct, frozen=True):
    """What was taken in and is not decided yet."""

    messages: Messages
    taken: Preprocessed
    asked: list[tuple[WindowBatch, Work[Scores]]]
    """The stable revision's windows, and how to ask for their scores."""
    shadowed: list[WindowBatch]
    shadow: list[Work[Scores]]
    """The same of the candidate."""
    outcome: Outcome


class Deciding(Struct, frozen=True):
    """The revisions that score, and who decides: under one configuration."""

    source: str
    configuration: Configuration
    stable: RunningRevision
    shadow: Shadow | None
    episodes: RevisionEpisodes

    def score(self, messages: Messages, taken: Preprocessed, outcome: Outcome, executor: Executor) -> UnderWay:
        """Begins to score: the stable revision's windows first."""
        by_window = dict(zip(map(_identity, self.configuration.intake.windows), taken.windows, strict=True))
        full = {each: batch for each, batch in by_window.items() if len(batch.slots)}
        chosen = _chosen(full, self.stable.revision.pipeline.windows)
        known = {window.name: self.stable.ask(window, executor) for window in chosen}
        asked = [(window, self.stable.score(window, taken.levels, executor, known[window.name])) for window in chosen]
        if self.shadow is None:
            return UnderWay(messages, taken, asked, [], [], outcome)
        shadowed = _chosen(full, self.shadow.running.revision.pipeline.windows)
        one_model = self.shadow.running.loaded.model is self.stable.loaded.model
        shared = {id(window): known[window.name] for window in chosen} if one_model else {}
        return UnderWay(messages, taken, asked, shadowed, self.shadow.score(shadowed, taken.levels, executor, shared), outcome)

    def by_stable(self, under_way: UnderWay) -> Scored:
        """Waits for the scores of the stable revision."""
        found: dict[str, ScoredWindows] = {}
        for window, asked in under_way.asked:
            scores = asked()
            if self.episodes.told.trails(window.name):
                scores = self.stable.adjusted(window, scores, self.episodes.told.adjusted)
            found[window.name] = ScoredWindows(window, scores)
        return found

    def by_candidate(self, under_way: UnderWay) -> Scored | None:
        """Waits for the scores of the candidate. None: there is none, or it has failed."""
        if self.shadow is None or self.episodes.candidate is None:
            return None
        return self.shadow.take(self.episodes.candidate, under_way.shadowed, under_way.shadow)

    def decide(self, under_way: UnderWay, ours: Scored, theirs: Scored | None) -> Processed:
        """Tells what follows from the scores. Without `theirs` no entity is the candidate's."""
        messages, taken = under_way.messages, under_way.taken
        rows, weight = taken.readings.rows, self.configuration.deciders.weight
        if theirs is None or not weight:
            kinds = [each.kind(rows) for each in ours.values()]
        else:
            kinds = [*self._shared(ours, rows, by_candidate=False), *self._shared(theirs, rows, by_candidate=True)]
        for kind in kinds:
            under_way.outcome.scored(kind.scores)
        walked = self.episodes.told.observe(kinds, messages.partitions)
        self._tell(walked, taken, (ours, theirs or {}), messages, under_way.outcome)
        return walked

    def compare(self, under_way: UnderWay, ours: Scored, theirs: Scored | None, walked: Processed) -> None:
        """Counts what each would have made of it alone."""
        if self.shadow is None or theirs is None:
            self.stable.episodes += walked.opened
            return
        above, rows = self.stable.revision.alerts.open.above, under_way.taken.readings.rows
        alone = self.shadow.compare(self.episodes, ours, theirs, walked, above, rows, under_way.messages.partitions)
        self.stable.episodes += alone.opened

    def part(self, leaving: Sequence[Evicted], times: Int64, messages: Messages, outcome: Outcome) -> None:
        """Closes the episodes of entities that are forgotten: nobody shall wait for their end. `times`: their last ones."""
        ended = [
            EvictedEntity(
                left.row, left.slot, left.name, time, _ENDINGS[left.reason], self.configuration.deciders.drawn(left.name)
            )
            for left, time in zip(leaving, times.tolist(), strict=True)
            if self.episodes.told.remembers(left.slot)
        ]
        if ended:
            walked = self.episodes.told.observe([], messages.partitions, ended)
            self._tell(walked, None, ({}, {}), messages, outcome)

    def _shared(self, scored: Scored, rows: Int64, *, by_candidate: bool) -> list[WindowScores]:
        """Windows of the entities that one of them decides; the others have no score here."""
        deciders, found = self.configuration.deciders, []
        for each in scored.values():
            drawn = self.episodes.draws.below(each.window.slots, deciders.weight, deciders.rollout)
            scores: Float32 = np.where(drawn == by_candidate, each.scores.values, np.float32(np.nan))
            found.append(replace(each.kind(rows), scores=scores, by_candidate=by_candidate))
        return found

    def _tell(
        self,
        walked: Processed,
        taken: Preprocessed | None,
        scored: tuple[Scored, Scored],
        messages: Messages,
        outcome: Outcome,
    ) -> None:
        outcome.dropped += walked.dropped
        if not walked.records:
            return
        traces, levels = (taken.traces, taken.levels) if taken else (None, None)
        alerts: dict[int, Alert] = {}
        for revision, of_candidate in ((self.stable, False), (self.shadow.running if self.shadow else None, True)):
            chosen = {
                place: record
                for place, record in enumerate(walked.records)
                if (isinstance(record, EpisodeTransition) and record.by_candidate) is of_candidate
            }
            if chosen and revision is not None:
                builder = AlertBuilder(self.source, revision, messages, traces)
                alerts |= zip(chosen, builder.tell(list(chosen.values()), scored[of_candidate], levels), strict=True)
        outcome.alerts += [alert for _, alert in sorted(alerts.items())]
        outcome.suppressed += sum(
            isinstance(record, EpisodeTransition) and record.suppressed_by is not None for record in walked.records
        )


def _chosen(full: Mapping[tuple[str, int, int, str], WindowBatch], windows: Sequence[Window]) -> list[WindowBatch]:
    return [full[each] for each in map(_identity, windows) if each in full]


def _identity(window: Window) -> tuple[str, int, int, str]:
    """Windows that are equal in this are the same windows."""
    return window.name, window.size, window.every, window.max_gap
