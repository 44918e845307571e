"""KEDA beside a control plane, both of its programs built from its Go module: for a test of what it makes of a ScaledObject."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

from dev.environment import cache, ports
from dev.environment.cluster import binaries, external_metrics
from dev.environment.kafka.authority import Authority
from dev.environment.supervision.leash import LEASHED
from dev.progress import Tell, telling

if TYPE_CHECKING:
    from dev.environment.cluster.access import Cluster

VERSION: Final = "v2.21.0"
_MODULE: Final = f"github.com/kedacore/keda/v2@{VERSION}"
_PROGRAMS: Final = ("operator", "adapter")
_CRDS: Final = "crds"
_NAMESPACE: Final = "keda"
_READERS: Final = "external-metrics-reader"


@dataclass(frozen=True)
class Keda:
    """Its programs and its resource definitions."""

    folder: Path

    @property
    def crds(self) -> Path:
        return self.folder / _CRDS

    def __getitem__(self, name: str) -> str:
        return str(self.folder / name)


def built(tell: Tell) -> Keda:
    """A quarter of an hour the first time, since it speaks to every cloud there is; then nothing."""

    def build(into: Path) -> None:
        with telling(tell, f"building KEDA {VERSION} from its Go module (10 to 15 minutes on 2 cores, once)"):
            source = Path(json.loads(binaries.go(into, "mod", "download", "-json", _MODULE, GOFLAGS=""))["Dir"])
            for name in _PROGRAMS:  # in its own folder: it replaces modules, which only the main one may
                binaries.go(source, "build", *binaries.FLAGS, "-ldflags=-s -w", "-o", str(into / name), f"./cmd/{name}")
        shutil.copytree(source / "config/crd/bases", into / _CRDS, copy_function=shutil.copyfile)

    return Keda(cache.made("keda", VERSION, build))


@contextmanager
def running(cluster: Cluster, folder: Path, tell: Tell) -> Iterator[None]:
    """The cluster has KEDA, which may do everything, for as long as the context and this process live."""
    programs = built(tell)
    keys = _keys(folder / "keys")
    lag, adapter, metrics = ports.free(3)
    own = dict.fromkeys(("POD_NAMESPACE", "KEDA_CLUSTER_OBJECT_NAMESPACE"), _NAMESPACE)
    environment = {**os.environ, **own, "KUBECONFIG": cluster.kubeconfig, "WATCH_NAMESPACE": ""}
    operator = (
        *("--metrics-bind-address=0", "--health-probe-bind-address=0", f"--metrics-service-bind-address=127.0.0.1:{lag}"),
        *(f"--cert-dir={keys}", "--enable-webhook-patching=false", "--enable-apiservice-patching=false"),
    )
    server = (
        *("--bind-address=127.0.0.1", f"--secure-port={adapter}", f"--port={metrics}", f"--cert-dir={keys}"),
        *(f"--tls-cert-file={keys / 'tls.crt'}", f"--tls-private-key-file={keys / 'tls.key'}"),
        *(f"--metrics-service-address=localhost:{lag}", f"--lister-kubeconfig={cluster.kubeconfig}"),
        *(f"--authentication-kubeconfig={cluster.kubeconfig}", f"--authorization-kubeconfig={cluster.kubeconfig}"),
        "--authorization-always-allow-paths=/apis/*",  # what there is; what it says is in _rights
    )
    definitions = [part for each in sorted(programs.crds.iterdir()) for part in ("-f", str(each))]
    cluster.kubectl("apply", "--server-side", *definitions)
    try:
        cluster.wait_for_definitions(*definitions)
        cluster.kubectl("apply", "--server-side", "-f", "-", stdin=yaml.safe_dump_all(_rights()))
        with (
            _program(folder / "operator.log", [programs["operator"], *operator], environment),
            _program(folder / "adapter.log", [programs["adapter"], *server], environment),
            external_metrics.registered(cluster, adapter),
        ):
            yield
    finally:
        made = [f"{kind}/{_READERS}" for kind in ("clusterrolebinding", "clusterrole")]
        cluster.run("delete", f"namespace/{_NAMESPACE}", *made, "--ignore-not-found", "--wait=false")
        cluster.run("delete", *definitions, "--ignore-not-found", "--wait=false")


def _keys(folder: Path) -> Path:
    """With which the two know each other."""
    authority = Authority(folder)
    pair = authority.server("DNS:localhost", "IP:127.0.0.1")
    (folder / "tls.crt").write_text(pair.certificate)
    (folder / "tls.key").write_text(pair.key)
    return folder


def _rights() -> list[dict[str, Any]]:
    """Of who asks for metrics: for whom it asks, the API server of a bare control plane does not say, so that anybody may."""
    rights = {"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {"name": _READERS}}
    anybody = [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "system:unauthenticated"}]
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": _READERS}
    read = {"apiGroups": [external_metrics.GROUP], "resources": ["*"], "verbs": ["get", "list"]}
    return [
        {**rights, "kind": "ClusterRole", "rules": [read]},
        {**rights, "kind": "ClusterRoleBinding", "subjects": anybody, "roleRef": role},
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": _NAMESPACE}},
    ]


@contextmanager
def _program(log: Path, command: Sequence[str], environment: Mapping[str, str]) -> Iterator[None]:
    """RuntimeError when it has ended by itself."""
    with log.open("wb") as output:
        process = subprocess.Popen([*LEASHED, *command], env=environment, stdout=output, stderr=output)
    try:
        yield
    finally:
        status = process.poll()
        process.kill()
        process.wait()
    if status is not None:
        raise RuntimeError(f"{command[0]} ended with {status}:\n{log.read_text()[-2000:]}")
