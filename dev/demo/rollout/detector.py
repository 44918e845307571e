"""The detector of the demo, and what is done to it: by kubectl, as a person would."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import yaml

from anomaly_api.status import DetectorStatus
from dev.demo.rollout.stream import TOPIC
from dev.demo.story import NAMESPACE
from dev.environment.prerequisites import Surroundings

NAME: Final = "rollout-pumps"
_EXAMPLE: Final = Path(__file__).resolve().parents[3] / "examples" / "pumps.yaml"
_LOOK_SECONDS: Final = 1.0
_ROLLOUT: Final = {
    "steps": [
        {"shadow": {"for": "15s", "windows": 2000}},
        {"weight": 25},
        {"pause": {"for": "10s"}},
        {"weight": 50},
        {"pause": {"for": "10s"}},
    ],
    "settingsSteps": [{"shadow": {"for": "15s", "windows": 1500}}],
}


class RolloutDemoFailed(Exception):  # noqa: N818 - it is what the demo did
    """Something did not happen in time; the message has the status and what to look at."""


def spec(bootstrap: str) -> dict[str, Any]:
    """The pumps' example with short steps, for impatient people."""
    document: dict[str, Any] = yaml.safe_load(_EXAMPLE.read_text())
    document["metadata"]["name"] = NAME
    kafka = document["spec"]["source"]["kafka"]
    kafka["bootstrapServers"], kafka["topic"] = bootstrap, TOPIC
    document["spec"]["rollout"] = _ROLLOUT
    document["spec"]["training"] = {**document["spec"]["training"], "epochs": 15, "minimum": {"windows": 2000}}
    return document


class Detector:
    """The AnomalyDetector on the cluster."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around

    def apply(self) -> None:
        """As `kubectl apply` does it."""
        document = spec(self._around.bootstrap_in_cluster)
        self._kubectl("apply", "-f", "-", stdin=yaml.safe_dump(document))

    def delete(self) -> None:
        """With all that belongs to it."""
        self._kubectl("delete", "anomalydetector", NAME, "--ignore-not-found", "--cascade=foreground", "--timeout=60s")

    def patch(self, spec: dict[str, Any]) -> None:
        """Changes some of the spec; None takes a field away."""
        self._kubectl("patch", "anomalydetector", NAME, "--type=merge", "-p", json.dumps({"spec": spec}))

    def train(self, token: str) -> None:
        """Asks for a training, as `kubectl anomaly train` does."""
        self._kubectl("annotate", "anomalydetector", NAME, f"anomaly-operator.dev/train={token}", "--overwrite")

    def status(self) -> DetectorStatus:
        """As the API server has it now."""
        found = self._around.cluster.run("--namespace", NAMESPACE, "get", "anomalydetector", NAME, "-o", "json")
        return DetectorStatus.model_validate(json.loads(found.stdout or "{}").get("status") or {})

    def until(self, what: str, within: float, done: Callable[[DetectorStatus], bool], draw: Callable[[], None]) -> DetectorStatus:
        """Waits for something in the status. Raises RolloutDemoFailed."""
        give_up = time.monotonic() + within
        while True:
            found = self.status()
            if done(found):
                return found
            if time.monotonic() > give_up:
                raise RolloutDemoFailed(f"{what}: not within {within:.0f} s\n{self.tree()}\n{found.model_dump_json(indent=1)}")
            draw()
            time.sleep(_LOOK_SECONDS)

    def tree(self) -> str:
        """What `kubectl anomaly status` draws."""
        command = [sys.executable, "-m", "kubectl_anomaly", "status", NAME, "--namespace", NAMESPACE]
        kubeconfig = ["--kubeconfig", self._around.cluster.kubeconfig]
        environment = {**os.environ, "PATH": f"{Path(self._around.cluster.kubectl_path).parent}:{os.environ['PATH']}"}
        done = subprocess.run([*command, *kubeconfig], capture_output=True, text=True, check=False, env=environment)
        return done.stdout or done.stderr

    def kill_candidate(self) -> None:
        """Kills the process in which the pods score the candidate, as a lack of memory would."""
        script = (
            "import os, pathlib, signal\n"
            "for each in pathlib.Path('/proc').glob('[0-9]*/cmdline'):\n"
            "    pid = int(each.parent.name)\n"
            "    if pid != os.getpid() and b'confinement.child' in each.read_bytes().replace(b'\\0', b' '):\n"
            "        os.kill(pid, signal.SIGKILL)\n"
        )
        self._kubectl("exec", f"deployment/{NAME}-detector", "--", "python", "-c", script)

    def _kubectl(self, *arguments: str, stdin: str | None = None) -> None:
        self._around.cluster.kubectl("--namespace", NAMESPACE, *arguments, stdin=stdin)
