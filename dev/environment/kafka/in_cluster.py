"""The broker beside a cluster: pods reach it at kafka.kafka.svc:9092, this machine at a port of its loopback.

It runs inside the network of a cluster of our own, and as a pod in kind, whose users have the public image.
"""

from __future__ import annotations

import json

from dev.environment.cluster import node, own, uses_kind
from dev.environment.cluster.access import Cluster
from dev.environment.kafka import broker, in_kind, jars
from dev.environment.kafka.broker import Broker, Listener
from dev.environment.supervision import group
from dev.progress import Tell, silent, telling

NAMESPACE = SERVICE = in_kind.NAME
PORT = in_kind.PORT
BOOTSTRAP = in_kind.BOOTSTRAP
_CONTROLLER = 9093


def up(cluster: Cluster, name: str, tell: Tell) -> str:
    """Starts the broker, or takes the one that is there; returns its address for this machine."""
    return in_kind.up(cluster, name, tell) if uses_kind() else own_broker(cluster, name, tell).bootstrap


def own_broker(cluster: Cluster, name: str, tell: Tell = silent) -> Broker:
    """The broker in the network of a cluster of our own, which can be killed and started again."""
    state = own.state_of(name)
    outside = f"127.0.0.1:{own.broker_ports(state)[0]}"
    if broker.NAME not in group.status(state):
        inside = f"{node.ADDRESS}:{PORT}"
        listeners = [Listener("CLUSTER", inside, inside), Listener("MACHINE", outside, outside)]
        programs = jars.fetched(tell)
        folder = state.folder / broker.NAME
        group.add(state, broker.component(programs, folder, listeners, _CONTROLLER, broker.NEWCOMERS))
    serve(cluster, SERVICE, PORT)
    with telling(tell, f"starting {broker.NAME}"):
        group.wait_until(state, broker.NAME, "Ready", broker.START_SECONDS)
    return Broker(state, outside)


def serve(cluster: Cluster, name: str, port: int) -> None:
    """Makes a service whose endpoint is not a pod: what listens on this port of the node's address."""
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"ports": [{"name": "kafka", "port": port}]},
    }
    endpoints = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": name,
            "namespace": NAMESPACE,
            "labels": {"kubernetes.io/service-name": name},
        },
        "addressType": "IPv4",
        "ports": [{"name": "kafka", "port": port}],
        "endpoints": [{"addresses": [node.ADDRESS]}],
    }
    items = {"apiVersion": "v1", "kind": "List", "items": [namespace, service, endpoints]}
    cluster.kubectl("apply", "--filename=-", stdin=json.dumps(items))
