"""A revision that runs: model or fallback, thresholds, alert policy. It scores windows and does not know which one decides."""

from collections.abc import Callable
from functools import partial
from typing import Literal

import numpy as np
from msgspec import Struct

from anomaly_api.alert import ScorerKind
from anomaly_api.assignment import Revision
from anomaly_api.calibration import ThresholdSource, WindowThreshold
from anomaly_api.evidence import RevisionEvidence, RevisionFailure
from anomaly_detector.core.alerts.alert import Decision, Explanation
from anomaly_detector.core.columns import Float32, Int64, Mask
from anomaly_detector.core.configuration import Decider
from anomaly_detector.core.preprocess.windows import WindowBatch
from anomaly_detector.core.scoring import scale
from anomaly_detector.core.scoring.executor import Executor, Once, Work, inline
from anomaly_detector.core.scoring.graphs import ScoringError
from anomaly_detector.core.scoring.judged import Judged
from anomaly_detector.core.scoring.onnx import ScoringModel
from anomaly_detector.core.scoring.statistical import RunningBaseline, departures, scores

Adjust = Callable[[WindowBatch, Float32, Mask, float], Float32]
"""Changes [n] scores of windows in the model's own unit, of which [n] are the model's; the threshold in that unit comes last."""

Clock = Callable[[], float]
"""Seconds, of any clock that only rises."""


def no_clock() -> float:
    """Nobody wants to know how long anything takes."""
    return 0.0


class LoadedRevision(Struct, frozen=True):
    """A revision and what could be loaded of it."""

    revision: Revision
    model: ScoringModel | None = None
    failure: RevisionFailure | None = None
    """Why there is no model though the revision has one."""
    message: str = ""

    @property
    def complete(self) -> bool:
        """Whether it scores as ordered."""
        return self.model is not None or self.revision.model is None


class Scores(Struct, frozen=True):
    """Scores of a batch of windows by one revision."""

    values: Float32
    """[n] Finite, 1.0 is the threshold; or not a number: nothing decides, for the statistical scorer has seen too few readings of
    the entity."""
    by_model: Mask
    """[n] Whether the model gave them; where it gives no number, the statistical scorer decides that window alone."""


class RunningRevision:
    """Scores windows and counts."""

    def __init__(self, source: str, loaded: LoadedRevision, clock: Clock = no_clock) -> None:
        self.loaded = loaded
        self.seconds = 0.0
        """That its model has taken to score, by `clock`."""
        self._clock = clock
        self.revision = loaded.revision
        self.name = loaded.revision.name
        self.windows = self.episodes = self.fallback_windows = self.unscored_windows = 0
        self.not_finite = 0
        """Windows for which its model gave no number, though it could have."""
        self.failure, self.message = loaded.failure, loaded.message
        self._source = source
        self._thresholds = {threshold.window: threshold for threshold in self.revision.thresholds}
        self._features = [feature.name for feature in self.revision.pipeline.features]
        self._judged = Judged.of(self.revision.pipeline.features)

    def count_on(self, before: "RunningRevision") -> None:
        """Goes on with the counts of the same revision as it was loaded before."""
        self.windows, self.episodes = before.windows, before.episodes
        self.fallback_windows, self.unscored_windows = before.fallback_windows, before.unscored_windows
        self.seconds = before.seconds

    @property
    def wants_levels(self) -> bool:
        """Whether the fallback scorer is needed."""
        return self.loaded.model is None or self.failure is RevisionFailure.SCORING_FAILED

    def score(
        self, window: WindowBatch, levels: RunningBaseline, executor: Executor = inline, known: Work[Float32] | None = None
    ) -> Work[Scores]:
        """Begins to score [n] windows, `executor` if there is a model, and returns how to ask for the scores.

        Where a model fails, `levels` decide at once: they are kept up while it runs. `known`: what another revision has asked
        this very model for.
        """
        return partial(self._scores, window, levels, self.ask(window, executor) if known is None else known)

    def ask(self, window: WindowBatch, executor: Executor) -> Work[Float32] | None:
        """Begins to ask the model for its own scores of [n] windows. None: there is no model."""
        model = self.loaded.model
        return Once((model.executor or executor)(partial(self._timed, model, window))) if model is not None else None

    def _scores(self, window: WindowBatch, levels: RunningBaseline, scored: Work[Float32] | None) -> Scores:
        if scored is not None:
            try:
                raw = scored()
            except ScoringError as error:
                self.failure, self.message = RevisionFailure(error.failure), str(error)
            else:
                if self.failure is RevisionFailure.SCORING_FAILED and len(raw):
                    self.failure, self.message = None, ""
                own = scale.shown(raw, self._scale(window.name))
                known = ~np.isnan(own)
                self.windows += int(np.count_nonzero(known))
                if known.all():
                    return Scores(own, known)
                found = self._fallback(window, levels)
                self.not_finite += int(np.count_nonzero(~known & _scaled(window)))
                self._count(found[~known])
                return Scores(np.where(known, own, found), known)
        found = self._fallback(window, levels)
        self._count(found)
        return Scores(found, np.zeros(len(found), bool))

    def _timed(self, model: ScoringModel, window: WindowBatch) -> Float32:
        begun = self._clock()
        try:
            return model.score(window)
        finally:
            self.seconds += self._clock() - begun

    def decision(self, window: str, *, by_model: bool) -> Decision:
        """What an alert says about who decided."""
        model = self.loaded.model if by_model else None
        return Decision(
            source=self._source,
            window=window,
            threshold=self._threshold(window, by_model=by_model),
            scorer=model.kind if model else ScorerKind.STATISTICAL,
            model=model.digest if model else None,
            revision=self.name,
            features=self._features,
        )

    def explain(self, window: WindowBatch, places: Int64, scores: Scores, levels: RunningBaseline | None) -> list[Explanation]:
        """What the scores of a few windows are made of."""
        actual = window.values[places, -1]
        errors, expected = np.zeros_like(actual), actual.copy()
        mine = scores.by_model[places]
        if mine.any():
            assert self.loaded.model is not None, "it gave the scores"
            try:
                errors[mine], expected[mine] = self._reasons(self.loaded.model, window, places[mine])
            except ScoringError as error:  # an alert without contributors is better than none
                self.failure, self.message = RevisionFailure(error.failure), str(error)
        if not mine.all():
            assert levels is not None, "they gave the scores"
            errors[~mine], expected[~mine] = self._departures(window, places[~mine], levels)
        imputed = [0] * len(places) if window.filled is None else window.filled[places].tolist()
        filled = np.zeros(actual.shape, bool) if window.newest is None else window.newest[places]
        return [Explanation(*parts) for parts in zip(errors, actual, expected, filled, imputed, strict=True)]

    def _reasons(self, model: ScoringModel, window: WindowBatch, places: Int64) -> tuple[Float32, Float32]:
        """[n, features] Errors, and what was expected in the features' own units. Raises ScoringError."""
        values, scales = window.values[places], window.scales
        if scales is None:
            return model.explain(window.name, values, window.times[places])
        of = window.places[places]
        errors, expected = model.explain(window.name, scales.scaled(values, of), window.times[places])
        return errors, scales.own(expected, of)

    def adjusted(self, window: WindowBatch, scores: Scores, adjust: Adjust) -> Scores:
        """The scores with those of the model changed by `adjust`."""
        mine = scores.by_model & ~np.isnan(scores.values)
        asked = self._scale(window.name)
        own = scale.raw(scores.values, asked)
        found = adjust(window, own, mine, asked.value)
        changed = mine & (found != own)
        return Scores(np.where(changed, scale.shown(found, asked), scores.values), scores.by_model)

    def raw(self, window: str, shown: Float32) -> Float32:
        """[n] The model's own scores that are shown as these."""
        return scale.raw(shown, self._scale(window))

    def decider(self) -> Decider:
        """What is written down of the revision before it decides."""
        windows, by_model = self.revision.pipeline.windows, not self.wants_levels
        model = self.loaded.model if by_model else None
        return Decider(
            revision=self.revision.digest,
            windows=windows,
            scorer=model.kind if model else ScorerKind.STATISTICAL,
            model=model.digest if model else None,
            thresholds={window.name: self._threshold(window.name, by_model=by_model) for window in windows},
        )

    def evidence(self, role: Literal["stable", "candidate"] = "stable") -> RevisionEvidence:
        """What the operator is told."""
        return RevisionEvidence(
            revision=self.name,
            role=role,
            loaded=self.loaded.complete and self.failure is None,
            failure=self.failure,
            message=self.message,
            windows=self.windows,
            episodes=self.episodes,
            fallback_windows=self.fallback_windows,
            unscored_windows=self.unscored_windows,
            seconds=round(self.seconds, 3),
            memory=self.loaded.model.memory if self.loaded.model else 0,
        )

    def _threshold(self, window: str, *, by_model: bool) -> float:
        """The revision's own; where the fallback scorer stands in for a model, that of the fallback."""
        own = self._thresholds.get(window)
        if own is None or (not by_model and self.revision.model is not None):
            return self.revision.fallback.standard_deviations
        return own.value

    def _scale(self, window: str) -> WindowThreshold:
        """By which the model's scores are shown."""
        own = self._thresholds.get(window)
        if own is not None:
            return own
        value = self._threshold(window, by_model=True)
        return WindowThreshold(window=window, value=value, source=ThresholdSource.FALLBACK, asked=f"{value:g}")

    def _fallback(self, window: WindowBatch, levels: RunningBaseline) -> Float32:
        """[n] Scores of the statistical scorer."""
        return scores(departures(window, levels, self._threshold(window.name, by_model=False), self._judged))

    def _departures(self, window: WindowBatch, places: Int64, levels: RunningBaseline) -> tuple[Float32, Float32]:
        """[n, features] How much each feature departs from its baseline, and the level there; none while it warms up."""
        found = departures(window, levels, self._threshold(window.name, by_model=False), self._judged)[places]
        level = levels.levels(window.places[places]).astype(np.float32)
        return np.nan_to_num(found) ** 2, np.where(np.isnan(found), window.values[places, -1], level)

    def _count(self, found: Float32) -> None:
        scored = len(found) - int(np.count_nonzero(np.isnan(found)))
        self.windows += scored
        if self.revision.model is not None:
            self.fallback_windows += scored
            self.unscored_windows += len(found) - scored


def _scaled(window: WindowBatch) -> Mask:
    """[n] Whether the scale is known by which a model sees each window."""
    return np.ones(len(window.slots), bool) if window.scales is None else window.scales.known(window.places)
