"""The real scoring pod as a process, its orders in files as the operator writes them, and what it says about itself."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from anomaly_api.alerting import AlertPolicy
from anomaly_api.assignment import Assignment, Identity, Revision, Runtime
from anomaly_api.calibration import ThresholdSource, WindowThreshold
from anomaly_api.evidence import DetectorEvidence
from anomaly_api.policy import Delivery, Fallback
from anomaly_api.source import KafkaSource, StartFrom
from dev.environment import ports
from dev.environment.backends import compiled_in
from dev.environment.supervision.leash import LEASHED
from dev.verify.bench.readings import PIPELINE

_PATIENCE: Final = 120.0
_TICKS_A_SECOND: Final = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Trained:
    """The model that everyone scores with."""

    folder: Path
    digest: str
    threshold: float

    @property
    def archive(self) -> Path:
        return self.folder / "model.tar"

    @property
    def graph(self) -> Path:
        return self.folder / "score.onnx"


@dataclass(frozen=True)
class Pod:
    """A running scoring pod."""

    process: subprocess.Popen[bytes]
    port: int
    began: float
    log: Path
    host: str = "127.0.0.1"

    def evidence(self) -> DetectorEvidence:
        """OSError while it does not listen yet."""
        with urllib.request.urlopen(f"http://{self.host}:{self.port}/evidence", timeout=5) as answer:
            return DetectorEvidence.model_validate_json(answer.read())

    def until(self, holds: Callable[[DetectorEvidence], bool], every: float = 0.02) -> DetectorEvidence:
        """Waits until the evidence is so. RuntimeError with the end of its log when it does not come so."""
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                evidence = self.evidence()
            except OSError:
                evidence = None
            if evidence is not None and holds(evidence):
                return evidence
            time.sleep(every)
        raise RuntimeError(f"the scoring pod did not do what it should:\n{self.log.read_text()[-2000:]}")

    def cpu_seconds(self) -> float:
        """Time on a CPU so far, all threads."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS_A_SECOND

    def memory(self) -> dict[str, int]:
        """Bytes: resident at most (`VmHWM`), now (`VmRSS`), and of that its own (`RssAnon`)."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        found = dict(line.split(":", 1) for line in lines)
        return {name: int(found[name].split()[0]) * 1024 for name in ("VmHWM", "VmRSS", "RssAnon")}


def revision(trained: Trained, policy: AlertPolicy | None = None) -> Revision:
    [window] = PIPELINE.windows
    value = {"value": trained.threshold, "source": ThresholdSource.VALUE, "asked": f"{trained.threshold:g}"}
    return Revision(
        model=trained.digest,
        model_name="bench",
        pipeline=PIPELINE,
        thresholds=[WindowThreshold(window=window.name, **value)],
        fallback=Fallback(),
        alerts=policy or AlertPolicy(),
    )


@contextmanager
def running(
    folder: Path, bootstrap: str, topic: str, delivery: Delivery, order: Revision, trained: Trained
) -> Iterator[Pod]:  # fmt: skip
    """A scoring pod that reads the topic from its beginning as a new group, for as long as the context lives."""
    folder.mkdir()
    runtime = Runtime(
        detector=Identity(namespace="bench", name=folder.name, uid="1"),
        kafka=KafkaSource(bootstrap_servers=bootstrap, topic=topic, start_from=StartFrom.EARLIEST),
        group_id=f"{folder.parent.name}-{folder.name}",
        alerts_topic="alerts",
        dead_letter_topic="dead-letters",
        state_topic=f"{folder.parent.name}-{folder.name}.state",
        delivery=delivery,
    )
    assignment = Assignment(stable=order, artifacts={trained.digest: str(trained.archive)})
    (folder / "runtime.json").write_text(runtime.model_dump_json())
    (folder / "assignment.json").write_text(assignment.model_dump_json())
    [port] = ports.free(1)
    environment = {
        **os.environ,
        "ANOMALY_CONFIG_FOLDER": str(folder),
        "ANOMALY_HTTP_HOST": "127.0.0.1",
        "ANOMALY_HTTP_PORT": str(port),
        "OMP_NUM_THREADS": "1",
        "POD_NAME": folder.name,
        **compiled_in(folder.parent / "compiled"),
    }
    log = folder / "log"
    with log.open("wb") as output:
        began = time.time()
        process = subprocess.Popen(
            [*LEASHED, sys.executable, "-m", "anomaly_detector"], env=environment, stdout=output, stderr=output
        )
    try:
        yield Pod(process, port, began, log)
    finally:
        process.terminate()
        try:
            process.wait(30)
        finally:
            process.kill()
            process.wait()
