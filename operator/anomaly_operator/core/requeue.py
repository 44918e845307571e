"""After how long a detector is reconciled again when no watch reports a change of it."""

from collections.abc import Mapping
from typing import Final

from anomaly_operator.core.desired_state import DesiredState
from anomaly_operator.core.rollout.machine import Phase
from anomaly_operator.core.status import conditions
from anomaly_operator.core.status.health import ConditionDraft
from anomaly_operator.core.training.outcome import TRAINING_QUEUED, WAITING_FOR_DATA

AT_ONCE: Final = 0.05
"""After a transition of a rollout has been written: pods are told of it the next time."""
ROLLOUT: Final = 1.5
"""While a candidate is compared: a step begins at most two seconds after it may."""
BUSY: Final = 3.0
REST: Final = 10.0
"""Seconds until pods are asked again, while something is under way and when all is well."""


def requeue_after(drafts: Mapping[str, ConditionDraft], desired: DesiredState) -> float:
    """Seconds until the next look."""
    rollout = desired.rollout
    if rollout.change is not None:
        return AT_ONCE
    if desired.blocked:
        return REST * 6
    if rollout.after.phase in (Phase.LOADING, Phase.PROGRESSING):
        return ROLLOUT
    reconciling = drafts[conditions.RECONCILING]
    moving = reconciling.status == "True" or drafts[conditions.SCORING].status == "Unknown"
    if reconciling.reason in (WAITING_FOR_DATA, TRAINING_QUEUED) and drafts[conditions.SCORING].status == "True":
        return REST  # it may last for days
    return BUSY if moving else REST
