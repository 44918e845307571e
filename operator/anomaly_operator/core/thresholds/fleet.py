"""How many entities a budget of the fleet is shared by. It moves in steps: a machine that comes or goes is no revision."""

from typing import Final

from anomaly_api.evidence import DetectorEvidence

_STEP: Final = 1.5
"""Factor by which the number must have changed."""
_READ: Final = 20
"""Readings for each entity known before, without which a smaller number only says that others have not been heard of yet."""


def entities_in_use(evidence: list[DetectorEvidence], before: int | None) -> int | None:
    """The number to share by; None: nothing is known but what was held out.

    `before`: the number in force. A larger fleet is believed at once, a smaller one when the others have had time to tell.
    """
    if not evidence or any(each.source.recovering or not each.source.partitions for each in evidence):
        return before
    known, readings = sum(each.entities for each in evidence), sum(each.readings for each in evidence)
    if before is None:
        return None
    if known > _STEP * before:
        return known
    if known and known < before / _STEP and readings >= _READ * before:
        return known
    return before
