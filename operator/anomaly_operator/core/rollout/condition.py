"""Progressing: where the rollout stands. Its reason is that of the last transition, as Event and metric have it."""

from anomaly_operator.core.rollout.machine import Phase
from anomaly_operator.core.rollout.view import RolloutView
from anomaly_operator.core.status.health import ConditionDraft, Progress

AT_REST = "RevisionStable"


def progressing(rollout: RolloutView, blocked: ConditionDraft | None) -> ConditionDraft:
    """True while a candidate is compared; False at rest, or when the spec's revision was taken away."""
    status, row = rollout.status, next(iter(rollout.status.history or []), None)
    if status.candidate is not None:
        if blocked is not None:
            return ConditionDraft("True", blocked.reason, blocked.message, Progress.WANTED)
        paused = rollout.after.phase is Phase.PAUSED
        message = f"revision {status.candidate.revision}, step {status.candidate.step}: {status.candidate.reason}"
        reason = row.reason if row else "RolloutStarted"
        return ConditionDraft("True", reason, message, Progress.WANTED if paused else Progress.MOVING)
    if status.aborted is not None:
        message = (
            f"{status.aborted.message}. Revision {status.stable.revision} goes on deciding. Change the spec, or "
            "try it again with `kubectl anomaly retry`."
        )
        return ConditionDraft("False", status.aborted.reason, message, Progress.STALLED)
    return ConditionDraft("False", row.reason if row else AT_REST, f"revision {status.stable.revision} decides")
