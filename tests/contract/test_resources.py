"""The resources as people meet them on a real API server: defaults, columns, names, explain, status, every example."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from anomaly_api.detector import AnomalyDetector
from anomaly_api.status import Condition, DetectorStatus, SourceStatus, StableStatus
from tests.contract.documents import EXAMPLES, Document, changed, example, examples, trained_model
from tests.contract.schemas import schema_of, stored

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dev.environment.cluster.control_plane import Cluster
    from tests.contract.conftest import Admission

pytestmark = pytest.mark.integration
NOW = "2026-01-01T10:00:00Z"
STATUS = DetectorStatus(
    observed_generation=1,
    conditions=[
        Condition(
            type="Ready",
            status="True",
            reason="Scoring",
            message="scores 20 entities",
            observed_generation=1,
            last_transition_time=NOW,
        )
    ],
    stable=StableStatus(revision="3f2a91c0", model="pumps-7d41c0e2", since=NOW),
    source=SourceStatus(partitions=4, lag=12, last_scored=NOW, last_alert=NOW, last_score=0.4),
)


@pytest.fixture(scope="module")
def plant(with_crds: Cluster) -> Iterator[Cluster]:
    """The API server with a namespace of these tests' own."""
    with_crds.kubectl("create", "namespace", "plant")
    yield with_crds
    with_crds.kubectl("delete", "namespace", "plant", "--wait=false")


@pytest.fixture
def pumps(plant: Cluster) -> Iterator[Cluster]:
    """The shortest detector, with a status as the operator writes it."""
    plant.kubectl("apply", "--namespace=plant", "-f", "-", stdin=yaml.safe_dump(example("shortest.yaml")))
    patch = json.dumps({"status": STATUS.document()})
    plant.kubectl("patch", "adet/pumps", "--namespace=plant", "--subresource=status", "--type=merge", "-p", patch)
    yield plant
    plant.kubectl("delete", "adet/pumps", "--namespace=plant")


def _admitted(admission: Admission, document: Document) -> Any:
    return admission.admitted(document)["spec"]


def test_the_shortest_detector_is_admitted_with_the_defaults_that_the_models_have(admission: Admission) -> None:
    shortest = example("shortest.yaml")
    kept = _admitted(admission, shortest)
    read = AnomalyDetector.model_validate(shortest).document()["spec"]
    assert stored(schema_of("AnomalyDetector")["properties"]["spec"], read, kept) == kept


def test_the_example_with_its_defaults_is_what_the_shortest_means(admission: Admission) -> None:
    complete = example("shortest-with-its-defaults.yaml")
    assert AnomalyDetector.model_validate(example("shortest.yaml")).document() == complete | {"metadata": {"name": "pumps"}}
    assert _admitted(admission, complete) == complete["spec"]


@pytest.mark.parametrize("file", examples())
def test_every_example_applies(with_crds: Cluster, file: str) -> None:
    documents = [document for document in examples()[file] if not document["apiVersion"].startswith("keda.sh/")]
    assert documents, f"{file} is empty"
    with_crds.kubectl("apply", "--dry-run=server", "-f", "-", stdin=yaml.safe_dump_all(documents))


def test_the_example_for_keda_scales_its_detector_by_its_group() -> None:
    detector, scaled = examples()["scaled-by-keda.yaml"]
    kafka, [trigger] = detector["spec"]["source"]["kafka"], scaled["spec"]["triggers"]
    asked = trigger["metadata"]
    wanted = (kafka["bootstrapServers"], kafka["topic"], kafka["groupId"])
    assert (asked["bootstrapServers"], asked["topic"], asked["consumerGroup"]) == wanted
    assert scaled["spec"]["scaleTargetRef"]["name"] == f"{detector['metadata']['name']}-detector"


@pytest.mark.parametrize("file", examples())
def test_every_example_says_in_its_first_line_what_it_shows(file: str) -> None:
    assert (EXAMPLES / file).read_text(encoding="utf-8").startswith("# ")


def test_a_list_says_in_columns_how_detectors_are_doing(pumps: Cluster) -> None:
    header, line = pumps.kubectl("get", "adet", "--namespace=plant").splitlines()
    assert header.split() == ["NAME", "READY", "MODEL", "CANDIDATE", "STEP", "TRAINING", "LAG", "AGE"]
    assert line.split()[:4] == ["pumps", "True", "pumps-7d41c0e2", "12"]


def test_a_wide_list_says_more(pumps: Cluster) -> None:
    header = pumps.kubectl("get", "adet", "--namespace=plant", "-o", "wide").splitlines()[0]
    assert header.split()[-7:] == ["STATUS", "TOPIC", "THRESHOLD", "TRAINED-FOR", "NEXT-TRAINING", "LAST-ALERT", "AGE"]


def test_a_list_of_models_is_a_registry(plant: Cluster) -> None:
    plant.kubectl("apply", "--namespace=plant", "-f", "-", stdin=yaml.safe_dump(trained_model()))
    header, line = plant.kubectl("get", "amodel", "--namespace=plant").splitlines()
    assert header.split() == ["NAME", "DETECTOR", "KIND", "READINGS", "HELD-OUT-P99", "GATE", "VERIFIED", "USED-BY", "AGE"]
    assert line.split()[:6] == ["presses-v3", "presses", "Autoencoder", "8640", "0.071", "Accepted"]


def test_short_names_and_the_category_find_both_resources(pumps: Cluster) -> None:
    found = pumps.kubectl("api-resources", "--categories=anomaly-operator", "--no-headers")
    assert {tuple(line.split()[:2]) for line in found.splitlines()} == {("anomalydetectors", "adet"), ("anomalymodels", "amodel")}


def test_the_status_is_a_subresource_that_an_edit_of_the_spec_cannot_touch(pumps: Cluster) -> None:
    edited = changed(example("shortest.yaml"), {"spec": {"paused": True}, "status": {"replicas": 9}})
    pumps.kubectl("replace", "--namespace=plant", "-f", "-", stdin=yaml.safe_dump(edited))
    kept = json.loads(pumps.kubectl("get", "adet/pumps", "--namespace=plant", "-o", "json"))
    assert (kept["spec"]["paused"], kept["status"]) == (True, STATUS.document())


def test_kubectl_wait_understands_the_conditions(pumps: Cluster) -> None:
    pumps.kubectl("wait", "--for=condition=Ready", "adet/pumps", "--namespace=plant", "--timeout=5s")


@pytest.mark.parametrize("field", ["anomalydetector.spec.threshold.budget.per", "anomalymodel.spec.digest"])
def test_kubectl_explains_every_field(with_crds: Cluster, field: str) -> None:
    explained = with_crds.kubectl("explain", field)
    assert "<empty>" not in explained
    assert "DESCRIPTION:" in explained
