"""Pods as the operator sees them, and why one does not run, in words for people. Knows nothing of detectors."""

from dataclasses import dataclass
from typing import Any, Final

from anomaly_api.meta import ANNOTATION_ASSIGNMENT, LABEL_COMPONENT
from anomaly_operator.core.resources.ownership import controller
from anomaly_operator.core.timestamps import unix

_PULL: Final = ("ImagePullBackOff", "ErrImagePull", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError")
_CREATE: Final = ("CreateContainerConfigError", "CreateContainerError", "RunContainerError")
_MAX_WORDS: Final = 600
_CLOCKS_DIFFER: Final = 5.0
_LONG_AGO: Final = 3600.0
"""Seconds: a pod whose age is not known is none that has just started."""


@dataclass(frozen=True)
class PodFailure:
    """Why a pod does not run."""

    reason: str
    """CamelCase; becomes the condition's reason."""
    message: str
    """For people."""
    waits_for_people: bool = False
    """Whether it will not go away by itself."""


@dataclass(frozen=True)
class Pod:
    """A scoring or training pod."""

    name: str
    component: str
    job: str
    phase: str
    address: str
    ready: bool
    terminating: bool
    created: float
    started: float
    """When its container began to run; 0 while it does not."""
    assignment: str
    """Digest in its annotation."""
    failure: PodFailure | None
    termination_message: str
    """What its container printed last when it failed."""
    failed_at: float
    owner: str = ""
    """Uid of the ReplicaSet or Job that made it."""


def age(pod: Pod, now: float) -> float:
    """Seconds since its container began to run, else since it was made, at `now` of the API server's clock.

    A container's start is written by its node's clock. A time that lies in the future tells nothing: a clock is ahead.
    """
    believed = [moment for moment in (pod.created, pod.started) if 0 < moment <= now + _CLOCKS_DIFFER]
    return max(0.0, now - max(believed)) if believed else _LONG_AGO


def pod(document: dict[str, Any]) -> Pod:
    """A pod from its document."""
    metadata, status = document["metadata"], document.get("status", {})
    labels = metadata.get("labels", {})
    failed_at, termination_message = last_termination(document)
    return Pod(
        name=metadata["name"],
        component=labels.get(LABEL_COMPONENT, ""),
        job=labels.get("batch.kubernetes.io/job-name", ""),
        phase=status.get("phase", ""),
        address=status.get("podIP", ""),
        ready=any(each["type"] == "Ready" and each["status"] == "True" for each in status.get("conditions", [])),
        terminating="deletionTimestamp" in metadata,
        created=unix(metadata.get("creationTimestamp")),
        started=max(_running_since(status), default=0.0),
        assignment=metadata.get("annotations", {}).get(ANNOTATION_ASSIGNMENT, ""),
        failure=pod_failure(document),
        termination_message=termination_message,
        failed_at=failed_at,
        owner=controller(metadata),
    )


def _running_since(status: dict[str, Any]) -> list[float]:
    states = [container.get("state", {}).get("running", {}) for container in status.get("containerStatuses", [])]
    return [unix(state.get("startedAt")) for state in states]


def pod_failure(document: dict[str, Any]) -> PodFailure | None:
    """What keeps the pod from running, the first that applies; None when it runs or is on its way."""
    name, status = document["metadata"]["name"], document.get("status", {})
    for container in status.get("containerStatuses", []):
        found = _container_failure(name, container)
        if found:
            return found
    for condition in status.get("conditions", []):
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            why = condition.get("message", "")
            return PodFailure(
                "Unschedulable",
                f"pod {name} finds no node: {why}. Give the cluster room, or change pod.resources, nodeSelector or tolerations.",
            )
    return None


def last_termination(document: dict[str, Any]) -> tuple[float, str]:
    """When a container of the pod failed last (Unix seconds) and the last it said; (0, "") when none did."""
    newest = (0.0, "")
    for container in document.get("status", {}).get("containerStatuses", []):
        for state in ("state", "lastState"):
            ended = container.get(state, {}).get("terminated")
            if ended and ended.get("exitCode", 0) != 0:
                newest = max(newest, (unix(ended.get("finishedAt")), _words(ended)))
    return newest


def _container_failure(name: str, container: dict[str, Any]) -> PodFailure | None:
    waiting = container.get("state", {}).get("waiting", {})
    reason, message = waiting.get("reason", ""), waiting.get("message", "")
    if reason in _PULL:
        return PodFailure(
            "ImagePullFailed",
            f"pod {name} cannot pull image {container.get('image', '?')} ({reason}: {message}). "
            "Correct the image, or name a pull secret in pod.imagePullSecrets.",
            waits_for_people=True,
        )
    if reason in _CREATE:
        return PodFailure(
            "ContainerNotCreated",
            f"the container of pod {name} cannot be created ({reason}: {message}). "
            "Create what it refers to, or correct the reference.",
            waits_for_people=True,
        )
    ended = container.get("lastState", {}).get("terminated") or container.get("state", {}).get("terminated")
    crashing = reason == "CrashLoopBackOff" or (container.get("restartCount", 0) > 0 and not container.get("ready"))
    if crashing and ended:
        return PodFailure("PodsCrashing", f"pod {name} crashed {container.get('restartCount', 0)} times: {_words(ended)}")
    return None


def _words(ended: dict[str, Any]) -> str:
    """How a container ended: its last lines, or what Kubernetes knows."""
    said = " ".join(str(ended.get("message", "")).split())
    if ended.get("reason") == "OOMKilled":
        return "it was killed for using more memory than its limit; raise resources.limits.memory"
    return said[-_MAX_WORDS:] or f"exit code {ended.get('exitCode')} ({ended.get('reason', 'no reason given')})"
