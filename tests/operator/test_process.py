"""The process: leadership, liveness, memory, what it needs to start, what it leaves alone at rest and when it is away."""

import asyncio
import contextlib
import json
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from anomaly_api.meta import LABEL_DETECTOR
from anomaly_operator.core.resources.names import SERVICES
from anomaly_operator.kube.client import Api, login
from anomaly_operator.kube.informers import Cache
from anomaly_operator.kube.resync import resync
from tests.operator.running import Plant, Process, eventually

pytestmark = pytest.mark.integration


@pytest.mark.parametrize(("number", "seconds"), [(signal.SIGKILL, 15), (signal.SIGTERM, 4)])
def test_a_second_operator_waits_and_takes_over(plant: Plant, number: int, seconds: float) -> None:
    first = plant.operator()
    second = plant.operator(wait=False)
    eventually(lambda: second.get("/readyz")[0] == 200, 40)
    plant.detector()
    eventually(lambda: plant.list("jobs"))
    assert second.writes == 0
    assert not second.leads
    first.process.send_signal(number)
    started = time.monotonic()
    eventually(lambda: second.leads, seconds)
    print(f"taken over {time.monotonic() - started:.1f} s after {signal.Signals(number).name}")
    plant.kubectl("delete", "service", "pumps-detector")
    eventually(lambda: plant.get("service", "pumps-detector"), 5)


def test_a_holder_that_was_frozen_does_not_act_beside_the_next_one(plant: Plant) -> None:
    first = plant.operator()
    second = plant.operator(wait=False)
    first.process.send_signal(signal.SIGSTOP)
    eventually(lambda: second.leads, 20)
    plant.detector()
    eventually(lambda: plant.list("jobs"))
    first.process.send_signal(signal.SIGCONT)
    eventually(lambda: not first.leads, 10)
    assert first.writes == 0
    assert second.leads


@contextmanager
def between(plant: Plant) -> Iterator[tuple[Path, threading.Event]]:
    """A kubeconfig that leads through a relay, and an event: while it is set, the relay swallows everything."""
    config = json.loads(plant.kubeconfig.read_text())
    host, port = config["clusters"][0]["cluster"]["server"].removeprefix("https://").rsplit(":", 1)
    listener = socket.create_server(("127.0.0.1", 0))
    config["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{listener.getsockname()[1]}"
    path = plant.folder / "through-relay"
    path.write_text(json.dumps(config))
    swallowing = threading.Event()

    def relay(client: socket.socket) -> None:
        with contextlib.suppress(OSError), client, socket.create_connection((host, int(port))) as server:
            while True:
                for ready in select.select([client, server], [], [])[0]:
                    content = ready.recv(65536)
                    if not content:
                        return
                    if not swallowing.is_set():
                        (server if ready is client else client).sendall(content)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=relay, args=(listener.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    yield path, swallowing
    listener.close()


def test_liveness_fails_when_the_api_server_has_gone_silent_and_recovers_with_it(plant: Plant) -> None:
    with between(plant) as (kubeconfig, swallowing):
        operator = plant.operator(kubeconfig=kubeconfig, WATCH_SECONDS="3")
        plant.detector()
        eventually(lambda: plant.list("jobs"))
        swallowing.set()
        eventually(lambda: operator.get("/healthz")[0] == 503, 15)
        assert "watching has died" in operator.get("/healthz")[1]
        eventually(lambda: not operator.leads, 15)
        swallowing.clear()
        eventually(lambda: operator.get("/healthz")[0] == 200, 60)
        eventually(lambda: operator.leads, 30)
        plant.kubectl("delete", "service", "pumps-detector")
        eventually(lambda: plant.get("service", "pumps-detector"), 10)


def test_memory_stays_small_with_many_detectors(plant: Plant) -> None:
    operator = plant.operator()
    for number in range(30):
        plant.detector(f"pumps-{number}")
    eventually(lambda: len(plant.list("jobs")) == 30, 60)
    print(f"resident with 30 detectors: {operator.resident_megabytes:.0f} MB")
    assert operator.resident_megabytes <= 200


def test_an_environment_that_is_incomplete_is_named() -> None:
    done = subprocess.run([sys.executable, "-m", "anomaly_operator"], env={}, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "DETECTOR_IMAGE" in done.stderr
    assert "Traceback" not in done.stderr


def test_at_rest_nothing_is_written_not_even_by_an_operator_that_has_just_started(plant: Plant) -> None:
    first = plant.operator()
    plant.detector(model={"statistical": {}})
    plant.run_pods()
    plant.says("Ready", "Ready")
    eventually(lambda: written_in_three_looks(plant, first) == 0, 60)
    assert written_in_three_looks(plant, first) == 0
    first.end()
    plant.obey(source={"state": "Reading", "partitions": 4, "lag": 77})  # figures move on
    second = plant.operator()
    eventually(lambda: second.metric("anomaly_operator_reconciles_total") >= 1)
    assert written_in_three_looks(plant, second) == 0
    print(f"writes of a restarted operator in all: {second.writes:.0f}")
    assert second.writes == 0


def written_in_three_looks(plant: Plant, process: Process) -> float:
    """Writes while the operator looks at the detector three times, called by changes that are not its concern."""
    before = process.writes
    for number in range(3):
        looks = process.metric("anomaly_operator_reconciles_total")
        plant.kubectl("annotate", "service", "pumps-detector", f"theirs={number}-{looks}", "--overwrite")
        eventually(lambda looks=looks: process.metric("anomaly_operator_reconciles_total") > looks)
    return process.writes - before


def test_a_deletion_that_no_watch_has_told_is_found_by_the_audit(plant: Plant) -> None:
    async def concerned() -> set[tuple[str, str]]:
        cache, found = Cache(), set()
        ghost = {"name": "ghost", "namespace": plant.namespace, "resourceVersion": "1", "labels": {LABEL_DETECTOR: "pumps"}}
        cache.put(SERVICES, {"metadata": ghost})
        api = Api(login())
        auditing = asyncio.ensure_future(resync(api, cache, [plant.namespace], found.add, seconds=0.1))
        while not found:
            await asyncio.sleep(0.05)
        auditing.cancel()
        await api.close()
        return found

    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("KUBECONFIG", str(plant.kubeconfig))
        assert asyncio.run(asyncio.wait_for(concerned(), 20)) == {(plant.namespace, "pumps")}


def test_an_operator_that_is_killed_again_and_again_leaves_the_same_as_one_that_was_not(plant: Plant) -> None:
    kinds = "serviceaccounts,services,poddisruptionbudgets,rolebindings,configmaps,deployments,jobs"
    for made in (1, 4, 7):  # of the eight children, when it is killed
        killed = plant.operator(POD_NAME="the-same-pod")
        if made == 1:
            plant.detector()
        eventually(lambda made=made: len(plant.list(kinds, LABEL_DETECTOR)) >= made)
        killed.end(signal.SIGKILL)
    last = plant.operator(POD_NAME="the-same-pod")
    plant.says("Ready", "Training")
    assert len(plant.list(kinds, LABEL_DETECTOR)) == 8
    assert written_in_three_looks(plant, last) == 0
    told = [each["reason"] for each in plant.list("events") if each["involvedObject"]["kind"] == "AnomalyDetector"]
    assert sorted(told) == ["RevisionStable", "Training", "TrainingStarted"]


def test_deleting_the_detector_takes_its_children_along_while_the_operator_is_down(plant: Plant) -> None:
    operator = plant.operator()
    plant.detector()
    eventually(lambda: plant.list("jobs"))
    operator.end(signal.SIGKILL)
    plant.kubectl("delete", "anomalydetector", "pumps", "--timeout=10s")
    kinds = "deployments,services,configmaps,poddisruptionbudgets,serviceaccounts,rolebindings,jobs,pods"
    eventually(lambda: not plant.list(kinds, LABEL_DETECTOR), 60)
