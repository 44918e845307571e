"""The desired state of a detector, before it is compared with what there is: revision, runtime, training, replicas."""

from dataclasses import dataclass
from typing import Final

from anomaly_api.assignment import Identity, Runtime, TrainingOrder
from anomaly_api.revision import runtime
from anomaly_operator.core import scaling
from anomaly_operator.core.drift import DriftVerdict, drift_verdict
from anomaly_operator.core.feedback import FeedbackView, feedback_view
from anomaly_operator.core.group_conflict import group_conflict
from anomaly_operator.core.memo import ByIdentity
from anomaly_operator.core.models.selection import RevisionSelection, select
from anomaly_operator.core.rollout.view import RolloutView, rollout_view
from anomaly_operator.core.snapshot import Detector, Snapshot
from anomaly_operator.core.status.health import ConditionDraft, Progress
from anomaly_operator.core.status.report import stats_due
from anomaly_operator.core.thresholds.adjusted import ThresholdsView, adjusted
from anomaly_operator.core.training.order import compared_with, made_by, training_order
from anomaly_operator.core.training.outcome import TrainingOutcome, training_outcome
from anomaly_operator.core.training.triggers import Trigger, trigger


@dataclass(frozen=True)
class DesiredState:
    """What the spec and the models there are lead to."""

    training_order: TrainingOrder | None
    """The training that the spec asks for."""
    trigger: Trigger | None
    """What asked for it; None where nothing is trained."""
    retraining: bool
    """Whether a model of the spec's own decides while another one is trained, or could not be."""
    selection: RevisionSelection
    """The revision that the spec and the models there are lead to."""
    rollout: RolloutView
    """The revision that decides, and how it becomes the selected one."""
    training_outcome: TrainingOutcome | None
    """None when no model is awaited."""
    runtime: Runtime
    scale: scaling.Scale
    drift: DriftVerdict
    feedback: FeedbackView
    thresholds: ThresholdsView
    blocked: ConditionDraft | None
    """Why nothing is to run at all."""

    @property
    def starts(self) -> TrainingOrder | None:
        """The training whose Job is to be made now; None: none is."""
        wanted = self.training_outcome is not None and self.training_outcome.starts and self.blocked is None
        return self.training_order if wanted else None


def _of_spec(detector: Detector) -> Runtime:
    return runtime(detector.spec, Identity(namespace=detector.namespace, name=detector.name, uid=detector.uid))


_runtime: Final = ByIdentity(lambda detector: detector.uid, _of_spec)


def desired_state(snapshot: Snapshot, now: float) -> DesiredState:
    """The desired state at `now` (Unix seconds)."""
    detector, blocked = snapshot.detector, _blocked(snapshot)
    drift, feedback = drift_verdict(snapshot, now), feedback_view(snapshot)
    last = detector.status.training
    spec_order = training_order(detector, (last.request or "") if last else "")
    why = trigger(snapshot, spec_order, drift, feedback, now, blocked=blocked is not None) if spec_order else None
    order = why.order if why else None
    asked = select(snapshot, order)
    due = stats_due(snapshot, now)
    selection, thresholds = adjusted(snapshot, asked, feedback, now, due=due)
    rollout = rollout_view(snapshot, selection, asked.revision.digest, now, blocked=blocked is not None, due=due)
    awaited = order is not None and selection.awaited
    return DesiredState(
        training_order=compared_with(order, rollout.stable.pipeline, rollout.stable_model),
        trigger=why,
        retraining=awaited and order is not None and selection.model is not None and made_by(order, selection.model),
        selection=selection,
        rollout=rollout,
        training_outcome=training_outcome(snapshot, why.order, why.last, now) if why and awaited else None,
        runtime=_runtime(detector),
        scale=scaling.scale(snapshot, now),
        drift=drift,
        feedback=feedback,
        thresholds=thresholds.decided_by(rollout.deciding),
        blocked=blocked,
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
