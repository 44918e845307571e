"""Watches what the deciding revision's model alerts of, for the operator, who keeps its threshold. It does not judge.

Counts belong to one pod's life and to one revision. Nothing is counted where no model decides, or a candidate decides a share.
"""

import time
from collections.abc import Mapping
from typing import Final

from anomaly_api.exposure import ExposureEvidence
from anomaly_detector.core.alerts.builder import ScoredWindows
from anomaly_detector.core.episodes.processor import Processed
from anomaly_detector.core.health.exposure import ExposureCounter
from anomaly_detector.core.pipeline import DetectionPipeline
from anomaly_detector.core.preprocess.preprocessor import Preprocessed

_TELL_SECONDS: Final = 5.0


class ExposureWatch:
    """The loop of the pod counts and `tell`s; threads of the HTTP server read `evidence`."""

    def __init__(self, pipeline: DetectionPipeline) -> None:
        self._pipeline = pipeline
        self._counter: ExposureCounter | None = None
        self._since = self._told = 0.0
        self.evidence: ExposureEvidence | None = None
        """As of the last `tell`; None: no model decides."""

    def observe(self, _: Preprocessed, scored: Mapping[str, ScoredWindows], walked: Processed) -> None:
        """A portion of a batch was decided."""
        counter = self._current()
        if counter is not None and not self._pipeline.configuration.deciders.weight:
            counter.observe(scored, walked)

    def tell(self, now: float) -> None:
        """Looks at how things stand; `now` of `time.monotonic`."""
        if now - self._told < _TELL_SECONDS:
            return
        self._told = now
        counter, model = self._current(), self._pipeline.stable.revision.model
        if counter is None or model is None:
            self.evidence = None
            return
        self.evidence = ExposureEvidence(
            revision=counter.revision, model=model, since=round(self._since, 3), windows=counter.evidence()
        )

    def _current(self) -> ExposureCounter | None:
        stable = self._pipeline.stable
        if stable.loaded.model is None:
            self._counter = None
        elif self._counter is None or self._counter.revision != stable.name:
            self._counter, self._since = ExposureCounter(stable.revision), time.time()
        return self._counter
