"""The broker that knows its clients, beside a cluster: pods reach it by TLS and a name, the administrator of this machine freely.

It is another one than that of `in_cluster`, which takes everyone.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from dev.environment.cluster import kind, node, own, uses_kind
from dev.environment.cluster.access import Cluster
from dev.environment.kafka import broker, in_cluster, in_kind, jars, secured
from dev.environment.kafka.broker import Listener
from dev.environment.kafka.secured import Secured
from dev.environment.supervision import group
from dev.progress import Tell, telling

NAME = "kafka-secured"
_HOST = f"{NAME}.{in_cluster.NAMESPACE}.svc"
_PORT, _CONTROLLER = 9192, 9193  # beside those of the other broker, on the same address
_SESSIONS = {"sasl": secured.SESSION_SECONDS}


def up(cluster: Cluster, name: str, tell: Tell) -> Secured:
    """Starts it; the cluster takes it along when it goes."""
    folder = own.state_of(name).folder / NAME
    folder.mkdir()
    authority = secured.prepared(folder, {"keys": []}, f"DNS:{_HOST}")
    with telling(tell, f"starting {NAME}"):
        bootstrap, sasl = _in_kind(cluster, name, folder) if uses_kind() else _in_own(cluster, name, folder, tell)
    return Secured(bootstrap, authority, sasl)


def _in_own(cluster: Cluster, name: str, folder: Path, tell: Tell) -> tuple[str, str]:
    state = own.state_of(name)
    machine, address = f"127.0.0.1:{own.broker_ports(state)[1]}", f"{_HOST}:{_PORT}"
    listeners = [Listener("PLAINTEXT", machine, machine), Listener("SASL", f"{node.ADDRESS}:{_PORT}", address, "SASL_SSL")]
    overrides = secured.settings(folder, {}, _SESSIONS)
    made = broker.component(jars.fetched(tell), folder, listeners, _CONTROLLER, overrides, secured.machine(folder))
    group.add(state, replace(made, name=NAME))
    in_cluster.serve(cluster, NAME, _PORT)
    group.wait_until(state, NAME, "Ready", broker.START_SECONDS)
    return machine, address


def _in_kind(cluster: Cluster, name: str, folder: Path) -> tuple[str, str]:
    machine, address = f"127.0.0.1:{kind.broker_ports(name)[1]}", f"{_HOST}:{in_kind.PORT}"
    listeners = [
        Listener("PLAINTEXT", f"0.0.0.0:{in_kind.MACHINE_PORT}", machine),
        Listener("SASL", f"0.0.0.0:{in_kind.PORT}", address, "SASL_SSL"),
    ]
    mounted = Path(in_kind.FILES)
    files = {each: (folder / each).read_text() for each in secured.FILES}
    overrides = secured.settings(mounted, {}, _SESSIONS)
    in_kind.run(cluster, NAME, listeners, overrides, kind.BROKER_NODE_PORTS[1], files, secured.may_read_keys(mounted))
    return machine, address
