"""Messages that come and are no readings, none of them: a filter that nothing passes, or features that nothing has."""

from collections import Counter
from collections.abc import Sequence
from typing import Final

from anomaly_api.alert import NotReading
from anomaly_api.evidence import DetectorEvidence

_ENOUGH: Final = 20
"""Of fewer messages nothing is said: the first reading may be about to come."""
_WHY: Final = {
    NotReading.FILTERED: "do not pass source.filter",
    NotReading.NO_FEATURE: "have none of the fields of spec.features",
    NotReading.TOMBSTONE: "have no value",
}


def no_readings(evidence: Sequence[DetectorEvidence], topic: str) -> str:
    """For people; empty where there are readings, or too few messages to judge by."""
    left: Counter[str] = Counter()
    for each in evidence:
        left.update(each.not_readings)
    if any(each.readings for each in evidence) or left.total() < _ENOUGH:
        return ""
    why = "; ".join(f"{left[kind.value]} {says}" for kind, says in _WHY.items() if left[kind.value])
    return f"none of the {left.total()} messages of topic {topic} since the pods' start is a reading: {why}."
