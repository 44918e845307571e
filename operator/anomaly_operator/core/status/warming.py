"""Windows that do not fill although readings come: their interval is probably longer than maxGap."""

from collections.abc import Sequence
from typing import Final

from anomaly_api.detector import DetectorSpec
from anomaly_api.evidence import DetectorEvidence

_MANY: Final = 3
"""Times the readings that an entity needs to be scored."""


def never_filling(evidence: Sequence[DetectorEvidence], spec: DetectorSpec) -> str:
    """For people; empty where entities may well need more readings."""
    entities = sum(each.entities for each in evidence)
    used = sum(each.readings - each.late - each.duplicates for each in evidence)
    needed = min(window.size for window in spec.windows) + spec.fallback.warmup
    if not entities or any(each.windows for each in evidence) or used < _MANY * needed * entities:
        return ""
    gap = " and ".join(dict.fromkeys(window.max_gap for window in spec.windows))
    return (
        f"no window has been scored after {used} readings of {entities} entities: they are probably further apart than maxGap "
        f"({gap}), and windows begin anew with each. Raise windows[].maxGap above their interval, which `anomaly-detector lint "
        "SPEC --sample TOPIC` prints."
    )
