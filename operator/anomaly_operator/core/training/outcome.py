"""The outcome of a training order, judged from its Job, the Job's pods and the trainer's evidence."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from anomaly_api.assignment import TrainingOrder
from anomaly_api.evidence import TrainingEvidence
from anomaly_api.status import TrainingStatus
from anomaly_operator.core.resources.names import JOBS, TRAINER
from anomaly_operator.core.snapshot import Manifest, Snapshot
from anomaly_operator.core.status.pod_refusal import PODS_REFUSED, refused_training_pod
from anomaly_operator.core.status.pods import Pod
from anomaly_operator.core.text import bounded
from anomaly_operator.core.timestamps import unix
from anomaly_operator.core.training.queue import Standing
from anomaly_operator.core.training.readiness import Shortage, shortage

WAITING_FOR_DATA: Final = "WaitingForData"
TRAINING_QUEUED: Final = "TrainingQueued"
_STUCK_AFTER: Final = 600.0
"""Seconds after which a Job whose pod does not get to run gives its place to others."""
_VANISHED_AFTER: Final = 60.0
"""Seconds after which a model of a completed Job that is not there is taken for deleted, not for late."""


@dataclass(frozen=True)
class TrainingOutcome:
    """What became of the order."""

    status: TrainingStatus
    reason: str
    """Reason of ModelAvailable while the model is not there."""
    message: str
    waits_for_people: bool = False
    again: bool = False
    """Whether the Job is to be deleted, so that it is made anew."""
    starts: bool = False
    """Whether the Job is to be made now."""
    standing: Standing = Standing.NONE
    """What the training is to the queue of trainings."""


def training_outcome(snapshot: Snapshot, order: TrainingOrder, asked: float, now: float) -> TrainingOutcome:
    """The outcome so far, at `now`, of an order that came at `asked` and whose model is not there yet. Unix seconds."""
    job = snapshot.children.get((JOBS, order.job))
    pods = [pod for pod in snapshot.pods if pod.component == TRAINER and pod.job == order.job]
    if job is None:
        return _before_job(snapshot, order, shortage(snapshot, order, asked, now))
    conditions = {each["type"]: each for each in job.get("status", {}).get("conditions", []) if each["status"] == "True"}
    failed = int(job.get("status", {}).get("failed", 0))
    if "Complete" in conditions:
        return _completed(order, conditions["Complete"], now)
    if "Failed" in conditions or "FailureTarget" in conditions:
        return _failed(order, pods, conditions.get("Failed") or conditions["FailureTarget"], failed)
    found = _running(snapshot, order, pods, failed)
    works = _works(found, now - unix(job["metadata"].get("creationTimestamp")))
    return replace(found, standing=Standing.RUNNING if works else Standing.NONE)


def _before_job(snapshot: Snapshot, order: TrainingOrder, missing: Shortage | None) -> TrainingOutcome:
    """A training without a Job: it waits for data, or for its turn, or the Job is made."""
    room = snapshot.room
    if missing is not None and missing.windows is None:
        status = TrainingStatus(state="Pending", job=order.job, message=missing.message)
        return TrainingOutcome(status, "Training", missing.message)
    if missing is not None:
        figures = {"readings": missing.readings, "windows": missing.windows, "needed": missing.needed}
        status = TrainingStatus(state="WaitingForData", job=order.job, message=missing.message, **figures)
        return TrainingOutcome(status, WAITING_FOR_DATA, f"no training is begun yet: {missing.message}")
    if room.free:
        return replace(
            _training("Pending", order, "Training", "the training Job is being made"), starts=True, standing=Standing.RUNNING
        )
    message = (
        f"{room.running} trainings run, and no more than {room.limit} may at once in the cluster; this one is number "
        f"{room.ahead + 1} of those that wait"
    )
    status = TrainingStatus(state="Queued", job=order.job, place=room.ahead + 1, message=message)
    return TrainingOutcome(status, TRAINING_QUEUED, message, standing=Standing.WAITING)


def _works(outcome: TrainingOutcome, age: float) -> bool:
    """Whether a Job of this age, in seconds, counts as a training that runs: a pod that only waits keeps nobody from training."""
    if outcome.status.state == "Waiting":
        return False
    stuck = outcome.status.state == "Pending" and outcome.reason != "Training"
    return not stuck or age < _STUCK_AFTER


def stale_jobs(snapshot: Snapshot, order: TrainingOrder | None) -> list[Manifest]:
    """Jobs of other orders."""
    keep = order.job if order else None
    return [live for (kind, name), live in snapshot.children.items() if kind == JOBS and name != keep]


def ended(job: Manifest, *ways: str) -> bool:
    """Whether a Job has ended in one of these ways (Complete, Failed), by default in any."""
    ways = ways or ("Complete", "Failed")
    return any(each["type"] in ways and each["status"] == "True" for each in job.get("status", {}).get("conditions", []))


def _completed(order: TrainingOrder, condition: dict[str, Any], now: float) -> TrainingOutcome:
    since = now - unix(condition.get("lastTransitionTime"))
    if since < _VANISHED_AFTER:
        return _training("Storing", order, "Training", "the training is complete; its AnomalyModel is awaited")
    message = f"Job {order.job} completed, but its AnomalyModel is not there (deleted?): it is trained again"
    return TrainingOutcome(TrainingStatus(state="Pending", job=order.job, message=message), "ModelMissing", message, again=True)


def _failed(order: TrainingOrder, pods: Sequence[Pod], condition: dict[str, Any], attempts: int) -> TrainingOutcome:
    words = _termination_message(pods) or condition.get("message", "no reason given")
    message = f"training failed {attempts} times; the last time: {words} Change the spec, or delete Job {order.job} to try again."
    status = TrainingStatus(state="Failed", job=order.job, attempts=attempts, message=bounded(words))
    return TrainingOutcome(status, "TrainingFailed", message, waits_for_people=True)


def _running(snapshot: Snapshot, order: TrainingOrder, pods: Sequence[Pod], attempts: int) -> TrainingOutcome:
    evidence = snapshot.evidence.trainer
    present = [pod for pod in pods if not pod.terminating and pod.phase in ("Pending", "Running")]
    stuck = next((pod.failure for pod in present if pod.failure), None)
    if stuck:
        status = TrainingStatus(state="Pending", job=order.job, attempts=attempts or None, message=bounded(stuck.message))
        return TrainingOutcome(status, stuck.reason, f"training waits: {stuck.message}", stuck.waits_for_people)
    refused = "" if present else refused_training_pod(snapshot, order.job)
    if refused:
        status = TrainingStatus(state="Pending", job=order.job, attempts=attempts or None, message=bounded(refused))
        return TrainingOutcome(status, PODS_REFUSED, f"training waits: {refused}", waits_for_people=True)
    if not present and attempts:
        words = _termination_message(pods) or "no reason given"
        status = TrainingStatus(state="Retrying", job=order.job, attempts=attempts, message=bounded(words))
        return TrainingOutcome(status, "TrainingRetrying", f"training failed and is tried again after a pause: {words}")
    if evidence is None or evidence.pod not in {pod.name for pod in present}:
        return _training("Pending", order, "Training", "the training pod starts", attempts)
    return _reported(evidence, order, attempts)


def _reported(evidence: TrainingEvidence, order: TrainingOrder, attempts: int) -> TrainingOutcome:
    state = "Storing" if evidence.state in ("Complete", "Failed") else evidence.state
    status = TrainingStatus(
        state=state,
        job=order.job,
        progress=evidence.progress,
        readings=evidence.readings,
        windows=evidence.windows,
        needed=evidence.needed,
        attempts=attempts or None,
        message=bounded(evidence.message) or None,
    )
    if evidence.reason and evidence.state not in ("Waiting", "Complete"):
        return TrainingOutcome(status, evidence.reason, evidence.message)
    if state == "Waiting":
        found = f"there are {evidence.windows} windows ({evidence.readings} readings), {evidence.needed} windows are needed"
        reason = evidence.reason if evidence.reason not in ("", "TooLittleData") else WAITING_FOR_DATA
        said = evidence.message if reason != WAITING_FOR_DATA else ""
        return TrainingOutcome(
            status, reason, said or f"training waits for data: {found}; until then the fallback scorer decides"
        )
    return TrainingOutcome(
        status, "Training", f"{state.lower()}: {evidence.message}" if evidence.message else f"the trainer is {state.lower()}"
    )


def _termination_message(pods: Sequence[Pod]) -> str:
    newest = max(pods, key=lambda pod: pod.failed_at, default=None)
    words = newest.termination_message if newest else ""
    return words if not words or words.endswith((".", "!")) else f"{words}."


def _training(state: Any, order: TrainingOrder, reason: str, message: str, attempts: int = 0) -> TrainingOutcome:
    return TrainingOutcome(TrainingStatus(state=state, job=order.job, attempts=attempts or None), reason, message)
