"""Which of several detectors may use a consumer group: the oldest of those that read the same brokers with it."""

from anomaly_operator.core.resources.names import brokers
from anomaly_operator.core.snapshot import Detector, Snapshot


def group_conflict(snapshot: Snapshot) -> Detector | None:
    """The detector that has this one's consumer group on the same brokers, because it is older; None where nobody has."""
    mine = snapshot.detector
    addresses = brokers(mine.spec.source.kafka.bootstrap_servers)
    older = [
        other
        for other in snapshot.group_members
        if other.age_order < mine.age_order and addresses & brokers(other.spec.source.kafka.bootstrap_servers)
    ]
    return min(older, key=lambda other: other.age_order, default=None)
