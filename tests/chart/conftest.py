"""Helm on this checkout's chart: rendered without a cluster, and installed on an API server of these tests' own.

Their own, because Helm adopts no CRDs that another test has applied, and takes them away again.
"""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dev.environment.cluster.access import Cluster

CHART = Path(__file__).resolve().parents[2] / "helm" / "anomaly-operator"
Object = dict[str, Any]
Values = dict[str, Any]


@dataclass(frozen=True)
class Helm:
    """The built Helm, for what needs no cluster."""

    path: str

    def run(self, command: str, *arguments: str, values: Values | None = None) -> subprocess.CompletedProcess[str]:
        """Helm with values as JSON, whatever comes of it."""
        return subprocess.run(
            [self.path, command, *arguments, "--values", "-", "--kube-version", "1.34.0"],
            input=json.dumps(values or {}),
            capture_output=True,
            text=True,
            check=False,
        )

    def rendered(self, values: Values | None = None, *, release: str = "anomaly-operator") -> list[Object]:
        """Every object of the chart."""
        done = self.run("template", release, str(CHART), "--namespace", "watch", values=values)
        assert done.returncode == 0, done.stderr
        return [document for document in yaml.safe_load_all(done.stdout) if document]


def of_kind(objects: list[Object], *kinds: str) -> list[Object]:
    return [one for one in objects if one["kind"] in kinds]


@pytest.fixture(scope="session")
def helm() -> Helm:
    from dev.environment.cluster import binaries
    from dev.progress import silent

    return Helm(binaries.built(silent)["helm"])


@pytest.fixture(scope="session")
def bare() -> Iterator[Cluster]:
    """An API server without CRDs; each test takes away what it has made."""
    from dev.environment.cluster import control_plane

    with control_plane.alone(f"tests-{os.getpid()}-chart") as cluster:
        yield cluster
