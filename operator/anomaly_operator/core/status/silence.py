"""ReadingsArriving: whether the topic is as busy as it uses to be. Ready does not hang on it: a quiet topic is no fault of ours.

How long a silence is worth a word is the user's to say (`source.silentAfter`): a line that stands still at night is silent for
hours. Where the spec does not say, it is many times the usual time between two readings, and never less than ten minutes.
"""

from typing import Final

from anomaly_api.schema import seconds
from anomaly_operator.core.snapshot import Snapshot
from anomaly_operator.core.status.health import SILENCE, ConditionDraft, Progress, scoring_pods
from anomaly_operator.core.status.pods import age

_SHORTEST: Final = 600.0
_MANY: Final = 30
"""Times the stream's mean interval."""
_ENOUGH_FOR_A_PACE: Final = 10


def readings_arriving(snapshot: Snapshot, now: float) -> ConditionDraft:
    """True also while a silence is not worth a word yet; the reason says which of the two it is."""
    silent = _silent_for(snapshot, now)
    topic = snapshot.detector.spec.source.kafka.topic
    if silent is None:
        return ConditionDraft("Unknown", "PodsUnavailable", "no scoring pod has reported yet")
    mean = _mean_interval(snapshot, now)
    bound = _bound(snapshot, mean)
    if silent <= min(bound, max(SILENCE, 3 * mean)):
        return ConditionDraft("True", "Arriving", f"readings arrive on topic {topic}")
    if silent <= bound:
        message = f"no readings arrive on topic {topic} at the moment; after {_text(bound)} this is told as a silence"
        return ConditionDraft("True", "Quiet", message)
    message = (
        f"no readings have arrived on topic {topic} for more than {_text(bound)}: is anything being produced to it? "
        "If it uses to be silent for so long, set source.silentAfter."
    )
    return ConditionDraft("False", "Silent", message, Progress.RESTING)


def _bound(snapshot: Snapshot, mean: float) -> float:
    asked = snapshot.detector.spec.source.silent_after
    return seconds(asked) if asked else max(_SHORTEST, _MANY * mean)


def _silent_for(snapshot: Snapshot, now: float) -> float | None:
    """Seconds since the newest reading that a pod has seen, else since the oldest pod began; None where no pod has reported.

    Differences of one clock each: a pod's own, and the one by which it was asked.
    """
    evidence = list(snapshot.evidence_by_pod.values())
    since = [
        each.now - each.last_reading + max(0.0, now - snapshot.evidence.asked.get(each.pod, now))
        for each in evidence
        if each.last_reading is not None
    ]
    if since:
        return min(since)
    return _oldest(snapshot, now) if evidence else None


def _mean_interval(snapshot: Snapshot, now: float) -> float:
    """Seconds from one reading of the stream to the next, since the pods began; 0 where there are too few for it."""
    count = sum(each.readings for each in snapshot.evidence_by_pod.values())
    return _oldest(snapshot, now) / count if count >= _ENOUGH_FOR_A_PACE else 0.0


def _oldest(snapshot: Snapshot, now: float) -> float:
    return max((age(pod, now) for pod in scoring_pods(snapshot)), default=0.0)


def _text(duration: float) -> str:
    """A duration as the spec writes them, in the largest unit that keeps it at least 2.

    >>> _text(600.0), _text(7200.0)
    ('10m', '2h')
    """
    for unit, length in (("d", 86400.0), ("h", 3600.0), ("m", 60.0)):
        if duration >= 2 * length:
            return f"{duration / length:.0f}{unit}"
    return f"{duration:.0f}s"
