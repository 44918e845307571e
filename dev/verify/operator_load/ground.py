"""What the fleet stands on: etcd and the API server alone, operators as processes with the chart's rights, and the stand-ins."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from dev.environment import ports
from dev.environment.cluster import control_plane
from dev.environment.cluster.access import Cluster
from dev.environment.supervision.leash import LEASHED
from dev.progress import Tell

ROOT: Final = Path(__file__).resolve().parents[3]
_OWN: Final = "anomaly-operator"
_RIGHTS: Final = ("Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding", "ServiceAccount")
_TICKS: Final = os.sysconf("SC_CLK_TCK")


@dataclass
class Operator:
    """One process."""

    process: subprocess.Popen[bytes]
    port: int

    def metric(self, name: str) -> float:
        """The sum of a metric over its labels; 0 where nobody answers."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=5) as answer:
                lines = answer.read().decode().splitlines()
        except OSError:
            return 0.0
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith((f"{name} ", f"{name}{{")))

    @property
    def writes(self) -> float:
        """Writes to the API server so far, without those of the Lease."""
        return self.metric("anomaly_operator_api_writes_total")

    @property
    def ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=5) as answer:
                return int(answer.status) == 200
        except OSError:
            return False

    @property
    def cpu_seconds(self) -> float:
        """Processor time so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    @property
    def rss_mebibytes(self) -> float:
        """Memory now."""
        return self._memory("VmRSS:")

    @property
    def peak_mebibytes(self) -> float:
        """The most that it was."""
        return self._memory("VmHWM:")

    def _memory(self, name: str) -> float:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split(name)[1].split()[0]) / 1024


@dataclass
class Ground:
    """Where it happens."""

    cluster: Cluster
    folder: Path
    evidence_port: int
    kubeconfig: Path
    silent: Path
    """Addresses of pods that do not answer."""
    operators: list[Operator] = field(default_factory=list)

    def operator(self) -> Operator:
        """Start another one, and wait until it watches."""
        [port] = ports.free(1)
        number = len(self.operators)
        told = {
            "PATH": os.environ["PATH"],
            "KUBECONFIG": str(self.kubeconfig),
            "DETECTOR_IMAGE": "example/detector:1",
            "TRAINER_IMAGE": "example/trainer:1",
            "POD_NAMESPACE": _OWN,
            "POD_NAME": f"operator-{number}",
            "ANOMALY_HTTP_PORT": str(port),
            "EVIDENCE_PORT": str(self.evidence_port),
        }
        with (self.folder / f"operator-{number}.log").open("wb") as output:
            command = [*LEASHED, sys.executable, "-m", "anomaly_operator"]
            started = Operator(subprocess.Popen(command, env=told, stdout=output, stderr=output), port)
        self.operators.append(started)
        return started

    def log(self, number: int = 0) -> str:
        return (self.folder / f"operator-{number}.log").read_text(errors="replace")


@contextmanager
def prepared(folder: Path, tell: Tell) -> Iterator[Ground]:
    """The API server with CRDs and rights, and the stand-ins; all gone afterwards."""
    with control_plane.alone(f"operator-load-{os.getpid()}", tell, controllers=False) as cluster:
        crds = [
            part for plural in ("anomalydetectors", "anomalymodels") for part in ("-f", str(ROOT / "crds" / f"{plural}.yaml"))
        ]
        cluster.kubectl("apply", "--server-side", *crds)
        cluster.wait_for_definitions(*crds)
        [port] = ports.free(1)
        silent = folder / "silent"
        command = [*LEASHED, sys.executable, "-m", "dev.verify.operator_load.pods", cluster.kubeconfig, str(port), str(silent)]
        ground = Ground(cluster, folder, port, _with_the_charts_rights(cluster, folder), silent)
        with (folder / "pods.log").open("wb") as output:
            pods = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=output)
        try:
            yield ground
        finally:
            for process in (*(each.process for each in ground.operators), pods):
                process.send_signal(signal.SIGKILL)
                process.wait()


def _with_the_charts_rights(cluster: Cluster, folder: Path) -> Path:
    """A kubeconfig for the operator's service account, bound to what the chart binds it to, and nothing else."""
    cluster.kubectl("create", "namespace", _OWN)
    chart = [cluster.helm_path, "template", _OWN, str(ROOT / "helm" / "anomaly-operator"), "--namespace", _OWN]
    rendered = subprocess.run([*chart, "--kube-version", "1.34.0"], capture_output=True, text=True, check=True).stdout
    documents = [part for part in rendered.split("\n---") if any(f"\nkind: {kind}\n" in f"\n{part}\n" for kind in _RIGHTS)]
    cluster.kubectl("apply", "--namespace", _OWN, "-f", "-", stdin="\n---".join(documents))
    token = cluster.kubectl("create", "token", _OWN, "--namespace", _OWN, "--duration=8h").strip()
    config = json.loads(cluster.kubectl("config", "view", "--raw", "--minify", "-o", "json"))
    config["users"][0]["user"] = {"token": token}
    path = folder / "kubeconfig"
    path.write_text(json.dumps(config))
    return path


def until(seconds: float, done: object) -> bool:
    """Whether a callable is true within so many seconds."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if callable(done) and done():
            return True
        time.sleep(0.1)
    return False
