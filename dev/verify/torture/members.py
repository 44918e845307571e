"""Scoring pods as processes that can be killed, stopped and woken. Each has a folder with its orders and its log."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path

from anomaly_api.assignment import Assignment, Runtime
from dev.environment.supervision.leash import LEASHED

# A checkpoint after so many readings, so that there are some in a stream of thousands.
OFTEN = {"ANOMALY_CHECKPOINT_READINGS": "300"}
SMALL_BATCHES = OFTEN | {"ANOMALY_BATCH_MESSAGES": "40"}
"""For pods that often have the next batch to read while the one before is scored; a stream of thousands has few large ones."""
_STOP_SECONDS = 60.0
_LOOK_SECONDS = 0.05
PORT = "18080"  # below those that the kernel and `dev.environment.ports` give away
_dice = random.SystemRandom()


@dataclass
class Member:
    """A scoring pod; started again after a kill, it has the same name."""

    name: str
    folder: Path
    process: subprocess.Popen[bytes] | None = None
    stopped: bool = False
    leaving: bool = False
    address: str = ""
    """Of its HTTP server. Hundreds are started beside each other: an address of the loopback of its own, or two take one port."""
    environment: dict[str, str] = field(default_factory=lambda: dict(OFTEN))

    @property
    def ready(self) -> bool:
        """Whether it says that it reads its topic."""
        try:
            with urllib.request.urlopen(f"http://{self.address}:{PORT}/readyz", timeout=5) as answer:
                return bool(answer.status == HTTPStatus.OK)
        except OSError:
            return False

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def start(self, runtime: Runtime, assignment: Assignment) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        _write(self.folder / "runtime.json", runtime.model_dump_json())
        self.restart(assignment)

    def restart(self, assignment: Assignment) -> None:
        """As kubelet does with a container that ended."""
        self.assign(assignment)
        self.address = ".".join(["127", *(str(_dice.randint(1, 254)) for _ in range(3))])
        environment = {
            **os.environ,
            **self.environment,
            "ANOMALY_CONFIG_FOLDER": str(self.folder),
            "ANOMALY_HTTP_HOST": self.address,
            "ANOMALY_HTTP_PORT": PORT,
            "OMP_NUM_THREADS": "1",
            "PYTHONFAULTHANDLER": "1",
            "OPENBLAS_NUM_THREADS": "1",
            "POD_NAME": self.name,
        }
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [*LEASHED, sys.executable, "-m", "anomaly_detector"], env=environment, stdout=log, stderr=log
            )
        self.stopped = self.leaving = False

    def await_ready(self, seconds: float) -> None:
        """Until it reads. Raises TimeoutError."""
        deadline = time.monotonic() + seconds
        while not self.ready:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.name} does not read; see {self.folder / 'log'}")
            time.sleep(_LOOK_SECONDS)

    def assign(self, assignment: Assignment) -> None:
        """As kubelet does it: the file is replaced at once."""
        _write(self.folder / "assignment.json", assignment.model_dump_json())

    def kill(self) -> None:
        """`kill -9`."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.stopped = False

    def freeze(self) -> None:
        """SIGSTOP: for the group it is dead, for itself it is not."""
        if self.running and self.process is not None:
            self.process.send_signal(signal.SIGSTOP)
            self.stopped = True

    def wake(self) -> None:
        if self.running and self.process is not None:
            self.process.send_signal(signal.SIGCONT)
        self.stopped = False

    def tell(self) -> None:
        """Ends it; what it said of itself is beside its log then, which says where all threads stood."""
        if self.running and self.process is not None:
            self.wake()
            try:
                with urllib.request.urlopen(f"http://{self.address}:{PORT}/evidence", timeout=5) as answer:
                    (self.folder / "evidence.json").write_bytes(answer.read())
            except OSError as error:
                (self.folder / "evidence.json").write_text(str(error))
            self.process.send_signal(signal.SIGABRT)

    def leave(self) -> None:
        """SIGTERM, as a pod that is scaled away."""
        if self.running and self.process is not None:
            self.wake()
            self.process.terminate()
            self.leaving = True

    def ended(self) -> int | None:
        """Exit status, once it has ended."""
        if self.process is None:
            return 0
        try:
            return self.process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.tell()
            return None


def _write(path: Path, text: str) -> None:
    unfinished = path.with_suffix(".new")
    unfinished.write_text(text)
    unfinished.replace(path)
