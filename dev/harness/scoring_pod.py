"""A scoring pod as a process: orders in files as the operator writes them, what it says of itself, how it is killed and stopped.

The one way to run a pod without a cluster, for tests, `make bench`, `make scale` and `make torture`. It ends with the thread that
started it.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

from anomaly_api.assignment import Assignment, Runtime
from anomaly_api.evidence import DetectorEvidence
from dev.environment.supervision.leash import LEASHED

PORT: Final = 18080
"""Below those that the kernel and `dev.environment.ports` give away."""
_ANSWER_SECONDS: Final = 5.0
_LOOK_SECONDS: Final = 0.02
_STOP_SECONDS: Final = 60.0
_TICKS_A_SECOND: Final = os.sysconf("SC_CLK_TCK")
_dice = random.SystemRandom()  # a test that seeds `random` must not decide the addresses


class PodError(RuntimeError):
    """A pod that did not do what it should; the message ends with its log."""


@dataclass
class ScoringPod:
    """A pod with a folder for its orders and its log. Started again after its end, it has the same name, as a container has."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    """Variables beside those that every pod gets."""
    name: str = ""
    """Default: the folder's."""
    host: str = ""
    """Hundreds are started beside each other: each has an address of the loopback of its own, or two would take one port."""
    began: float = 0.0
    """Unix seconds before the process was started."""
    frozen: bool = False
    leaving: bool = False
    _process: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        self.name = self.name or self.folder.name

    @property
    def log(self) -> Path:
        return self.folder / "log"

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, f"{self.name} was never started"
        return self._process

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    # -- its orders

    def start(self, runtime: Runtime, assignment: Assignment) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        _write(self.folder / "runtime.json", runtime.model_dump_json())
        self.restart(assignment)

    def restart(self, assignment: Assignment) -> None:
        """As kubelet does with a container that ended."""
        self.assign(assignment)
        self.host = ".".join(["127", *(str(_dice.randint(1, 254)) for _ in range(3))])
        environment = {
            **os.environ,
            "ANOMALY_CONFIG_FOLDER": str(self.folder),
            "ANOMALY_HTTP_HOST": self.host,
            "ANOMALY_HTTP_PORT": str(PORT),
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
            "POD_NAME": self.name,
            "PYTHONFAULTHANDLER": "1",
            "PYTHONHASHSEED": "random",  # as in a cluster, though `make test` fixes its own: no alert may depend on it
            **self.environment,
        }
        with self.log.open("ab") as log:
            self.began = time.time()
            command = [*LEASHED, sys.executable, "-m", "anomaly_detector"]
            self._process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        self.frozen = self.leaving = False

    def assign(self, assignment: Assignment) -> None:
        """As kubelet does it: the file is replaced at once."""
        _write(self.folder / "assignment.json", assignment.model_dump_json())

    # -- what it says

    def get(self, path: str) -> tuple[int, str]:
        """Status and text of an answer. OSError while it does not listen yet."""
        try:
            with urllib.request.urlopen(f"http://{self.host}:{PORT}{path}", timeout=_ANSWER_SECONDS) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def evidence(self) -> DetectorEvidence:
        return DetectorEvidence.model_validate_json(self.get("/evidence")[1])

    @property
    def ready(self) -> bool:
        """Whether it says that it reads its topic."""
        try:
            return self.get("/readyz")[0] == HTTPStatus.OK
        except OSError:
            return False

    def until(
        self, holds: Callable[[DetectorEvidence], Any], seconds: float = 30.0, every: float = _LOOK_SECONDS
    ) -> DetectorEvidence:
        """Waits until the evidence is so. PodError with its log when it ends, or does not come so in time."""
        deadline = time.monotonic() + seconds
        last: object = "no answer"
        while time.monotonic() < deadline:
            if not self.running:
                raise PodError(f"the pod ended: {self.log.read_text()}")
            try:
                evidence = self.evidence()
            except (OSError, ValueError) as error:
                last = error
            else:
                if holds(evidence):
                    return evidence
                last = evidence
            time.sleep(every)
        raise PodError(f"it did not come so within {seconds} s: {last}\n{self.log.read_text()}")

    def await_ready(self, seconds: float) -> None:
        """Until it reads. Raises TimeoutError."""
        deadline = time.monotonic() + seconds
        while not self.ready:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.name} does not read; see {self.log}")
            time.sleep(_LOOK_SECONDS)

    def cpu_seconds(self) -> float:
        """Time on a CPU so far, all threads."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS_A_SECOND

    def memory(self) -> dict[str, int]:
        """Bytes: resident at most (`VmHWM`), now (`VmRSS`), and of that its own (`RssAnon`)."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        found = dict(line.split(":", 1) for line in lines)
        return {name: int(found[name].split()[0]) * 1024 for name in ("VmHWM", "VmRSS", "RssAnon")}

    # -- what is done to it

    def freeze(self) -> None:
        """SIGSTOP: for the group it is dead, for itself it is not."""
        if self.running:
            self.process.send_signal(signal.SIGSTOP)
            self.frozen = True

    def wake(self) -> None:
        if self.running:
            self.process.send_signal(signal.SIGCONT)
        self.frozen = False

    def kill(self) -> None:
        """`kill -9`."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self.frozen = False

    def leave(self) -> None:
        """SIGTERM, as a pod that is scaled away."""
        if self.running:
            self.wake()
            self.process.terminate()
            self.leaving = True

    def ended(self) -> int | None:
        """Exit status, once it has ended. One that does not end is made to write down where its threads stand."""
        if self._process is None:
            return 0
        try:
            return self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.tell()
            return None

    def terminate(self) -> int | None:
        """Ends it as a pod that is scaled away; its exit status."""
        self.leave()
        return self.ended()

    def tell(self) -> None:
        """Ends it; what it said of itself is beside its log then, which says where all threads stood."""
        if self.running:
            self.wake()
            try:
                said = self.get("/evidence")[1]
            except OSError as error:
                said = str(error)
            (self.folder / "evidence.json").write_text(said)
            self.process.send_signal(signal.SIGABRT)


@contextmanager
def running(pod: ScoringPod, runtime: Runtime, assignment: Assignment) -> Iterator[ScoringPod]:
    """A scoring pod for as long as the context lives; then it is killed if it has not ended."""
    pod.start(runtime, assignment)
    try:
        yield pod
    finally:
        pod.kill()


def _write(path: Path, text: str) -> None:
    unfinished = path.with_suffix(".new")
    unfinished.write_text(text)
    unfinished.replace(path)
