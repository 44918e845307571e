"""The whole cluster where a Docker engine answers: kind, with Kafka as a pod."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dev.environment import ports
from dev.environment.cluster import binaries
from dev.environment.cluster.access import Cluster
from dev.environment.images import engine
from dev.environment.images.context import Image
from dev.environment.supervision.plan import State
from dev.progress import Tell, telling

NODE_IMAGE = "kindest/node:v1.34.0"
BROKER_NODE_PORTS = (30092, 30093)  # of a broker that takes everyone, and of one that knows its clients
_LEASH = """
import shutil, subprocess, sys
sys.stdin.read()
subprocess.run(sys.argv[2:], capture_output=True)
shutil.rmtree(sys.argv[1], ignore_errors=True)
"""


def _kind_name(name: str) -> str:
    return f"anomaly-{State.of(f'cluster-{name}').id}"


def _folder(name: str) -> Path:
    return State.of(f"cluster-{name}").folder


def up(name: str, images: Sequence[Image], tell: Tell, *, leashed: bool) -> Cluster:
    """Makes it, or takes the one that is there; its node is ready and has the images."""
    kind, folder = binaries.kind(tell), _folder(name)
    kubeconfig = folder / "kubeconfig"
    if not is_up(name, tell):
        folder.mkdir(parents=True, exist_ok=True)
        brokers = ports.free(len(BROKER_NODE_PORTS))
        (folder / "broker-ports").write_text(" ".join(map(str, brokers)))
        if leashed:
            _hold_leash(kind, name)
        with telling(tell, "creating a kind cluster"):
            _checked(
                *(kind, "create", "cluster", "--name", _kind_name(name), "--image", NODE_IMAGE, "--wait", "120s"),
                *("--kubeconfig", str(kubeconfig), "--config", "-"),
                stdin=json.dumps(_config(brokers)),
            )
    _checked(kind, "export", "kubeconfig", "--name", _kind_name(name), "--kubeconfig", str(kubeconfig))
    programs = binaries.clients(tell)
    load(name, images, tell)
    return Cluster(str(kubeconfig), *programs)


def _config(brokers: Sequence[int]) -> dict[str, Any]:
    mappings = [
        {"containerPort": inside, "hostPort": outside, "listenAddress": "127.0.0.1"}
        for inside, outside in zip(BROKER_NODE_PORTS, brokers, strict=True)
    ]
    return {
        "kind": "Cluster",
        "apiVersion": "kind.x-k8s.io/v1alpha4",
        "nodes": [{"role": "control-plane", "extraPortMappings": mappings}],
    }


_leashes: list[subprocess.Popen[bytes]] = []


def _hold_leash(kind: str, name: str) -> None:
    """A process that deletes the cluster once our end of its input is closed, by us or by our death."""
    delete = [kind, "delete", "cluster", "--name", _kind_name(name)]
    leash = [sys.executable, "-c", _LEASH, str(_folder(name)), *delete]
    _leashes.append(subprocess.Popen(leash, stdin=subprocess.PIPE, start_new_session=True))


def broker_ports(name: str) -> tuple[int, ...]:
    """The ports of this machine's loopback that lead to the brokers' node ports."""
    return tuple(map(int, (_folder(name) / "broker-ports").read_text().split()))


def load(name: str, images: Sequence[Image], tell: Tell) -> None:
    kind = binaries.kind(tell)
    for image in images:
        engine.docker_build(image, tell)
        with telling(tell, f"loading {image.name} into the cluster"):
            _checked(kind, "load", "docker-image", "--name", _kind_name(name), image.name)


def is_up(name: str, tell: Tell) -> bool:
    return _kind_name(name) in _checked(binaries.kind(tell), "get", "clusters").split()


def down(name: str, tell: Tell) -> bool:
    was_up = is_up(name, tell)
    _checked(binaries.kind(tell), "delete", "cluster", "--name", _kind_name(name))
    return was_up


def _checked(*command: str, stdin: str | None = None) -> str:
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, env=dict(os.environ), check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr[-3000:]}")
    return done.stdout
