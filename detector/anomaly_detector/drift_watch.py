"""Watches what the pipeline decides for drift against the reference of the model that decides. It does not judge.

Counts belong to one pod's life and to one model: they begin anew with another model, and go on under other thresholds.
"""

from collections.abc import Mapping
from typing import Final

from prometheus_client import CollectorRegistry, Gauge

from anomaly_api.drift import BinnedEvidence, DriftEvidence, kolmogorov_smirnov, psi
from anomaly_detector.core.alerts.builder import ScoredWindows
from anomaly_detector.core.episodes.processor import Processed
from anomaly_detector.core.health.drift import DriftCounter
from anomaly_detector.core.pipeline import DetectionPipeline
from anomaly_detector.core.preprocess.preprocessor import Preprocessed

_TELL_SECONDS: Final = 5.0


class DriftWatch:
    """The loop of the pod counts and `tell`s; threads of the HTTP server read `evidence`."""

    def __init__(self, pipeline: DetectionPipeline, over: float, registry: CollectorRegistry) -> None:
        """`over`: the length of event time that counts, in seconds."""
        self._pipeline, self._over = pipeline, over
        self._counter: DriftCounter | None = None
        self._told = 0.0
        self.evidence: DriftEvidence | None = None
        """As of the last `tell`; None: the model that decides has no reference."""
        self._metrics(registry)

    def observe(self, taken: Preprocessed, scored: Mapping[str, ScoredWindows], _: Processed) -> None:
        """A portion of a batch was decided."""
        counter = self._current()
        if counter is None:
            return
        if len(taken.readings.times):
            values = taken.readings.values
            counter.readings(taken.readings.times, values if taken.scales is None else taken.scales.readings(values))
        for name, each in scored.items():
            mine = each.scores.by_model
            whole = bool(mine.all())
            times, values = each.window.times, self._pipeline.stable.raw(name, each.scores.values)
            counter.scores(name, times if whole else times[mine], values if whole else values[mine])

    def tell(self, now: float) -> None:
        """Looks at how things stand; `now` of `time.monotonic`."""
        if now - self._told < _TELL_SECONDS:
            return
        self._told = now
        counter = self._current()
        self.evidence = counter.evidence() if counter is not None else None
        self._show(self.evidence)

    def _current(self) -> DriftCounter | None:
        model = self._pipeline.stable.loaded.model
        if model is None or model.reference is None:
            self._counter = None
        elif self._counter is None or self._counter.model != model.digest:
            features = [feature.name for feature in self._pipeline.stable.revision.pipeline.features]
            self._counter = DriftCounter(model.digest, model.reference, self._over, features)
        return self._counter

    def _show(self, found: DriftEvidence | None) -> None:
        for gauge in (self._psi, self._ks, self._score_psi, self._score_ks):
            gauge.clear()
        if found is None:
            return
        for each in found.features:
            _set(each, self._psi, self._ks)
        for each in found.scores:
            _set(each, self._score_psi, self._score_ks)

    def _metrics(self, registry: CollectorRegistry) -> None:
        def gauge(name: str, text: str, label: str) -> Gauge:
            return Gauge(f"anomaly_detector_drift_{name}", text, [label], registry=registry)

        of = "against the training data at the same hours of the day, as this pod has seen it"
        self._psi = gauge("psi", f"Population stability index of a feature {of}.", "feature")
        self._ks = gauge("ks_ratio", f"Kolmogorov-Smirnov distance of a feature {of}.", "feature")
        self._score_psi = gauge("score_psi", f"Population stability index of a window's score {of}.", "window")
        self._score_ks = gauge("score_ks_ratio", f"Kolmogorov-Smirnov distance of a window's score {of}.", "window")


def _set(found: BinnedEvidence, by_psi: Gauge, by_ks: Gauge) -> None:
    by_psi.labels(found.name).set(psi(found.observed, found.expected))
    by_ks.labels(found.name).set(kolmogorov_smirnov(found.observed, found.expected))
