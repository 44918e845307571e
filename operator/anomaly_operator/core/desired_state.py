"""The desired state of a detector, before it is compared with what there is: revision, runtime, training, replicas."""

from dataclasses import dataclass

from anomaly_api.assignment import Assignment, Identity, Runtime, TrainingOrder
from anomaly_api.revision import runtime
from anomaly_operator.core import scaling
from anomaly_operator.core.drift import DriftVerdict, drift_verdict
from anomaly_operator.core.feedback import FeedbackView, feedback_view, moved
from anomaly_operator.core.group_conflict import group_conflict
from anomaly_operator.core.models.selection import RevisionSelection, select
from anomaly_operator.core.models.slots import SlotPlan, plan_slots
from anomaly_operator.core.snapshot import Snapshot
from anomaly_operator.core.status.health import ConditionDraft, Progress
from anomaly_operator.core.training.order import compared_with, training_order
from anomaly_operator.core.training.outcome import TrainingOutcome, training_outcome


@dataclass(frozen=True)
class DesiredState:
    """What the spec and the models there are lead to."""

    training_order: TrainingOrder | None
    """The training that the spec asks for."""
    selection: RevisionSelection
    training_outcome: TrainingOutcome | None
    """None when no model is awaited."""
    runtime: Runtime
    assignment: Assignment
    slots: SlotPlan
    scale: scaling.Scale
    drift: DriftVerdict
    feedback: FeedbackView
    blocked: ConditionDraft | None
    """Why nothing is to run at all."""


def desired_state(snapshot: Snapshot, now: float) -> DesiredState:
    """The desired state at `now` (Unix seconds)."""
    detector = snapshot.detector
    order = training_order(detector)
    feedback = feedback_view(snapshot)
    selection = moved(snapshot, select(snapshot, order.key if order else None), feedback)
    needed = {selection.revision.model: selection.model} if selection.revision.model else {}
    slots = plan_slots(snapshot, needed)
    return DesiredState(
        training_order=compared_with(order, selection.revision.pipeline, selection.model),
        selection=selection,
        training_outcome=training_outcome(snapshot, order, now) if order and selection.awaited else None,
        runtime=runtime(detector.spec, Identity(namespace=detector.namespace, name=detector.name, uid=detector.uid)),
        assignment=Assignment(stable=selection.revision, artifacts=slots.artifacts),
        slots=slots,
        scale=scaling.scale(snapshot, now),
        drift=drift_verdict(snapshot, now),
        feedback=feedback,
        blocked=_blocked(snapshot),
    )


def _blocked(snapshot: Snapshot) -> ConditionDraft | None:
    detector, other = snapshot.detector, group_conflict(snapshot)
    if detector.spec.paused:
        return ConditionDraft("False", "Paused", "spec.paused is set: nothing is scored or trained", Progress.WANTED)
    if other is not None:
        message = (
            f"AnomalyDetector {other.namespace}/{other.name}, which is older, reads these brokers with the same consumer group "
            f"{detector.group_id}: they would take each other's readings. Set another source.kafka.groupId here, or delete one."
        )
        return ConditionDraft("False", "GroupConflict", message, Progress.STALLED)
    return None
