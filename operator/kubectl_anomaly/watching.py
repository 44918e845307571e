"""Says when something in the cluster changes: kubectl's watches, each in a process that ends with the block."""

import queue
import subprocess
import threading
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Final

from kubectl_anomaly.exits import Exit, PluginError
from kubectl_anomaly.kubectl import Kubectl, explained

_SETTLE: Final = 0.2
"""Changes that come within this time count as one."""
_AGAIN: Final = 1.0
_VERSION: Final = "jsonpath={.metadata.resourceVersion}{'\\n'}"


class Changes:
    """Watches of `kubectl get`, for as long as a `with` lasts."""

    def __init__(self, kubectl: Kubectl, watched: Sequence[tuple[str, ...]]) -> None:
        """`watched`: what to get, as arguments of `kubectl get`."""
        self._kubectl, self._watched = kubectl, watched
        self._seen: queue.Queue[PluginError | None] = queue.Queue()
        self._processes: dict[tuple[str, ...], subprocess.Popen[str]] = {}
        self._lock = threading.Lock()
        self._over = False

    def __enter__(self) -> "Changes":
        """Begins to watch."""
        for what in self._watched:
            threading.Thread(target=self._watch, args=(what,), daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Ends kubectl's processes."""
        with self._lock:
            self._over = True
            for process in self._processes.values():
                process.terminate()

    def wait(self, seconds: float) -> bool:
        """Whether something has changed within this time. Raises PluginError where it cannot be watched."""
        try:
            found = [self._seen.get(timeout=max(seconds, 0.0))]
        except queue.Empty:
            return False
        time.sleep(_SETTLE)
        while not self._seen.empty():
            found.append(self._seen.get_nowait())
        for failure in found:
            if failure is not None:
                raise failure
        return True

    def _watch(self, what: tuple[str, ...]) -> None:
        """The API server ends a watch every few minutes, and may be away for a while: it is begun again."""
        command = self._kubectl.command("get", *what, "--watch", "-o", _VERSION)
        while True:
            with self._lock:
                if self._over:
                    return
                process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
                self._processes[what] = process
            assert process.stdout is not None
            for _ in process.stdout:
                self._seen.put(None)
            _, said = process.communicate()
            failure = explained(said)
            if process.returncode > 0 and failure.status is not Exit.UNREACHABLE:
                self._seen.put(failure)
                return
            time.sleep(_AGAIN)
