"""Whether pods say the same as before, but for figures: then nothing can follow from it, and no plan is made.

A thousand detectors at rest are asked seventy times a second, and nearly always say that they go on. What is not named here as a
figure counts, so that a new part of the evidence is looked at.
"""

from typing import Any, Final

from anomaly_api.evidence import DetectorEvidence, LossEvidence, MemoryEvidence, RevisionEvidence, SourceEvidence
from anomaly_operator.core.snapshot import Evidence

REPLAN: Final = 60.0
"""Seconds after which a plan is made all the same: figures grow into something, schedules fall due."""
ASK_AGAIN: Final = 15.0
"""Seconds until steady pods are asked again: with the silence that is borne, a minute."""
_FRESH: Final = 10.0
_BEHIND: Final = 5.0
"""Seconds since the last scored window, and of lag, that are nothing."""
_FIGURES: Final = frozenset(
    (
        *("now", "readings", "windows", "imputed", "alerts", "alerts_suppressed", "entities", "warming", "seen", "busy"),
        *("not_readings", "recent_readings", "exposure", "drift", "last_reading", "last_scored", "last_alert", "last_score"),
    )
)
_FIGURES_OF_SOURCE: Final = frozenset({"lag", "lag_seconds", "stored", "slowest"})
_FIGURES_OF_REVISION: Final = frozenset({"windows", "episodes", "seconds", "memory"})
_FIGURES_OF_LOSSES: Final = frozenset({"readings"})
_FIGURES_OF_MEMORY: Final = frozenset({"used", "share"})


def steady(before: Evidence, after: Evidence) -> bool:
    """Whether all pods that answered say what they said, and score what arrives."""
    if before.asked.keys() != after.asked.keys() or before.trainer or after.trainer or not after.detectors:
        return False
    if any(before.asked[pod] == when for pod, when in after.asked.items()):
        return False  # one of them has not answered this time
    known = {each.pod: each for each in before.detectors}
    return len(known) == len(after.detectors) and all(
        each.pod in known and _flowing(each) and _said(known[each.pod]) == _said(each) for each in after.detectors
    )


def _flowing(said: DetectorEvidence) -> bool:
    waiting = said.source.slowest.waiting if said.source.slowest else 0.0
    fresh = said.last_scored is not None and said.now - said.last_scored < _FRESH
    return fresh and max(said.source.lag_seconds, waiting) < _BEHIND


def _said(evidence: DetectorEvidence) -> dict[str, Any]:
    return _without(evidence, _FIGURES)


def _without(value: Any, figures: frozenset[str]) -> dict[str, Any]:
    return {name: _plain(held) for name, held in value.__dict__.items() if name not in figures}


def _plain(value: Any) -> Any:
    if isinstance(value, SourceEvidence):
        return _without(value, _FIGURES_OF_SOURCE)
    if isinstance(value, MemoryEvidence):
        return _without(value, _FIGURES_OF_MEMORY)
    if isinstance(value, LossEvidence):
        return _without(value, _FIGURES_OF_LOSSES)
    if isinstance(value, list) and value and isinstance(value[0], RevisionEvidence):
        return [_without(each, _FIGURES_OF_REVISION) for each in value]
    return value
