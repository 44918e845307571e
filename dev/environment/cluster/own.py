"""The whole cluster where no Docker engine runs: one node, built from Go modules, in namespaces of its own."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

from dev.environment import debian, ports
from dev.environment.cluster import binaries, control_plane, node, pause, store
from dev.environment.cluster.access import Cluster
from dev.environment.cluster.binaries import Binaries
from dev.environment.cluster.control_plane import FIRST_SERVICE, LOOPBACK, Addresses
from dev.environment.cluster.credentials import Credentials
from dev.environment.images import engine, layout
from dev.environment.images.context import Image
from dev.environment.supervision import group
from dev.environment.supervision.plan import CLONE, Component, Plan, State
from dev.progress import Tell, telling

API, ETCD, ETCD_PEERS = 6443, 2379, 2380  # inside; each cluster has its own network
INSIDE = f"https://{LOOPBACK}:{API}"
_BROKERS = 2  # one that takes everyone, and one that knows its clients
_BROKER_PORTS = "broker-ports"
_SYNC_OF_TESTS = "15s"
"""They change Secrets, and would wait for more than a minute each time."""


def state_of(name: str) -> State:
    return State.of(f"cluster-{name}")


def up(name: str, images: Sequence[Image], tell: Tell, *, leashed: bool) -> Cluster:
    """Starts it, or takes the one that is there; returns when its node is ready and has the images."""
    if os.geteuid() != 0:
        raise RuntimeError("a cluster without a Docker engine needs root: run this with sudo, or start Docker")
    state = state_of(name)
    with ThreadPoolExecutor(2) as beside:  # the first time, both take minutes
        building = beside.submit(binaries.built, tell)
        debian.need(node.PACKAGES, tell)
        seed = beside.submit(store.prepared, images, tell) if images and not group.is_up(state) else None
        programs = building.result()
    with ExitStack() as open_sockets:
        api, *brokers = [open_sockets.enter_context(ports.listening()) for _ in range(1 + _BROKERS)]

        def plan() -> Plan:
            if seed is not None:
                store.seed(seed.result(), state.folder)
            outside = {broker.fileno(): broker.getsockname()[1] for broker in brokers}
            (state.folder / _BROKER_PORTS).write_text(" ".join(map(str, outside.values())))
            sync = _SYNC_OF_TESTS if leashed else node.SYNC
            return _plan(programs, state, {api.fileno(): API, **outside}, api.getsockname()[1], sync)

        group.start(state, plan, leashed=leashed, fds=[each.fileno() for each in (api, *brokers)])
    cluster = _wait(state, programs, tell)
    load(name, images, tell)
    return cluster


def _wait(state: State, programs: Binaries, tell: Tell) -> Cluster:
    group.wait_ready(state, tell)
    cluster = Cluster(str(state.folder / "keys" / "admin.kubeconfig"), programs["kubectl"], programs["helm"])
    with telling(tell, "waiting for the node"):
        with _archive(state) as archive:
            pause.write_image(Path(programs["pause"]), archive)
            node.ctr(state.folder, "images", "import", str(archive))
        cluster.wait_for_controllers()
        cluster.kubectl("wait", "--for=create", f"node/{node.NAME}", "--timeout=60s")
        cluster.kubectl("wait", "--for=condition=Ready", f"node/{node.NAME}", "--timeout=60s")
    return cluster


def _plan(programs: Binaries, state: State, forwards: dict[int, int], api_port: int, sync: str) -> Plan:
    """`forwards`: from listening sockets outside to ports inside."""
    keys = Credentials(state.folder / "keys")
    keys.make([LOOPBACK, FIRST_SERVICE, node.ADDRESS])
    keys.kubeconfig("admin", f"https://{LOOPBACK}:{api_port}", "admin", "system:masters")
    at = Addresses(bind="0.0.0.0", advertised=node.ADDRESS, api=API, etcd=ETCD, etcd_peers=ETCD_PEERS)
    cgroup = f"anomaly-{state.id}"
    targets = [f"{number}={LOOPBACK}:{port}" for number, port in forwards.items()]
    forward = Component(
        "forward",
        (sys.executable, "-m", "dev.environment.supervision.forward", *targets),
        env={"PYTHONPATH": str(CLONE)},
        fds=tuple(forwards),
    )
    return Plan(
        (
            forward,
            *control_plane.components(programs, keys, state.folder, at, nodes=True),
            *node.components(programs, keys, state.folder, INSIDE, cgroup, sync),
        ),
        namespaces=True,
        prepare=node.preparation(state.folder),
        cgroup=cgroup,
    )


def broker_ports(state: State) -> tuple[int, ...]:
    """Ports of this machine's loopback that are carried to the same ports inside: one for each broker."""
    return tuple(map(int, (state.folder / _BROKER_PORTS).read_text().split()))


def load(name: str, images: Sequence[Image], tell: Tell) -> None:
    """Builds what is not built and imports what is not there; layers that are there are not sent again."""
    state = state_of(name)
    for image in images:
        engine.buildah_build(image, tell)
        if layout.full_name(image.name) in node.ctr(state.folder, "images", "list", "--quiet").split():
            continue
        with telling(tell, f"loading {image.name} into the cluster"), _archive(state) as archive:
            with layout.locked(engine.layout_folder()), archive.open("wb") as tar:
                layout.write_archive(engine.layout_folder(), [image.name], _blobs(state), tar)
            node.ctr(state.folder, "images", "import", str(archive))


@contextmanager
def _archive(state: State) -> Iterator[Path]:
    """The path of a file for one import; two processes may be loading at once."""
    with tempfile.TemporaryDirectory(dir=state.folder) as folder:
        yield Path(folder) / "image.tar"


def _blobs(state: State) -> list[str]:
    return node.ctr(state.folder, "content", "list", "--quiet").split()


def down(name: str) -> bool:
    return group.down(state_of(name))
