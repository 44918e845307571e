"""Metrics of the operator, `anomaly_operator_*`. Declared here, set where things happen."""

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

API_REQUESTS: Final = Counter(
    "anomaly_operator_api_requests_total", "Requests to the API server, without watches", ["verb", "resource", "code"]
)
API_WRITES: Final = Counter(
    "anomaly_operator_api_writes_total", "Requests that write, without Lease renewals", ["verb", "resource"]
)
LEASE_WRITES: Final = Counter("anomaly_operator_lease_writes_total", "Writes of the Lease")
RECONCILES: Final = Counter("anomaly_operator_reconciles_total", "Reconciliations by outcome", ["outcome"])
RECONCILE_SECONDS: Final = Histogram("anomaly_operator_reconcile_seconds", "Duration of a reconciliation in seconds")
QUEUED: Final = Gauge("anomaly_operator_queue_detectors", "Detectors waiting to be reconciled")
LEADING: Final = Gauge("anomaly_operator_leader", "1 while this process acts, 0 while it waits")
WATCH_AGE: Final = Gauge("anomaly_operator_watch_age_seconds", "Age of the watch that was renewed longest ago, in seconds")
READY: Final = Gauge("anomaly_operator_detector_ready", "1 when the detector scores as its spec says", ["namespace", "detector"])
SCORING: Final = Gauge("anomaly_operator_detector_scoring", "1 when what arrives is scored", ["namespace", "detector"])
ALERTING: Final = Gauge(
    "anomaly_operator_detector_alerting",
    "1 when nothing is held back or left out that is to be written for people",
    ["namespace", "detector"],
)
ARRIVING: Final = Gauge(
    "anomaly_operator_detector_readings_arriving",
    "0 when the stream has been silent for longer than source.silentAfter",
    ["namespace", "detector"],
)
DRIFTED: Final = Gauge(
    "anomaly_operator_detector_drifted",
    "1 when what arrives is unlike the model's training data (spec.drift)",
    ["namespace", "detector"],
)
TRAININGS_RUNNING: Final = Gauge("anomaly_operator_trainings_running", "Trainings that run, of all detectors")
TRAININGS_QUEUED: Final = Gauge("anomaly_operator_trainings_queued", "Detectors that wait for others to end their training")
TRAININGS_STARTED: Final = Counter("anomaly_operator_trainings_started_total", "Training Jobs made, by what asked", ["reason"])
ROLLOUT_TRANSITIONS: Final = Counter(
    "anomaly_operator_rollout_transitions_total", "Transitions of rollouts, by reason", ["reason"]
)
TRANSITIONS: Final = Counter("anomaly_operator_transitions_total", "Events, by reason", ["reason"])


def trainings(running: int, queued: int) -> None:
    """Of all detectors."""
    TRAININGS_RUNNING.set(running)
    TRAININGS_QUEUED.set(queued)


def forget(namespace: str, detector: str) -> None:
    """Of a detector that is gone or paused."""
    for gauge in (READY, SCORING, ALERTING, ARRIVING, DRIFTED):
        try:
            gauge.remove(namespace, detector)
        except KeyError:
            continue
