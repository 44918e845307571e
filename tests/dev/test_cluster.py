"""The whole development cluster: pods, the broker beside it, and what is left of it afterwards."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient, NewTopic

from dev.environment import cluster as clusters
from dev.environment.cluster import own
from dev.environment.prerequisites import Surroundings, write_env
from dev.environment.supervision.plan import CLONE, State
from dev.progress import silent

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]  # the first time, Kubernetes is built

ECHO = """
from confluent_kafka import Consumer, Producer
consumer = Consumer({"bootstrap.servers": "kafka.kafka.svc:9092", "group.id": "echo", "auto.offset.reset": "earliest"})
consumer.subscribe(["asked"])
message = consumer.poll(30)
producer = Producer({"bootstrap.servers": "kafka.kafka.svc:9092"})
producer.produce("answered", message.value()[::-1])
producer.flush(30)
print("answered")
"""


def _pod(name: str, image: str, script: str) -> dict[str, Any]:
    """As restricted as our own pods are."""
    container = {
        "name": "python",
        "image": image,
        "command": ["python", "-c", script],
        "securityContext": {
            "readOnlyRootFilesystem": True,
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
        },
    }
    security = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    spec = {"restartPolicy": "Never", "securityContext": security, "containers": [container]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


def test_a_pod_and_this_machine_meet_at_the_broker(cluster: Surroundings) -> None:
    servers = {"bootstrap.servers": cluster.bootstrap}
    admin = AdminClient(servers)
    for topic, made in admin.create_topics([NewTopic("asked", 1), NewTopic("answered", 1)]).items():
        assert made.result(20) is None, topic
    producer = Producer(servers)
    producer.produce("asked", b"live")
    assert producer.flush(20) == 0
    pod = _pod("echo", cluster.images["detector"], ECHO)
    cluster.cluster.kubectl("apply", "--filename=-", stdin=json.dumps(pod))
    consumer = Consumer({**servers, "group.id": "machine", "auto.offset.reset": "earliest"})
    consumer.subscribe(["answered"])
    message = consumer.poll(60)
    consumer.close()
    assert message is not None
    assert message.value() == b"evil"
    cluster.cluster.kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/echo", "--timeout=30s")
    assert cluster.cluster.kubectl("logs", "echo") == "answered\n"


def test_the_env_file_leads_a_shell_to_the_cluster_and_the_broker(cluster: Surroundings, tmp_path: Path) -> None:
    env = write_env(cluster, tmp_path / "run")
    script = f"set -a; . {env}; {tmp_path}/run/bin/kubectl get namespaces --output=name; echo $KAFKA_BOOTSTRAP"
    shown = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert "namespace/default" in shown
    assert shown[-1] == cluster.bootstrap


def test_nothing_is_left_when_the_process_that_started_a_cluster_is_killed() -> None:
    name = f"tests-{os.getpid()}-killed"
    script = f"""
import time
from dev.environment import cluster
from dev.progress import silent
cluster.up({name!r}, silent, leashed=True)
print("up", flush=True)
time.sleep(1000)
"""
    devices = _devices()
    try:
        with subprocess.Popen([sys.executable, "-c", script], cwd=CLONE, stdout=subprocess.PIPE, text=True) as starter:
            assert starter.stdout is not None
            assert starter.stdout.readline() == "up\n"
            assert clusters.status(name) is not None
            starter.kill()
        _wait_for_no_traces(own.state_of(name).id)
        assert clusters.status(name) is None
        assert _devices() == devices
    finally:
        clusters.down(name, silent)


def _wait_for_no_traces(identity: str) -> None:
    until = time.monotonic() + 60
    while traces := _traces(identity):
        assert time.monotonic() < until, f"the cluster outlived the process that started it: {traces}"
        time.sleep(0.1)


def _traces(identity: str) -> list[str]:
    """Processes, mounts, cgroups and files that are named after the cluster."""
    found = [line for line in Path("/proc/self/mounts").read_text().splitlines() if identity in line]
    for command in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it has ended since
            if identity.encode() in command.read_bytes():
                found.append(str(command))
    for folder in (State.root(), Path("/sys/fs/cgroup")):
        found += [str(path) for path in [*folder.glob(f"*{identity}*"), *folder.glob(f"*/*{identity}*")]]
    return found


def _devices() -> list[str]:
    return sorted(device.name for device in Path("/sys/class/net").iterdir())
