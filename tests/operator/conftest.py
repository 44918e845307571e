"""Operators with the chart's rights: one for all tests that only need one to be there, or a test's own; all gone afterwards."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.operator.running import ROOT, Evidence, Plant

if TYPE_CHECKING:
    from dev.environment.cluster.access import Cluster

_RIGHTS = ("Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding", "ServiceAccount")
_numbers = count(1)


@pytest.fixture(scope="session")
def control_plane(api_server: Cluster) -> Cluster:
    """The API server with the CRDs."""
    crds = [part for plural in ("anomalydetectors", "anomalymodels") for part in ("-f", str(ROOT / "crds" / f"{plural}.yaml"))]
    api_server.kubectl("apply", "--server-side", "--force-conflicts", *crds)
    api_server.wait_for_definitions(*crds)
    return api_server


@pytest.fixture
def plant(control_plane: Cluster, tmp_path: Path) -> Iterator[Plant]:
    """A namespace for operators of the test's own, which look after it alone."""
    with _plant(control_plane, tmp_path, everywhere=False) as made:
        yield made


@pytest.fixture(scope="module")
def headquarters(control_plane: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    """Where one operator runs that looks after all namespaces; not while tests start operators of their own."""
    with _plant(control_plane, tmp_path_factory.mktemp("headquarters"), everywhere=True) as made:
        made.operator()
        yield made


@pytest.fixture
def served(control_plane: Cluster, headquarters: Plant, tmp_path: Path) -> Iterator[Plant]:
    """A namespace that the one operator looks after."""
    with _namespace(control_plane) as (namespace, address):
        yield Plant(control_plane, namespace, tmp_path, headquarters.evidence, headquarters.kubeconfig, "", address)


@contextmanager
def _namespace(cluster: Cluster) -> Iterator[tuple[str, str]]:
    number = next(_numbers)
    name = f"test-{os.getpid()}-{number}"
    cluster.kubectl("create", "namespace", name)
    cluster.kubectl("wait", "--for=create", "serviceaccount/default", "--namespace", name, "--timeout=60s")
    yield name, f"127.1.0.{number}"
    cluster.run("delete", "namespace", name, "--wait=false")


@contextmanager
def _plant(cluster: Cluster, folder: Path, *, everywhere: bool) -> Iterator[Plant]:
    with _namespace(cluster) as (namespace, address):
        evidence, watched = Evidence(), "" if everywhere else namespace
        kubeconfig = _with_the_charts_rights(cluster, namespace, watched, folder)
        made = Plant(cluster, namespace, folder, evidence, kubeconfig, watched, address)
        yield made
        made.close()
        evidence.close()
    for process in made.processes:
        if "Traceback" in process.log.read_text():
            pytest.fail(f"{process.identity} logged an exception:\n{process.log.read_text()[-4000:]}")


def _with_the_charts_rights(cluster: Cluster, namespace: str, watched: str, folder: Path) -> Path:
    """A kubeconfig for the operator's service account, bound to what the chart binds it to, and nothing else."""
    chart = [cluster.helm_path, "template", "anomaly-operator", str(ROOT / "helm" / "anomaly-operator"), "--namespace", namespace]
    values = ["--kube-version", "1.34.0", *(["--set", f"watchNamespaces={{{watched}}}"] if watched else [])]
    rendered = subprocess.run([*chart, *values], capture_output=True, text=True, check=True).stdout
    documents = [part for part in rendered.split("\n---") if any(f"\nkind: {kind}\n" in f"\n{part}\n" for kind in _RIGHTS)]
    cluster.kubectl("apply", "--namespace", namespace, "-f", "-", stdin="\n---".join(documents))
    token = cluster.kubectl("create", "token", "anomaly-operator", "--namespace", namespace).strip()
    config = json.loads(cluster.kubectl("config", "view", "--raw", "--minify", "-o", "json"))
    config["users"][0]["user"] = {"token": token}
    path = folder / "kubeconfig"
    path.write_text(json.dumps(config))
    return path
