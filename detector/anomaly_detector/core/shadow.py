"""A candidate in shadow: it scores the windows that the stable revision decides, and is compared with it. It decides nothing.

    windows  >  stable     > episodes > alerts
             `> candidate  > episodes > counts:  both, only stable, only candidate, neither

A candidate can fail in any way: then it is not asked again until another assignment comes, and the stable revision goes on as if
there had never been one.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from msgspec import Struct

from anomaly_api.alerting import AlertPolicy
from anomaly_api.comparison import PairedEvidence
from anomaly_api.evidence import RevisionEvidence, RevisionFailure
from anomaly_detector.core.columns import Int64
from anomaly_detector.core.episodes.policy import EpisodePolicy
from anomaly_detector.core.episodes.processor import WindowScores
from anomaly_detector.core.episodes.table import Episodes
from anomaly_detector.core.preprocess.windows import WindowBatch
from anomaly_detector.core.scoring.executor import Executor, Work
from anomaly_detector.core.scoring.revisions import LoadedRevision, RunningRevision, Scores
from anomaly_detector.core.scoring.statistical import RunningBaseline

log: Final = logging.getLogger(__name__)


class Pairs(Struct):
    """Windows that both revisions scored, by which of them found it above the score that opens an episode."""

    both: int = 0
    only_stable: int = 0
    only_candidate: int = 0
    neither: int = 0

    def add(self, stable: Scores, above_stable: float, candidate: Scores, above_candidate: float) -> None:
        """The same windows by both. One that only one of them could score counts nowhere."""
        paired = ~(np.isnan(stable.values) | np.isnan(candidate.values))
        first, second = (stable.values > above_stable)[paired], (candidate.values > above_candidate)[paired]
        both, count = int(np.count_nonzero(first & second)), int(np.count_nonzero(paired))
        only_stable, only_candidate = int(np.count_nonzero(first)) - both, int(np.count_nonzero(second)) - both
        self.both += both
        self.only_stable += only_stable
        self.only_candidate += only_candidate
        self.neither += count - both - only_stable - only_candidate


class Shadow:
    """The candidate, and what is known of how it compares."""

    def __init__(self, source: str, loaded: LoadedRevision) -> None:
        self.running = RunningRevision(source, loaded)
        self.pairs = {window.name: Pairs() for window in loaded.revision.pipeline.windows}
        self.failed = False

    @property
    def policy(self) -> AlertPolicy:
        """The candidate's alert policy."""
        return self.running.revision.alerts

    def rules(self, partitions: int) -> EpisodePolicy:
        """The policy made ready; `partitions`: of the source topic."""
        return EpisodePolicy(self.policy, partitions, self.running.revision.thresholds)

    def score(self, windows: Sequence[WindowBatch], baseline: RunningBaseline, executor: Executor) -> list[Work[Scores]]:
        """Begins to score windows; behind the stable revision's, so that those are not kept waiting."""
        return [] if self.failed else [self.running.score(window, baseline, executor) for window in windows]

    def decide(
        self,
        episodes: Episodes,
        windows: Sequence[WindowBatch],
        asked: Sequence[Work[Scores]],
        decided: Mapping[str, tuple[WindowBatch, Scores]],
        messages: Int64,
        partitions: Int64,
        above: float,
    ) -> None:
        """Takes the scores in. `decided`: those of the stable revision, by window; `above`: from which on it opens an episode."""
        if self.failed:
            return
        try:
            scored = [work() for work in asked]
            scored = [
                self.running.adjusted(window, scores, episodes.adjusted) if episodes.trails(window.name) else scores
                for window, scores in zip(windows, scored, strict=True)
            ]
        except Exception as error:  # noqa: BLE001 - however it fails, the stable revision goes on
            self._fail(f"{type(error).__name__}: {error}")
            return
        if self.running.failure is not None or self.running.fallback_windows or self.running.unscored_windows:
            self._fail(self.running.message or "a score is not finite")
            return
        kinds = [
            WindowScores(window.name, messages, window.places, window.slots, window.times, scores.values)
            for window, scores in zip(windows, scored, strict=True)
        ]
        self.running.episodes += episodes.observe(kinds, partitions).opened
        ours = EpisodePolicy(self.policy).above
        for window, scores in zip(windows, scored, strict=True):
            stable = decided.get(window.name)
            if stable is not None and stable[0] is window:
                self.pairs[window.name].add(stable[1], above, scores, ours)

    def evidence(self) -> RevisionEvidence:
        """What the operator is told."""
        paired = [
            PairedEvidence(
                window=name,
                both=each.both,
                only_stable=each.only_stable,
                only_candidate=each.only_candidate,
                neither=each.neither,
            )
            for name, each in self.pairs.items()
        ]
        return self.running.evidence("candidate").model_copy(update={"paired": paired})

    def _fail(self, message: str) -> None:
        log.warning("candidate %s is not asked any more: %s", self.running.name, message)
        self.failed = True
        self.running.failure, self.running.message = RevisionFailure.SCORING_FAILED, message
