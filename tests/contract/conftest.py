"""The real API server with the CRDs, and a client that says why a document was refused."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from dev.environment.cluster.control_plane import Cluster
    from tests.contract.documents import Document

CRDS = Path(__file__).resolve().parents[2] / "crds"
PLURALS = {"AnomalyDetector": "anomalydetectors", "AnomalyModel": "anomalymodels"}


@dataclass(frozen=True)
class Refusal:
    """One cause of a refusal."""

    field: str
    reason: str
    message: str


class Admission:
    """Asks the API server whether it would admit a document, without keeping it."""

    def __init__(self, kubeconfig: str) -> None:
        from kubernetes import client, config

        self._objects = client.CustomObjectsApi(config.new_client_from_config(config_file=kubeconfig))
        self._refused = client.ApiException

    def admitted(self, document: Document) -> Document:
        """The document as the API server would keep it."""
        kept: Document = self._objects.create_namespaced_custom_object(
            "anomaly-operator.dev",
            "v1alpha1",
            "default",
            PLURALS[document["kind"]],
            document,
            dry_run="All",
            field_validation="Strict",
        )
        return kept

    def refusals(self, document: Document) -> list[Refusal]:
        """Why it would be refused; empty when it would not."""
        try:
            self.admitted(document)
        except self._refused as error:
            return _causes(json.loads(error.body))
        return []


def _causes(status: dict[str, Any]) -> list[Refusal]:
    causes = status.get("details", {}).get("causes", [])
    if not causes:
        return [Refusal("", status.get("reason", ""), status.get("message", ""))]
    return [Refusal(cause.get("field", ""), cause.get("reason", ""), cause.get("message", "")) for cause in causes]


@pytest.fixture(scope="session")
def with_crds(api_server: Cluster) -> Cluster:
    """The API server, once it serves both resources."""
    api_server.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(CRDS))
    api_server.wait_for_definitions("-f", str(CRDS))
    return api_server


@pytest.fixture(scope="session")
def admission(with_crds: Cluster) -> Admission:
    return Admission(with_crds.kubeconfig)
