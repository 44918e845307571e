"""A candidate: it scores the windows that the stable revision scores, is compared with it, and decides its share of entities.

    windows  >  stable     >  episodes of both, each alone  >  counts: both, only stable, only candidate, neither
             `> candidate  `> who decides the entity        >  episodes that are told > alerts

A candidate can fail in any way: then it is not asked again until another assignment comes, the stable revision decides all, and
goes on as if there had never been one. With a weight of 0 it is in shadow: it decides nothing, and nothing waits for it.
"""

import logging
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Final

from msgspec import Struct

from anomaly_api.comparison import WouldBeAlert
from anomaly_api.evidence import RevisionEvidence, RevisionFailure
from anomaly_api.schema import seconds
from anomaly_detector.core.alerts.builder import ScoredWindows
from anomaly_detector.core.columns import MICROSECONDS, Float32, Int64
from anomaly_detector.core.entities.table import Entities
from anomaly_detector.core.episodes.by_revision import RevisionEpisodes
from anomaly_detector.core.episodes.episode import Transition
from anomaly_detector.core.episodes.policy import EpisodePolicy
from anomaly_detector.core.episodes.processor import Processed
from anomaly_detector.core.episodes.table import Episodes
from anomaly_detector.core.episodes.transitions import EpisodeTransition
from anomaly_detector.core.pairs import Pairs
from anomaly_detector.core.preprocess.windows import WindowBatch
from anomaly_detector.core.scoring.executor import Executor, Work
from anomaly_detector.core.scoring.revisions import LoadedRevision, RunningRevision, Scores
from anomaly_detector.core.scoring.statistical import RunningBaseline

log: Final = logging.getLogger(__name__)
_RECENT: Final = 5


class Terms(Struct, frozen=True):
    """On which a candidate takes part."""

    weight: int = 0
    """Percent of the entities that it decides."""
    rollout: str = ""
    """Name of the rollout."""


class Shadow:
    """The candidate, and what is known of how it compares with one stable revision in one rollout."""

    def __init__(self, running: RunningRevision, stable: str, terms: Terms, apart: str = "") -> None:
        self.running, self.stable, self.terms = running, stable, terms
        self.apart = apart
        """Why it has an intake of its own, and can decide nothing beside the stable revision; empty: it shares the windows."""
        self.errors = 0
        self._recent: deque[WouldBeAlert] = deque(maxlen=_RECENT)
        windows = running.revision.pipeline.windows
        self._pairs = {each.name: Pairs(each.name, round(seconds(each.max_gap) * MICROSECONDS)) for each in windows}
        self._above = EpisodePolicy(running.revision.alerts).above
        self._attached: Entities | None = None

    @property
    def failed(self) -> bool:
        """Whether it is not asked any more."""
        return self.errors > 0

    @property
    def weight(self) -> int:
        """Percent of the entities that it decides now."""
        return 0 if self.failed or self.apart else self.terms.weight

    def continues(self, loaded: LoadedRevision, stable: str, terms: Terms, apart: str) -> bool:
        """Whether counts go on under another assignment: with the same two revisions, in the same rollout."""
        return self.running.loaded == loaded and (self.stable, self.terms.rollout, self.apart) == (stable, terms.rollout, apart)

    def policy(self, partitions: int) -> EpisodePolicy:
        """Its alert policy made ready; `partitions`: of the source topic."""
        return EpisodePolicy(self.running.revision.alerts, partitions, self.running.revision.thresholds)

    def attach(self, entities: Entities) -> None:
        """From now on it counts over this table of entities."""
        if self._attached is not entities:
            self.detach()
            self._attached = entities
            for each in self._pairs.values():
                entities.attach(each)

    def detach(self) -> None:
        """It is not compared any more."""
        if self._attached is not None:
            for each in self._pairs.values():
                self._attached.detach(each)
            self._attached = None

    def score(
        self,
        windows: Sequence[WindowBatch],
        baseline: RunningBaseline,
        executor: Executor,
        known: Mapping[int, Work[Float32] | None] | None = None,
    ) -> list[Work[Scores]]:
        """Begins to score windows; behind the stable revision's, so that those are not kept waiting.

        `known`: where both have one model, what it has been asked for already, by the identity of the windows.
        """
        if self.failed:
            return []
        asked = known or {}
        return [self.running.score(window, baseline, executor, asked.get(id(window))) for window in windows]

    def take(
        self, episodes: Episodes, windows: Sequence[WindowBatch], asked: Sequence[Work[Scores]]
    ) -> dict[str, ScoredWindows] | None:
        """Its scores, by window. None: it has failed, now or before."""
        if self.failed:
            return None
        try:
            scored = [work() for work in asked]
            scored = [
                self.running.adjusted(window, scores, episodes.adjusted) if episodes.trails(window.name) else scores
                for window, scores in zip(windows, scored, strict=True)
            ]
        except Exception as error:  # noqa: BLE001 - however it fails, the stable revision goes on
            self.fail(f"{type(error).__name__}: {error}")
            return None
        if self.running.failure is not None or self.running.not_finite:
            self.fail(self.running.message or "a score is not finite", self.running.failure)
            return None
        return {window.name: ScoredWindows(window, scores) for window, scores in zip(windows, scored, strict=True)}

    def compare(
        self,
        episodes: RevisionEpisodes,
        ours: Mapping[str, ScoredWindows],
        theirs: Mapping[str, ScoredWindows],
        told: Processed,
        above: float,
        messages: Int64,
        partitions: Int64,
    ) -> Processed:
        """Counts a batch, and returns what the stable revision alone would have made of it.

        `told` is what became of it; `above`: from which score on the stable revision opens an episode.
        """
        assert episodes.candidate is not None, "there is a candidate"
        mine = episodes.candidate.observe([each.kind(messages) for each in theirs.values()], partitions)
        alone = told
        if episodes.alone is not None:
            alone = episodes.alone.observe([each.kind(messages) for each in ours.values()], partitions)
        self.note(mine)
        self.count_episodes(stable=alone.opened_in)
        for name, each in theirs.items():
            stable = ours.get(name)
            if stable is not None and stable.window is each.window:
                window = each.window
                self.pair(name, window.slots, window.times, (stable.scores.values, above), each.scores.values)
        return alone

    def pair(self, name: str, slots: Int64, times: Int64, stable: tuple[Float32, float], candidate: Float32) -> None:
        """Counts [n] windows that both scored; `slots` in the table of entities that it is attached to."""
        self._pairs[name].add(slots, times, stable, (candidate, self._above))

    def count_episodes(self, *, stable: Mapping[str, int]) -> None:
        """By window, episodes that the stable revision alone would have opened."""
        for name, pairs in self._pairs.items():
            pairs.stable_episodes += stable.get(name, 0)

    def evidence(self) -> RevisionEvidence:
        """What the operator is told."""
        more = {
            "errors": self.errors,
            "against": self.stable,
            "rollout": self.terms.rollout,
            "weight": self.weight,
            "paired": [each.evidence() for each in self._pairs.values()],
            "recent": list(self._recent),
        }
        return self.running.evidence("candidate").model_copy(update=more)

    def note(self, found: Processed) -> None:
        """What the candidate would have told."""
        self.running.episodes += found.opened
        for name, pairs in self._pairs.items():
            pairs.candidate_episodes += found.opened_in.get(name, 0)
        for record in found.records:
            if isinstance(record, EpisodeTransition) and record.turn is Transition.OPENED:
                time = record.time / MICROSECONDS
                self._recent.append(WouldBeAlert(entity=record.entity, window=record.window, time=time, score=record.score))

    def fail(self, message: str, failure: RevisionFailure | None = None) -> None:
        """It is not asked any more."""
        log.warning("candidate %s is not asked any more: %s", self.running.name, message)
        self.errors += 1
        self.running.failure, self.running.message = failure or RevisionFailure.SCORING_FAILED, message
