"""Training as the operator sees it: the order, and what became of its Job. The training itself is the trainer's."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from anomaly_api.assignment import Identity, TrainingOrder
from anomaly_api.evidence import TrainingEvidence
from anomaly_api.status import TrainingStatus
from anomaly_operator.core.resources.names import JOBS, TRAINER, job_name
from anomaly_operator.core.snapshot import Detector, Manifest, Observed
from anomaly_operator.core.status.pods import Pod
from anomaly_operator.core.timestamps import unix

WAITING_FOR_DATA: Final = "WaitingForData"
_VANISHED_AFTER: Final = 60.0
"""Seconds after which a model of a completed Job that is not there is taken for deleted, not for late."""


@dataclass(frozen=True)
class Training:
    """What became of the order."""

    status: TrainingStatus
    reason: str
    """Reason of ModelAvailable while the model is not there."""
    message: str
    waits_for_people: bool = False
    again: bool = False
    """Whether the Job is to be deleted, so that it is made anew."""


def order(detector: Detector) -> TrainingOrder | None:
    """What is to be trained; None where nothing is. The Job's name is part of it, so it is made in two steps."""
    spec = detector.spec
    if spec.model.autoencoder is None:
        return None
    asked = TrainingOrder(
        detector=Identity(namespace=detector.namespace, name=detector.name, uid=detector.uid),
        job="",
        kafka=spec.source.kafka,
        pipeline=spec.pipeline,
        autoencoder=spec.model.autoencoder,
        training=spec.training,
        model_store=spec.model_store,
    )
    return asked.model_copy(update={"job": job_name(detector.name, asked.key)})


def judge(observed: Observed, asked: TrainingOrder, now: float) -> Training:
    """What the Job, its pods and their evidence say. The model is not there yet."""
    job = observed.children.get((JOBS, asked.job))
    pods = [pod for pod in observed.pods if pod.component == TRAINER and pod.job == asked.job]
    if job is None:
        return _training("Pending", asked, "Training", "the training Job is being made")
    conditions = {each["type"]: each for each in job.get("status", {}).get("conditions", []) if each["status"] == "True"}
    failed = int(job.get("status", {}).get("failed", 0))
    if "Complete" in conditions:
        return _completed(asked, conditions["Complete"], now)
    if "Failed" in conditions or "FailureTarget" in conditions:
        return _failed(asked, pods, conditions.get("Failed") or conditions["FailureTarget"], failed)
    return _running(observed.evidence.trainer, asked, pods, failed)


def leftovers(observed: Observed, asked: TrainingOrder | None) -> list[Manifest]:
    """Jobs of other orders."""
    keep = asked.job if asked else None
    return [live for (kind, name), live in observed.children.items() if kind == JOBS and name != keep]


def _completed(asked: TrainingOrder, condition: dict[str, Any], now: float) -> Training:
    since = now - unix(condition.get("lastTransitionTime"))
    if since < _VANISHED_AFTER:
        return _training("Storing", asked, "Training", "the training is complete; its AnomalyModel is awaited")
    message = f"Job {asked.job} completed, but its AnomalyModel is not there (deleted?): it is trained again"
    return Training(TrainingStatus(state="Pending", job=asked.job, message=message), "ModelMissing", message, again=True)


def _failed(asked: TrainingOrder, pods: Sequence[Pod], condition: dict[str, Any], attempts: int) -> Training:
    words = _last_words(pods) or condition.get("message", "no reason given")
    message = f"training failed {attempts} times; the last time: {words} Change the spec, or delete Job {asked.job} to try again."
    status = TrainingStatus(state="Failed", job=asked.job, attempts=attempts, message=words)
    return Training(status, "TrainingFailed", message, waits_for_people=True)


def _running(evidence: TrainingEvidence | None, asked: TrainingOrder, pods: Sequence[Pod], attempts: int) -> Training:
    present = [pod for pod in pods if not pod.leaving and pod.phase in ("Pending", "Running")]
    stuck = next((pod.trouble for pod in present if pod.trouble), None)
    if stuck:
        status = TrainingStatus(state="Pending", job=asked.job, attempts=attempts or None, message=stuck.message)
        return Training(status, stuck.reason, f"training waits: {stuck.message}", stuck.waits_for_people)
    if not present and attempts:
        words = _last_words(pods) or "no reason given"
        status = TrainingStatus(state="Retrying", job=asked.job, attempts=attempts, message=words)
        return Training(status, "TrainingRetrying", f"training failed and is tried again after a pause: {words}")
    if evidence is None or evidence.pod not in {pod.name for pod in present}:
        return _training("Pending", asked, "Training", "the training pod starts", attempts)
    return _reported(evidence, asked, attempts)


def _reported(evidence: TrainingEvidence, asked: TrainingOrder, attempts: int) -> Training:
    state = "Storing" if evidence.state in ("Complete", "Failed") else evidence.state
    status = TrainingStatus(
        state=state,
        job=asked.job,
        progress=evidence.progress,
        readings=evidence.readings,
        windows=evidence.windows,
        needed=evidence.needed,
        attempts=attempts or None,
        message=evidence.message or None,
    )
    if evidence.reason and evidence.state not in ("Waiting", "Complete"):
        return Training(status, evidence.reason, evidence.message)
    if state == "Waiting":
        found = f"there are {evidence.windows} windows ({evidence.readings} readings), {evidence.needed} windows are needed"
        reason = evidence.reason if evidence.reason not in ("", "TooLittleData") else WAITING_FOR_DATA
        said = evidence.message if reason != WAITING_FOR_DATA else ""
        return Training(status, reason, said or f"training waits for data: {found}; until then the fallback scorer decides")
    return Training(
        status, "Training", f"{state.lower()}: {evidence.message}" if evidence.message else f"the trainer is {state.lower()}"
    )


def _last_words(pods: Sequence[Pod]) -> str:
    newest = max(pods, key=lambda pod: pod.failed_at, default=None)
    words = newest.last_words if newest else ""
    return words if not words or words.endswith((".", "!")) else f"{words}."


def _training(state: Any, asked: TrainingOrder, reason: str, message: str, attempts: int = 0) -> Training:
    return Training(TrainingStatus(state=state, job=asked.job, attempts=attempts or None), reason, message)
