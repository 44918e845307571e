"""What the conditions of a detector are evaluated from: its health, its model, its pods, compared with the desired state."""

from anomaly_operator.core.desired_state import DesiredState
from anomaly_operator.core.models import gate
from anomaly_operator.core.models.selection import UNVERIFIED
from anomaly_operator.core.resources.names import DEPLOYMENTS, detector_child
from anomaly_operator.core.rollout.condition import progressing
from anomaly_operator.core.snapshot import Snapshot
from anomaly_operator.core.status import health
from anomaly_operator.core.status.conditions import RETRAINING, RETRAINING_FAILED, ConditionInputs
from anomaly_operator.core.status.health import ConditionDraft, Progress
from anomaly_operator.core.status.losses import readings_used
from anomaly_operator.core.status.silence import readings_arriving


def condition_inputs(snapshot: Snapshot, desired: DesiredState, now: float) -> ConditionInputs:
    """All inputs at `now`."""
    revision = desired.rollout.stable
    scorer = f"AnomalyModel {revision.model_name}" if revision.model else "the robust statistical scorer"
    return ConditionInputs(
        source=health.source(snapshot),
        model=_model(snapshot, desired, scorer),
        scoring=health.scoring(snapshot, now),
        alerting=health.alerting(snapshot),
        arriving=readings_arriving(snapshot, now),
        used=readings_used(snapshot),
        drift=_drift(desired),
        scorer=scorer,
        blocked=desired.blocked,
        spec_error=_spec_error(snapshot),
        apply_error=_apply_error(snapshot),
        pod_failure=health.pod_failure(snapshot),
        lagging=_lagging(snapshot, desired),
        rollout=progressing(desired.rollout, desired.blocked),
    )


def _spec_error(snapshot: Snapshot) -> ConditionDraft | None:
    if not snapshot.spec_error:
        return None
    message = f"the operator cannot act on the spec, and goes on with the last one: {snapshot.spec_error}"
    return ConditionDraft("False", "InvalidSpec", message, Progress.STALLED)


def _drift(desired: DesiredState) -> ConditionDraft:
    """DriftDetected; a detector that is paused or in another's way compares nothing."""
    if desired.blocked is not None:
        return ConditionDraft("Unknown", desired.blocked.reason, desired.blocked.message)
    verdict = desired.drift
    progress = Progress.RESTING if verdict.status == "True" else Progress.WANTED
    return ConditionDraft(verdict.status, verdict.reason, verdict.message, progress)


def _apply_error(snapshot: Snapshot) -> ConditionDraft | None:
    error = snapshot.apply_error
    if error is None or error.of_model:
        return None
    return ConditionDraft("False", error.reason, error.message, Progress.MOVING if error.transient else Progress.STALLED)


def _model(snapshot: Snapshot, desired: DesiredState, scorer: str) -> ConditionDraft:
    """ModelAvailable."""
    selection, outcome, stable = desired.selection, desired.training_outcome, desired.rollout.stable
    if desired.blocked and selection.awaited:
        return desired.blocked
    if selection.reason:
        progress = Progress.MOVING if selection.reason == UNVERIFIED else Progress.STALLED
        return ConditionDraft("False", selection.reason, f"{selection.message}. Meanwhile {scorer} decides.", progress)
    if outcome is not None and not desired.retraining:
        progress = Progress.STALLED if outcome.waits_for_people else Progress.MOVING
        return ConditionDraft("False", outcome.reason, f"{outcome.message} (meanwhile {scorer} decides)", progress)
    if snapshot.apply_error is not None and snapshot.apply_error.of_model and desired.rollout.candidate is None:
        return ConditionDraft("False", snapshot.apply_error.reason, snapshot.apply_error.message, Progress.STALLED)
    failure = health.stable_failure(snapshot, stable.name)
    if failure is not None:
        return health.of_failure(failure, stable.model_name or "")
    model = desired.rollout.stable_model or selection.model
    if model is None:
        return ConditionDraft("True", "NotNeeded", "the robust statistical scorer needs no model")
    if outcome is not None:
        failed = outcome.waits_for_people
        message = f"AnomalyModel {model.name} goes on deciding while another is trained: {outcome.message}"
        reason, progress = (RETRAINING_FAILED, Progress.RESTING) if failed else (RETRAINING, Progress.WANTED)
        return ConditionDraft("True", reason, message, progress)
    if selection.rejected is not None:
        message = f"AnomalyModel {model.name} goes on deciding: {gate.sentence(selection.rejected)}"
        return ConditionDraft("True", gate.CANDIDATE_REJECTED, message, Progress.RESTING)
    reason = "Referenced" if snapshot.detector.spec.model.model_ref else "Trained"
    return ConditionDraft("True", reason, f"AnomalyModel {model.name} is in use")


def _lagging(snapshot: Snapshot, desired: DesiredState) -> ConditionDraft | None:
    """Whether the pods are not yet what and where they should be."""
    live = snapshot.children.get((DEPLOYMENTS, detector_child(snapshot.detector.name)))
    if live is None:
        return ConditionDraft("False", "PodsStarting", "the scoring pods are being made")
    status, wanted = live.get("status", {}), live["spec"].get("replicas", 1)
    seen = status.get("observedGeneration", 0) >= live["metadata"].get("generation", 0)
    if not seen or status.get("updatedReplicas", 0) < wanted or status.get("replicas", 0) > wanted:
        return ConditionDraft("False", "PodsRolling", "the scoring pods are being replaced")
    evidence, revision = snapshot.evidence_by_pod, desired.rollout.stable.name
    assignment = desired.rollout.assignment
    for pod in health.scoring_pods(snapshot):
        said = evidence.get(pod.name)
        loaded = said is not None and any(each.revision == revision and each.loaded for each in said.revisions)
        if said is not None and ((said.assignment != assignment.digest and assignment.candidate is None) or not loaded):
            return ConditionDraft("False", "Assigning", f"pod {pod.name} has not taken over revision {revision} yet")
    return None
