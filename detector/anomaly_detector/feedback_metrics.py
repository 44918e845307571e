"""What people said of alerts, as metrics: the same in every pod, so `max` over pods and not `sum`. No entity is ever a label."""

from prometheus_client import CollectorRegistry, Gauge

from anomaly_api.feedback import FeedbackEvidence, precision


class FeedbackMetrics:
    """Gauges by revision, of the time that feedback.last says."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._labels = Gauge("anomaly_detector_feedback_labels", "Labels that count.", registry=registry)
        self._rejected = Gauge("anomaly_detector_feedback_rejected", "Records that are no labels.", registry=registry)
        self._episodes = Gauge(
            "anomaly_detector_feedback_episodes",
            "Episodes of a revision: announced (Episode), called true, called false or normal, and missed ones.",
            ["revision", "label"],
            registry=registry,
        )
        self._precision = Gauge(
            "anomaly_detector_feedback_precision_ratio",
            "Share of the labelled alerts of a revision that were right.",
            ["revision"],
            registry=registry,
        )

    def tell(self, found: FeedbackEvidence | None) -> None:
        """How things stand; None: not known yet."""
        if found is None:
            return
        self._episodes.clear()
        self._precision.clear()
        self._labels.set(found.labels)
        self._rejected.set(found.rejected)
        for row in found.revisions:
            counts = {"Episode": row.episodes, "TrueAlarm": row.true_alarms, "FalseAlarm": row.false_alarms, "Missed": row.missed}
            for label, count in counts.items():
                self._episodes.labels(row.revision, label).set(count)
            share = precision(row)
            if share is not None:
                self._precision.labels(row.revision).set(share)
