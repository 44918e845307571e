"""A trainer as it runs in its Job: a process of its own, told what to do by its environment."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from anomaly_api.assignment import Identity, TrainingOrder
from anomaly_api.evidence import TrainingEvidence
from anomaly_api.kinds import Autoencoder
from anomaly_api.learning import ModelKind, ModelStore, TopicData, Training, TrainingData, TrainingMinimum
from anomaly_api.meta import API_VERSION, LABEL_DETECTOR, TRAINING_ENV
from anomaly_api.schema import Empty
from anomaly_api.source import Entity, Feature, KafkaSource, Pipeline, Time, TimeFormat, Window
from dev.environment.supervision.leash import LEASHED

CRDS = Path(__file__).resolve().parents[2] / "crds"
PATIENCE = 120.0


@dataclass
class Trainer:
    """A running trainer."""

    process: subprocess.Popen[str]
    port: int

    def evidence(self) -> TrainingEvidence | None:
        """What it reports; None before it listens and after its end."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/evidence", timeout=5) as answer:
                return TrainingEvidence.model_validate_json(answer.read())
        except OSError:
            return None

    def until(self, condition: Callable[[TrainingEvidence], bool]) -> TrainingEvidence:
        """Waits for evidence that says so."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            evidence = self.evidence()
            if evidence is not None and condition(evidence):
                return evidence
            assert self.process.poll() is None, f"the trainer ended: {self.process.communicate()}"
            time.sleep(0.05)
        raise AssertionError(f"the trainer never got there: {self.evidence()}")

    def end(self) -> tuple[int, str, str]:
        """Waits for its end: exit status, log, last words."""
        log, last = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, log, last


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Trainer]]:
    """Starts trainers; they are gone after the test."""
    running: list[subprocess.Popen[str]] = []

    def begin(order: TrainingOrder, **environment: str) -> Trainer:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        process = subprocess.Popen(
            [*LEASHED, sys.executable, "-m", "anomaly_detector.training"],
            env={
                **os.environ,
                "OMP_NUM_THREADS": "1",
                "KUBECONFIG": str(tmp_path / "none"),
                TRAINING_ENV: order.model_dump_json(),
                "ANOMALY_HTTP_PORT": str(port),
                **environment,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        running.append(process)
        return Trainer(process, port)

    yield begin
    for process in running:
        process.kill()
        process.communicate()


@dataclass
class Registered:
    """A detector in the cluster, whose children the cluster's own garbage collector watches over."""

    cluster: Any
    identity: Identity

    def models(self) -> list[dict[str, Any]]:
        """The AnomalyModels that were registered for it."""
        found = self.cluster.kubectl(
            "get", "amodel", "-n", "default", "-o", "json", "-l", f"{LABEL_DETECTOR}={self.identity.name}"
        )
        items: list[dict[str, Any]] = json.loads(found)["items"]
        return items


@pytest.fixture(scope="session")
def with_crds(api_server: Any) -> Any:
    """The API server, once it serves both resources."""
    api_server.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(CRDS))
    api_server.wait_for_definitions("-f", str(CRDS))
    return api_server


@pytest.fixture
def detector(with_crds: Any, tmp_path: Path) -> Iterator[Registered]:
    """A detector of its own for a test."""
    name = f"pumps-{uuid.uuid4().hex[:8]}"
    source = {"kafka": {"bootstrapServers": "127.0.0.1:1", "topic": "readings"}}
    document = {
        "apiVersion": API_VERSION,
        "kind": "AnomalyDetector",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"source": source, "features": [{"name": "flow"}]},
    }
    path = tmp_path / "detector.json"
    path.write_text(json.dumps(document))
    made = json.loads(with_crds.kubectl("create", "-f", str(path), "-o", "json"))
    yield Registered(with_crds, Identity(namespace="default", name=name, uid=made["metadata"]["uid"]))
    with_crds.kubectl("delete", "adet", "-n", "default", name)


FEATURES = ("flow", "current", "speed")


def pipeline(**changes: Any) -> Pipeline:
    """Three features, entity by key, event time in the reading."""
    return Pipeline(
        **{
            "entity": Entity(key=Empty()),
            "time": Time(field="at", format=TimeFormat.UNIX_SECONDS),
            "features": [Feature(name=name, field=f"sensors.{name}") for name in FEATURES],
            "windows": [Window(name="short", size=8, every=1, max_gap="5m")],
            **changes,
        }
    )


def order(**changes: Any) -> TrainingOrder:
    """A training from a topic with little data."""
    return TrainingOrder(
        **{
            "detector": Identity(namespace="default", name="pumps", uid="0c3e5a1e-0000-4000-8000-000000000000"),
            "job": "pumps-train-1",
            "kafka": KafkaSource(bootstrap_servers="127.0.0.1:1", topic="readings"),
            "pipeline": pipeline(),
            "model": ModelKind(autoencoder=Autoencoder()),
            "training": training(),
            "model_store": ModelStore(config_map=Empty()),
            **changes,
        }
    )


def training(**changes: Any) -> Training:
    """Short, from a topic."""
    return Training(
        **{
            "data": TrainingData(topic=TopicData(last="7d")),
            "minimum": TrainingMinimum(windows=200),
            "epochs": 5,
            **changes,
        }
    )


def reading(place: int, entity: int, start: float = 1_760_000_000.0) -> tuple[bytes, bytes]:
    """Key and value of a plausible reading: three sensors that follow one load."""
    load = 1 + ((place // 40 + entity) % 3) * 0.2
    wobble = ((place * 7919 + entity * 104729) % 101 - 50) / 1000
    sensors = {"flow": 100 * load + wobble * 30, "current": 12 * load - wobble * 2, "speed": 1450 + 90 * load + wobble * 50}
    return f"pump-{entity}".encode(), json.dumps({"at": start + 10 * place, "sensors": sensors}).encode()
