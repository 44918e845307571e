"""kubectl as the way to the cluster: it knows every kind of login, and a plugin of it needs no second one.

Secrets never pass through here: kubectl reads its own configuration, and what runs in a pod has the pod's credentials.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from kubectl_anomaly.exits import Exit, PluginError

Document = dict[str, Any]
DETECTORS: Final = "anomalydetectors.anomaly-operator.dev"
MODELS: Final = "anomalymodels.anomaly-operator.dev"
_SAID: Final = (
    ("(NotFound)", Exit.NOT_FOUND),
    ("not found", Exit.NOT_FOUND),
    ("(Forbidden)", Exit.FORBIDDEN),
    ("Unauthorized", Exit.FORBIDDEN),
    ("You must be logged in", Exit.FORBIDDEN),
    ("(Conflict)", Exit.REFUSED),
    ("(Invalid)", Exit.REFUSED),
    ("is invalid", Exit.REFUSED),
    ("(BadRequest)", Exit.REFUSED),
    ("the server doesn't have a resource type", Exit.NOT_FOUND),
)
"""Parts of what kubectl says on standard error, and what they mean, the first that fits."""


@dataclass(frozen=True)
class Kubectl:
    """One cluster and namespace, as the user's options name them."""

    program: str
    options: tuple[str, ...] = ()
    """--context, --kubeconfig, --as and the like."""
    namespace: str | None = None
    """None: the one of kubectl's context."""

    def command(self, *arguments: str) -> list[str]:
        """The whole command line."""
        where = ("--namespace", self.namespace) if self.namespace else ()
        return [self.program, *self.options, *where, *arguments]

    def run(self, *arguments: str, stdin: str | None = None) -> str:
        """What kubectl prints. Raises PluginError."""
        done = subprocess.run(self.command(*arguments), input=stdin, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise explained(done.stderr or done.stdout)
        return done.stdout

    def get(self, *arguments: str) -> Document:
        """A document, or a List of them. Raises PluginError."""
        found: Document = json.loads(self.run("get", *arguments, "-o", "json"))
        return found

    def items(self, *arguments: str) -> list[Document]:
        """The documents of a List. Raises PluginError."""
        return list(self.get(*arguments).get("items", []))

    def patch(self, kind: str, name: str, patch: Document, *arguments: str) -> Document:
        """The document as it is after a merge patch. Raises PluginError."""
        told = ("--type=merge", "-p", json.dumps(patch), "-o", "json")
        changed: Document = json.loads(self.run("patch", kind, name, *told, *arguments))
        return changed

    def detector(self, name: str) -> Document:
        """Raises PluginError."""
        return self.get(DETECTORS, name)

    @contextmanager
    def lines(self, *arguments: str) -> Iterator[Iterator[str]]:
        """Gives what kubectl prints, line by line as it comes. Raises PluginError when it fails.

        Its standard input is open for as long as the block lasts, and kubectl ends with it.
        """
        process = subprocess.Popen(
            self.command(*arguments), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            yield process.stdout
            if process.wait() != 0:
                raise explained(process.stderr.read())
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()
            for pipe in (process.stdin, process.stdout, process.stderr):
                pipe.close()


def explained(said: str) -> PluginError:
    """The failure that kubectl tells of on standard error."""
    text = "\n".join(line for line in said.strip().splitlines() if not line.startswith("command terminated with exit code"))
    status = next((status for part, status in _SAID if part in said), Exit.UNREACHABLE)
    return PluginError(status, text.removeprefix("Error from server ") or "kubectl failed and said nothing")


def connect(options: Sequence[str], namespace: str | None) -> Kubectl:
    """Raises PluginError where there is no kubectl."""
    program = os.environ.get("KUBECTL") or shutil.which("kubectl")
    if program is None:
        raise PluginError(
            Exit.UNREACHABLE, "kubectl is not on PATH: install it (https://kubernetes.io/docs/tasks/tools), or set KUBECTL"
        )
    return Kubectl(program, tuple(options), namespace)
