"""Whether there is data for a training, as the scoring pods tell: before that no Job is made. Pure.

What the topic holds counts, from before the pods' start, too; so does what they have read themselves, since a topic may keep less
than a training needs, which then gathers it while it waits. Both are upper bounds: a Job that is made finds out, and waits.
Where no pod can say it for a while, because none runs, or is of an older version, the Job is made all the same.
"""

from dataclasses import dataclass

from anomaly_api.assignment import TrainingOrder
from anomaly_operator.core.resources.names import DETECTOR
from anomaly_operator.core.snapshot import Snapshot
from anomaly_operator.core.text import lasting


@dataclass(frozen=True)
class Shortage:
    """Why a training does not begin yet."""

    needed: int
    """Windows."""
    windows: int | None
    """That there are at most; None: nobody has said yet."""
    readings: int | None
    message: str


def shortage(snapshot: Snapshot, order: TrainingOrder, asked: float, now: float) -> Shortage | None:
    """What is missing for a training that was asked for at `asked`; None: nothing, or nobody can say. Unix seconds."""
    if order.training.data.files is not None:
        return None
    evidence = list(snapshot.evidence_by_pod.values())
    stored = [each.source.stored for each in evidence if each.source.stored is not None]
    needed = order.training.minimum.windows
    if not stored:
        pods = [pod.created for pod in snapshot.pods if pod.component == DETECTOR and not pod.terminating]
        if now - max(asked, min(pods, default=0.0)) >= snapshot.patience:  # when all pods are new, a wait begins anew
            return None
        return Shortage(needed, None, None, "the scoring pods are asked how much data there is")
    readings = max(max(stored), sum(each.readings for each in evidence))
    windows = _most_windows(order, readings, sum(each.entities for each in evidence))
    if windows >= needed:
        return None
    every = max(window.every for window in order.pipeline.windows)
    rate = sum(each.recent_readings for each in evidence) / 60
    topic = order.kafka.topic
    left = (needed - windows) * every
    when = f"there will be in about {lasting(left / rate)}, as readings come now" if rate else "none come now"
    message = f"topic {topic} has {readings:,} readings, at most {windows:,} windows, and {needed:,} are needed: {when}"
    return Shortage(needed, windows, readings, message)


def _most_windows(order: TrainingOrder, readings: int, entities: int) -> int:
    """How many windows so many readings have at most, of the size that has the fewest; each entity's first one needs `size`."""
    return min(max(0, readings - max(1, entities) * (window.size - 1)) // window.every for window in order.pipeline.windows)
