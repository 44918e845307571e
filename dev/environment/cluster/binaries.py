"""Builds Kubernetes and Helm from their Go modules, once; or kind, where a Docker engine answers."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from dev.environment import cache
from dev.progress import Tell, telling

SOURCE = Path(__file__).parent / "kubebox"
KUBERNETES = "v1.34.2"  # the last minor that runs on cgroup v1 by default; go.mod has the same
KIND = "v0.30.0"  # its node image is Kubernetes 1.34
COMPONENTS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "coredns")
# No DWARF and no garbage collection in the compiler: a quarter less of several minutes.
FLAGS = ("-trimpath", "-gcflags=all=-dwarf=false")
_ENVIRONMENT = {"CGO_ENABLED": "0", "GOGC": "off", "GOFLAGS": "-mod=readonly -buildvcs=false"}


@dataclass(frozen=True)
class Binaries:
    """The folder of the built programs."""

    folder: Path

    def __getitem__(self, name: str) -> str:
        return str(self.folder / name)


def built(tell: Tell) -> Binaries:
    """The components of kubebox, kubectl, helm and pause; minutes the first time, then nothing."""
    return Binaries(cache.made("kubernetes", cache.digest(SOURCE, " ".join(FLAGS)), lambda into: _build(into, tell)))


def _build(into: Path, tell: Tell) -> None:
    version = f"-X k8s.io/component-base/version.gitVersion={KUBERNETES}"
    # In one go: the others are compiled on the core that linking Kubernetes leaves idle.
    with telling(tell, "building Kubernetes and Helm from their Go modules (4 to 5 minutes on 2 cores, once)"):
        go(SOURCE, "build", *FLAGS, f"-ldflags=-s -w {version}", "-o", f"{into}/", ".", "helm.sh/helm/v3/cmd/helm", "./pause")
    for name in (*COMPONENTS, "kubectl"):
        (into / name).symlink_to("kubebox")


def clients(tell: Tell) -> tuple[str, str]:
    """The paths of kubectl and Helm: those on PATH, else built with Kubernetes."""
    kubectl, helm = shutil.which("kubectl"), shutil.which("helm")
    if kubectl and helm:
        return kubectl, helm
    programs = built(tell)
    return programs["kubectl"], programs["helm"]


def kind(tell: Tell) -> str:
    """The path of kind: the one on PATH, else built."""
    found = shutil.which("kind")
    if found:
        return found

    def build(into: Path) -> None:
        with telling(tell, f"building kind {KIND}"):
            go(Path.home(), "install", f"sigs.k8s.io/kind@{KIND}", GOBIN=str(into), GOFLAGS="")

    return str(cache.made("kind", KIND, build) / "kind")


def go(where: Path, *arguments: str, **environment: str) -> str:
    """Returns what Go's command prints; RuntimeError with what it said when it fails or is missing."""
    if shutil.which("go") is None:
        raise RuntimeError("Go is missing: install Go 1.26 or newer (https://go.dev/dl), or start a Docker engine")
    done = subprocess.run(
        ["go", *arguments],
        cwd=where,
        env={**os.environ, **_ENVIRONMENT, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"go {arguments[0]} failed in {where}:\n{done.stderr[-3000:]}")
    return done.stdout
