"""Registers a server of external metrics on this machine's loopback with a control plane: autoscalers of its find them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import yaml

if TYPE_CHECKING:
    from dev.environment.cluster.access import Cluster

GROUP: Final = "external.metrics.k8s.io"
_API: Final = f"v1beta1.{GROUP}"
_SERVICE: Final = {"name": "external-metrics", "namespace": "kube-system"}


@contextmanager
def registered(cluster: Cluster, port: int) -> Iterator[None]:
    """For as long as the context lives; the server answers already, or soon."""
    try:
        cluster.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(_registration(port)))
        cluster.kubectl("wait", "--for=condition=Available", f"apiservice/{_API}", "--timeout=90s")
        yield
    finally:
        service = f"service/{_SERVICE['name']}"
        cluster.run("delete", f"apiservice/{_API}", service, f"--namespace={_SERVICE['namespace']}", "--ignore-not-found")


def _registration(port: int) -> list[dict[str, Any]]:
    """The API server finds the server by a Service that is a name for the loopback."""
    service: dict[str, Any] = {"apiVersion": "v1", "kind": "Service", "metadata": dict(_SERVICE)}
    service["spec"] = {"type": "ExternalName", "externalName": "localhost"}
    found: dict[str, Any] = {"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": {"name": _API}}
    found["spec"] = {
        "group": GROUP, "version": "v1beta1", "groupPriorityMinimum": 100, "versionPriority": 100,
        "insecureSkipTLSVerify": True, "service": {**_SERVICE, "port": port},
    }  # fmt: skip
    return [service, found]
