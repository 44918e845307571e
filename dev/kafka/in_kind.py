"""The broker as a pod of a kind cluster, from the public image."""

from __future__ import annotations

import json
from typing import Any

from dev.cluster import kind
from dev.cluster.access import Cluster
from dev.kafka import broker
from dev.kafka.broker import Listener
from dev.progress import Tell, telling

IMAGE = "apache/kafka:4.1.0"
NAME = "kafka"
PORT = 9092
BOOTSTRAP = f"{NAME}.{NAME}.svc:{PORT}"
_CONTROLLER, _MACHINE_PORT = 9093, 9094


def up(cluster: Cluster, name: str, tell: Tell) -> str:
    """Returns the broker's address for this machine."""
    outside = f"127.0.0.1:{kind.broker_port(name)}"
    with telling(tell, "starting kafka"):
        cluster.kubectl("apply", "--filename=-", stdin=json.dumps(_manifests(outside)))
        cluster.kubectl("rollout", "status", f"deployment/{NAME}", f"--namespace={NAME}", "--timeout=180s")
    return outside


def _manifests(outside: str) -> dict[str, Any]:
    metadata = {"name": NAME, "namespace": NAME}
    ports = [
        {"name": "kafka", "port": PORT},
        {"name": "machine", "port": _MACHINE_PORT, "nodePort": kind.BROKER_NODE_PORT},
    ]
    service = {"type": "NodePort", "selector": {"app": NAME}, "ports": ports}
    items = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAME}},
        {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": service},
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": _deployment(outside)},
    ]
    return {"apiVersion": "v1", "kind": "List", "items": items}


def _deployment(outside: str) -> dict[str, Any]:
    listeners = [Listener("CLUSTER", f"0.0.0.0:{PORT}", BOOTSTRAP), Listener("MACHINE", f"0.0.0.0:{_MACHINE_PORT}", outside)]
    settings = broker.settings(listeners, _CONTROLLER, "/tmp/kafka", broker.NEWCOMERS)
    container = {
        "name": NAME,
        "image": IMAGE,
        "env": [{"name": _variable(key), "value": value} for key, value in settings.items()],
        "readinessProbe": {"tcpSocket": {"port": PORT}, "periodSeconds": 1},
    }
    return {
        "replicas": 1,
        "strategy": {"type": "Recreate"},
        "selector": {"matchLabels": {"app": NAME}},
        "template": {
            "metadata": {"labels": {"app": NAME}},
            # Without service links: the image reads every variable that begins with KAFKA_ as a setting.
            "spec": {"containers": [container], "enableServiceLinks": False},
        },
    }


def _variable(setting: str) -> str:
    """As the image wants it: `log.dirs` is KAFKA_LOG_DIRS."""
    return "KAFKA_" + setting.replace("_", "__").replace("-", "___").replace(".", "_").upper()
