"""Brokers as pods of a kind cluster, from the public image."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from dev.environment.cluster import kind
from dev.environment.cluster.access import Cluster
from dev.environment.kafka import broker
from dev.environment.kafka.broker import Listener
from dev.progress import Tell, telling

IMAGE = "apache/kafka:4.1.2"
NAME = "kafka"
PORT = 9092
BOOTSTRAP = f"{NAME}.{NAME}.svc:{PORT}"
MACHINE_PORT = 9094
FILES = "/etc/kafka/files"
_CONTROLLER = 9093


def up(cluster: Cluster, name: str, tell: Tell) -> str:
    """Returns the broker's address for this machine."""
    outside = f"127.0.0.1:{kind.broker_ports(name)[0]}"
    listeners = [Listener("CLUSTER", f"0.0.0.0:{PORT}", BOOTSTRAP), Listener("MACHINE", f"0.0.0.0:{MACHINE_PORT}", outside)]
    with telling(tell, f"starting {NAME}"):
        run(cluster, NAME, listeners, broker.NEWCOMERS, kind.BROKER_NODE_PORTS[0])
    return outside


def run(
    cluster: Cluster,
    name: str,
    listeners: Sequence[Listener],
    overrides: Mapping[str, str],
    node_port: int,
    files: Mapping[str, str] | None = None,
    java: str = "",
) -> None:
    """A broker as a pod; returns when it is ready. Its listeners are on PORT and MACHINE_PORT, its `files` in FILES."""
    metadata = {"name": name, "namespace": NAME}
    ports = [{"name": "kafka", "port": PORT}, {"name": "machine", "port": MACHINE_PORT, "nodePort": node_port}]
    settings = broker.settings(list(listeners), _CONTROLLER, "/tmp/kafka", overrides)
    items = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAME}},
        {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": dict(files or {})},
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata,
            "spec": {"type": "NodePort", "selector": {"app": name}, "ports": ports},
        },
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": _deployment(name, settings, java)},
    ]
    cluster.kubectl("apply", "--filename=-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    cluster.kubectl("rollout", "status", f"deployment/{name}", f"--namespace={NAME}", "--timeout=180s")


def _deployment(name: str, settings: Mapping[str, str], java: str) -> dict[str, Any]:
    variables = {_variable(key): value for key, value in settings.items()} | ({"KAFKA_OPTS": java} if java else {})
    container = {
        "name": name,
        "image": IMAGE,
        "env": [{"name": key, "value": value} for key, value in variables.items()],
        "readinessProbe": {"tcpSocket": {"port": PORT}, "periodSeconds": 1},
        "volumeMounts": [{"name": "files", "mountPath": FILES, "readOnly": True}],
    }
    # Without service links: the image reads every variable that begins with KAFKA_ as a setting.
    pod = {
        "containers": [container],
        "enableServiceLinks": False,
        "volumes": [{"name": "files", "secret": {"secretName": name}}],
    }
    return {
        "replicas": 1,
        "strategy": {"type": "Recreate"},
        "selector": {"matchLabels": {"app": name}},
        "template": {"metadata": {"labels": {"app": name}}, "spec": pod},
    }


def _variable(setting: str) -> str:
    """As the image wants it: `log.dirs` is KAFKA_LOG_DIRS."""
    return "KAFKA_" + setting.replace("_", "__").replace("-", "___").replace(".", "_").upper()
