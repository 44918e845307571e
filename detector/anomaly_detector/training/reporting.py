"""Serves the training pod's state over HTTP: /evidence for the operator, /metrics, /healthz, /readyz."""

import threading
from http.server import ThreadingHTTPServer
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, generate_latest

from anomaly_api.evidence import TrainingEvidence
from anomaly_detector import web
from anomaly_detector.web import Answer, health


class Progress:
    """The latest evidence; written by the training, read by the server's threads."""

    def __init__(self, pod: str) -> None:
        self._evidence = TrainingEvidence(pod=pod, state="Waiting")
        self._lock = threading.Lock()

    @property
    def evidence(self) -> TrainingEvidence:
        """Returns the training's state now."""
        with self._lock:
            return self._evidence

    def update(self, **changes: Any) -> None:
        """Replaces some fields."""
        with self._lock:
            self._evidence = self._evidence.model_copy(update=changes)


class _Metrics:
    """The evidence as numbers."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._gauges = {
            "progress": Gauge("anomaly_detector_training_progress_percent", "Of the present state.", registry=self.registry),
            "readings": Gauge("anomaly_detector_training_readings", "Readings found.", registry=self.registry),
            "rejected": Gauge("anomaly_detector_training_rejected", "Messages that could not be read.", registry=self.registry),
            "windows": Gauge("anomaly_detector_training_windows", "Windows found.", registry=self.registry),
            "needed": Gauge("anomaly_detector_training_windows_needed", "Windows needed to begin.", registry=self.registry),
        }

    def text(self, evidence: TrainingEvidence) -> bytes:
        for name, gauge in self._gauges.items():
            gauge.set(getattr(evidence, name))
        return generate_latest(self.registry)


def serve(progress: Progress, port: int) -> ThreadingHTTPServer:
    """Answers on `port` of all addresses, from threads of its own, until the process ends."""
    metrics = _Metrics()
    routes = {
        "/evidence": lambda: Answer(200, "application/json", progress.evidence.model_dump_json().encode()),
        "/metrics": lambda: Answer(200, CONTENT_TYPE_LATEST, metrics.text(progress.evidence)),
        "/healthz": lambda: health(True),
        "/readyz": lambda: health(True),
    }
    return web.serve("", port, routes)
