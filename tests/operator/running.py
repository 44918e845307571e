"""The operator as a process on a real API server, with the rights that the chart gives it and no others; pods that answer."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import yaml

from dev.environment.supervision.leash import LEASHED

if TYPE_CHECKING:
    from dev.environment.cluster.access import Cluster

ROOT = Path(__file__).resolve().parents[2]
Found = TypeVar("Found")
Document = dict[str, Any]


def eventually(find: Callable[[], Found | None], seconds: float = 20.0) -> Found:
    """What `find` returns as soon as it is true of something; an AssertionError in it is a no as well."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            found = find()
            if found:
                return found
            problem: object = f"{found!r}"
        except AssertionError as error:
            problem = error
        assert time.monotonic() < deadline, f"not within {seconds} s: {problem}"
        time.sleep(0.05)


class Evidence:
    """Answers /evidence for pods, told apart by their addresses in 127.0.0.0/8."""

    def __init__(self) -> None:
        self.answers: dict[str, Document] = {}
        answers = self.answers

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                answer = answers.get(self.headers["Host"].split(":")[0])
                self.send_response(200 if answer else 503)
                self.end_headers()
                self.wfile.write(json.dumps({**(answer or {}), "now": time.time()}).encode())

            def log_message(self, *_: object) -> None:
                """Quiet."""

        self._handler = Handler
        self._servers: dict[str, ThreadingHTTPServer] = {}
        self.port = 0
        self.port = self._serve("127.0.0.1")

    def answer(self, address: str, evidence: Document) -> None:
        """What the pod at this address answers from now on."""
        self.answers[address] = evidence
        if address not in self._servers:
            self._serve(address)

    def close(self) -> None:
        for server in self._servers.values():
            server.shutdown()
            server.server_close()

    def _serve(self, address: str) -> int:
        server = self._servers[address] = ThreadingHTTPServer((address, self.port), self._handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return int(server.server_address[1])


@dataclass
class Process:
    """One operator."""

    process: subprocess.Popen[bytes]
    port: int
    identity: str
    log: Path

    def get(self, path: str) -> tuple[int, str]:
        """HTTP status (0: no answer) and body."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def metric(self, name: str) -> float:
        """The sum of a metric over its labels."""
        lines = [line for line in self.get("/metrics")[1].splitlines() if line.startswith((f"{name} ", f"{name}{{"))]
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines)

    @property
    def writes(self) -> float:
        """Writes to the API server so far, without those of the Lease."""
        return self.metric("anomaly_operator_api_writes_total")

    @property
    def leads(self) -> bool:
        return self.metric("anomaly_operator_leader") == 1

    @property
    def resident_megabytes(self) -> float:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) / 1024

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and wait."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(timeout=30)


@dataclass
class Plant:
    """A namespace of a test's own, and an address of its own for a pod."""

    cluster: Cluster
    namespace: str
    folder: Path
    evidence: Evidence
    kubeconfig: Path
    watched: str
    """Namespaces that operators started here look after; empty for all."""
    address: str
    processes: list[Process] = field(default_factory=list)

    def operator(self, *, wait: bool = True, kubeconfig: Path | None = None, **environment: str) -> Process:
        """Start another one."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        identity = f"operator-{len(self.processes)}"
        log = self.folder / f"{identity}.log"
        told = {
            "PATH": os.environ["PATH"],
            "KUBECONFIG": str(kubeconfig or self.kubeconfig),
            "DETECTOR_IMAGE": "example/detector:1",
            "TRAINER_IMAGE": "example/trainer:1",
            "TRAINER_CLUSTER_ROLE": "anomaly-operator-trainer",
            "WATCH_NAMESPACES": self.watched,
            "POD_NAMESPACE": self.namespace,
            "POD_NAME": identity,
            "LEASE_NAME": "anomaly-operator",
            "MAX_TRAININGS": "0",
            "EVIDENCE_PATIENCE": "0",
            "ANOMALY_HTTP_PORT": str(port),
            "EVIDENCE_PORT": str(self.evidence.port),
            **environment,
        }
        with log.open("wb") as output:
            process = subprocess.Popen(
                [*LEASHED, sys.executable, "-m", "anomaly_operator"], env=told, stdout=output, stderr=output
            )
        started = Process(process, port, identity, log)
        self.processes.append(started)
        if wait:
            eventually(lambda: started.get("/readyz")[0] == 200 and started.leads, 40)
        return started

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        return self.cluster.kubectl("--namespace", self.namespace, *arguments, stdin=stdin)

    def get(self, kind: str, name: str) -> Document | None:
        found = self.cluster.run("--namespace", self.namespace, "get", kind, name, "-o", "json")
        return json.loads(found.stdout) if found.returncode == 0 else None

    def list(self, kind: str, selector: str = "") -> list[Document]:
        return list(json.loads(self.kubectl("get", kind, "-l", selector, "-o", "json"))["items"])

    def apply(self, *documents: Document) -> None:
        self.kubectl("apply", "--server-side", "-f", "-", stdin=yaml.safe_dump_all(documents))

    def detector(self, name: str = "pumps", **spec: Any) -> None:
        """Apply an AnomalyDetector; `spec` goes over the shortest one."""
        shortest = {
            "source": {"kafka": {"bootstrapServers": "kafka:9092", "topic": "pump-readings"}},
            "features": [{"name": "temperature"}, {"name": "pressure"}],
        }
        meta = {"apiVersion": "anomaly-operator.dev/v1alpha1", "kind": "AnomalyDetector", "metadata": {"name": name}}
        self.apply({**meta, "spec": {**shortest, **spec}})

    def edit(self, kind: str, name: str, patch: Document, *arguments: str) -> None:
        self.kubectl("patch", kind, name, "--type=merge", "-p", json.dumps(patch), *arguments)

    def condition(self, kind: str, name: str = "pumps", of: str = "anomalydetector") -> Document:
        found = self.get(of, name)
        assert found, f"{name} is gone"
        conditions = {each["type"]: each for each in found.get("status", {}).get("conditions", [])}
        assert kind in conditions, f"{name} has no condition {kind}"
        return conditions[kind]

    def says(self, kind: str, reason: str, name: str = "pumps", seconds: float = 20.0) -> Document:
        """The condition, when it has this reason."""

        def found() -> Document | None:
            condition = self.condition(kind, name)
            assert condition["reason"] == reason, condition
            return condition

        return eventually(found, seconds)

    def run_pods(self, name: str = "pumps") -> str:
        """Pretend that the scoring pod runs at the plant's address, and that it does what it is told. The pod's name."""
        pods = eventually(
            lambda: self.list("pods", f"anomaly-operator.dev/detector={name},anomaly-operator.dev/component=detector")
        )
        pod = str(pods[0]["metadata"]["name"])
        status = {
            "phase": "Running",
            "podIP": self.address,
            "podIPs": [{"ip": self.address}],
            "conditions": [{"type": "Ready", "status": "True"}],
        }
        self.edit("pod", pod, {"status": status}, "--subresource=status")
        self.obey(name)
        return pod

    def obey(self, name: str = "pumps", paired: Document | None = None, **facts: Any) -> None:
        """The pod takes over what the ConfigMap says now; `paired` is what it has counted of the candidate."""
        from anomaly_api.assignment import Assignment

        settings = eventually(lambda: self.get("configmap", f"{name}-detector"))
        assignment = Assignment.model_validate_json(settings["data"]["assignment.json"])
        evidence = {
            "pod": "",
            "runtime": "",
            "assignment": assignment.digest,
            "source": {"state": "Reading", "partitions": 4},
            "revisions": [
                {"revision": assignment.stable.name, "role": "stable", "loaded": True},
                *_candidate(assignment, paired),
            ],
            "recentReadings": 100,
            "lastReading": time.time() + 3600,
            "lastScored": time.time() + 3600,
            **facts,
        }
        self.evidence.answer(self.address, evidence)

    def close(self) -> None:
        for process in self.processes:
            process.end(signal.SIGKILL)


def _candidate(assignment: Any, paired: Document | None) -> list[Document]:
    """What a pod says of the candidate that it has loaded."""
    if assignment.candidate is None:
        return []
    told = {"revision": assignment.candidate.name, "role": "candidate", "loaded": True, "weight": assignment.weight}
    against = {"against": assignment.stable.name, "rollout": assignment.rollout}
    return [{**told, **against, "paired": [{"window": "short", **(paired or {})}]}]
