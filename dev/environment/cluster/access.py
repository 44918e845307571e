"""How a person or a test talks to a cluster, however it runs."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass


@dataclass(frozen=True)
class Cluster:
    """A running API server, and the programs for it."""

    kubeconfig: str
    kubectl_path: str
    helm_path: str

    def run(self, *arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """kubectl, whatever comes of it."""
        command = [self.kubectl_path, "--kubeconfig", self.kubeconfig, *arguments]
        return subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """Returns what kubectl prints; RuntimeError with what it said when it fails."""
        return _output("kubectl", self.run(*arguments, stdin=stdin))

    def helm(self, *arguments: str) -> str:
        """Returns what Helm prints; RuntimeError with what it said when it fails."""
        command = [self.helm_path, "--kubeconfig", self.kubeconfig, *arguments]
        return _output("helm", subprocess.run(command, capture_output=True, text=True, check=False))

    def wait_for_controllers(self) -> None:
        """Until the first namespace has its service account, without which no pod is admitted."""
        self.kubectl("wait", "--for=create", "serviceaccount/default", "--namespace=default", "--timeout=60s")

    def wait_for_definitions(self, *which: str) -> None:
        """Until custom resources can be applied. One made this instant has no conditions, which kubectl takes for an error."""
        for what in ("jsonpath={.status.conditions}", "condition=Established"):
            self.kubectl("wait", f"--for={what}", "--timeout=60s", *which)


def _output(program: str, done: subprocess.CompletedProcess[str]) -> str:
    if done.returncode != 0:
        raise RuntimeError(f"{program} {' '.join(done.args[3:])}: {done.stderr.strip()}")
    return done.stdout
