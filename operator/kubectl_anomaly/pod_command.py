"""Runs a command of the detector's in one of its scoring pods: they can reach Kafka, and people's laptops need not.

Nothing secret is on a command line: the pod reads its own credentials from where they are mounted.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from anomaly_api.meta import LABEL_COMPONENT, LABEL_DETECTOR
from kubectl_anomaly.detector_view import at
from kubectl_anomaly.exits import Exit, PluginError
from kubectl_anomaly.kubectl import Kubectl

_CONTAINER: Final = "detector"
_SAID: Final = (
    ("there is no episode", Exit.NOT_FOUND),
    ("refuses access", Exit.FORBIDDEN),
    ("authorization failed", Exit.FORBIDDEN),
    ("no broker has answered", Exit.UNREACHABLE),
    ("not even its end", Exit.UNREACHABLE),
    ("MiB left below its memory limit", Exit.UNREACHABLE),
)
"""Parts of what the commands in the pod say, and what they mean."""


def scoring_pod(kubectl: Kubectl, detector: str) -> str:
    """The name of a ready one. Raises PluginError."""
    pods = kubectl.items("pods", "-l", f"{LABEL_DETECTOR}={detector},{LABEL_COMPONENT}=detector")
    for pod in pods:
        ready = {each["type"]: each["status"] for each in at(pod, "status", "conditions") or []}.get("Ready")
        if ready == "True" and not at(pod, "metadata", "deletionTimestamp"):
            return str(pod["metadata"]["name"])
    kubectl.detector(detector)  # says so where there is none of that name
    raise PluginError(Exit.UNREACHABLE, f"no scoring pod of {detector} is ready: see `kubectl anomaly status {detector}`")


def in_pod(kubectl: Kubectl, detector: str, command: str, *words: str) -> str:
    """What `python -m anomaly_detector.cli.COMMAND` prints. Raises PluginError."""
    try:
        return kubectl.run(*_exec(scoring_pod(kubectl, detector), command, words))
    except PluginError as failure:
        raise _of_the_pod(failure, command) from failure


@contextmanager
def lines_of_pod(kubectl: Kubectl, detector: str, command: str, *words: str, hold: bool) -> Iterator[Iterator[str]]:
    """The same, line by line as they come. `hold`: the command's standard input ends with the block, and it with that.

    Raises PluginError.
    """
    arguments = _exec(scoring_pod(kubectl, detector), command, words)
    try:
        with kubectl.lines(arguments[0], *(["-i"] if hold else []), *arguments[1:]) as lines:
            yield lines
    except PluginError as failure:
        raise _of_the_pod(failure, command) from failure


def _exec(pod: str, command: str, words: tuple[str, ...]) -> list[str]:
    return ["exec", pod, "-c", _CONTAINER, "--", "python", "-m", f"anomaly_detector.cli.{command}", *words]


def _of_the_pod(failure: PluginError, command: str) -> PluginError:
    """What the command in the pod said is no failure of the cluster."""
    said = str(failure)
    if failure.status is Exit.FORBIDDEN and "pods/exec" in said:
        return PluginError(
            Exit.FORBIDDEN, f"{said}\nReading alerts and labelling go through a scoring pod: the right is create on pods/exec"
        )
    if f"{command}: " not in said:
        return failure
    message = said.partition(f"{command}: ")[2]
    status = next((status for part, status in _SAID if part in message), Exit.REFUSED)
    return PluginError(status, message)
