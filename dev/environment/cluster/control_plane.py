"""etcd, the API server and the controller manager: alone for tests of the API, or as a part of the whole cluster."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dev.environment import ports
from dev.environment.cluster import binaries
from dev.environment.cluster.access import Cluster
from dev.environment.cluster.binaries import Binaries
from dev.environment.cluster.credentials import Credentials
from dev.environment.supervision import group
from dev.environment.supervision.plan import Component, Plan, State
from dev.progress import Tell, silent, telling

SERVICE_RANGE = "10.96.0.0/16"
FIRST_SERVICE = "10.96.0.1"
LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class Addresses:
    """Where the control plane listens and what it calls itself."""

    bind: str
    advertised: str
    api: int
    etcd: int
    etcd_peers: int


def components(programs: Binaries, keys: Credentials, data: Path, at: Addresses, *, nodes: bool) -> list[Component]:
    """`nodes`: whether there are any, for which addresses are given out and endpoints are kept."""
    etcd_url = f"http://{LOOPBACK}:{at.etcd}"
    peers_url = f"http://{LOOPBACK}:{at.etcd_peers}"
    manager = keys.kubeconfig("manager", f"https://{LOOPBACK}:{at.api}", "system:kube-controller-manager")
    etcd = Component(
        "etcd",
        (
            *(programs["etcd"], "--data-dir", str(data / "etcd"), "--unsafe-no-fsync", "--log-level=warn"),
            *("--listen-client-urls", etcd_url, "--advertise-client-urls", etcd_url),
            *("--listen-peer-urls", peers_url, "--initial-advertise-peer-urls", peers_url),
            *("--initial-cluster", f"default={peers_url}"),
        ),
        ready=f"{etcd_url}/health",
    )
    api = Component("kube-apiserver", _api_server(programs, keys, at, etcd_url, nodes=nodes), ready=_ready(at))
    controller = Component(
        "kube-controller-manager",
        (
            *(programs["kube-controller-manager"], "--kubeconfig", manager, "--secure-port=0", "--leader-elect=false"),
            *("--service-account-private-key-file", keys.path("sa.key"), "--root-ca-file", keys.path("ca.crt")),
            *("--cluster-signing-cert-file", keys.path("ca.crt"), "--cluster-signing-key-file", keys.path("ca.key")),
            "--use-service-account-credentials",
            *(("--cluster-cidr=10.244.0.0/16", "--allocate-node-cidrs=true") if nodes else ()),
        ),
    )
    return [etcd, api, controller]


def _ready(at: Addresses) -> str:
    return f"https://{LOOPBACK}:{at.api}/readyz"


def _api_server(programs: Binaries, keys: Credentials, at: Addresses, etcd_url: str, *, nodes: bool) -> tuple[str, ...]:
    return (
        *(programs["kube-apiserver"], "--etcd-servers", etcd_url, "--secure-port", str(at.api)),
        *("--bind-address", at.bind, "--advertise-address", at.advertised),
        *(() if nodes else ("--endpoint-reconciler-type=none",)),
        *("--tls-cert-file", keys.path("api.crt"), "--tls-private-key-file", keys.path("api.key")),
        *("--client-ca-file", keys.path("ca.crt"), "--token-auth-file", keys.path("tokens.csv")),
        # Without a client certificate of its own, kubelets refuse it logs and exec.
        *("--kubelet-client-certificate", keys.path("kubelet-client.crt")),
        *("--kubelet-client-key", keys.path("kubelet-client.key"), "--kubelet-preferred-address-types=InternalIP"),
        *("--authorization-mode=Node,RBAC", "--allow-privileged", "--service-cluster-ip-range", SERVICE_RANGE),
        *("--service-account-issuer=https://kubernetes.default.svc", "--service-account-key-file", keys.path("sa.key")),
        *("--service-account-signing-key-file", keys.path("sa.key")),
    )


@contextmanager
def alone(name: str, tell: Tell = silent, *, controllers: bool = True) -> Iterator[Cluster]:
    """A control plane on this machine's loopback, without nodes, for as long as the context and this process live. Without
    `controllers` nothing reacts to what is written.
    """
    programs = binaries.built(tell)
    state = State.of(name)
    keys = Credentials(state.folder / "keys")
    port, etcd, etcd_peers = ports.free(3)

    def plan() -> Plan:
        keys.make([LOOPBACK, FIRST_SERVICE])
        keys.kubeconfig("admin", f"https://{LOOPBACK}:{port}", "admin", "system:masters")
        at = Addresses(bind=LOOPBACK, advertised=LOOPBACK, api=port, etcd=etcd, etcd_peers=etcd_peers)
        parts = components(programs, keys, state.folder, at, nodes=False)
        return Plan(tuple(parts if controllers else [part for part in parts if part.name != "kube-controller-manager"]))

    if not group.start(state, plan, leashed=True):
        raise RuntimeError(f"a control plane named {name!r} is running already")
    try:
        cluster = Cluster(keys.path("admin.kubeconfig"), programs["kubectl"], programs["helm"])
        group.wait_ready(state, tell)
        if controllers:
            with telling(tell, "waiting for the controllers"):
                cluster.wait_for_controllers()
        yield cluster
    finally:
        group.down(state)
