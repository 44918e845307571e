"""What is registered on the real API server, and what is said when it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from anomaly_api.alert import ScorerKind
from anomaly_api.calibration import Calibration, Quantile
from anomaly_api.learning import ModelStore, UriStore
from anomaly_api.meta import ANNOTATION_REQUEST, LABEL_TRAINING
from anomaly_api.model import HeldOut, Interface, InterfaceWindow, ModelSpec, Trained
from anomaly_detector.training import registry
from anomaly_detector.training.failures import TrainingError
from anomaly_detector.training.registry import Registry, connect, model_name
from anomaly_detector.training.store import CLAIM_ENV
from tests.training.conftest import Registered, order

pytestmark = pytest.mark.integration


def connect_as(path: Path | str, monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on `connect` reads this kubeconfig."""
    from kubernetes.config import kube_config

    monkeypatch.setattr(kube_config, "KUBE_CONFIG_DEFAULT_LOCATION", str(path))


def changed(kubeconfig: str, folder: Path, section: str, kind: str, settings: dict[str, str]) -> Path:
    """A copy with other settings for every user or cluster in it; of a user nothing else is left."""
    document = yaml.safe_load(Path(kubeconfig).read_text())
    for item in document[section]:
        item[kind] = settings if kind == "user" else {**item[kind], **settings}
    path = folder / "kubeconfig"
    path.write_text(yaml.safe_dump(document))
    return path


@pytest.fixture
def kubeconfig(detector: Registered, monkeypatch: pytest.MonkeyPatch) -> str:
    connect_as(detector.cluster.kubeconfig, monkeypatch)
    return str(detector.cluster.kubeconfig)


def spec(digest: str, artifact: Any) -> ModelSpec:
    quantiles = [Quantile(level=0.0, score=0.1), Quantile(level=1.0, score=1.0)]
    calibration = Calibration(
        window="short",
        windows=10,
        entity_seconds=1.0,
        mean=0.1,
        standard_deviation=0.1,
        maximum=1.0,
        quantiles=quantiles,
        peaks=[1.0],
    )
    trained = Trained(
        detector="pumps",
        job="pumps-train-1",
        data_from="2026-01-01T00:00:00Z",
        data_to="2026-01-02T00:00:00Z",
        readings=10,
        entities=1,
        kind=ScorerKind.AUTOENCODER,
        settings={"layers": [8, 2]},
        seed=1,
        epochs=1,
        seconds=0.1,
        held_out=[HeldOut(window="short", windows=10, loss=0.1, p99=0.9)],
        versions={"torch": "2"},
    )
    interface = Interface(features=["flow"], windows=[InterfaceWindow(name="short", size=8)], opset=18, size_bytes=7)
    return ModelSpec(digest=digest, artifact=artifact, interface=interface, calibration=[calibration], trained=trained)


def test_registering_twice_changes_nothing(detector, kubeconfig):
    asked = order(detector=detector.identity, request="Request:monday")
    wanted, digest = Registry(connect(), asked), "sha256:" + "ab" * 32
    for _ in range(2):
        name = wanted.register(spec(digest, wanted.place(digest, b"archive")), b"archive")
    [model] = detector.models()
    assert name == model["metadata"]["name"] == f"{detector.identity.name}-abababab"
    assert model["metadata"]["generation"] == 1
    assert model["metadata"]["annotations"][ANNOTATION_REQUEST] == "Request:monday"


def test_a_model_goes_with_its_detector_and_takes_its_config_map_along(detector, kubeconfig, tmp_path):
    wanted, digest = Registry(connect(), order(detector=detector.identity)), "sha256:" + "cd" * 32
    name = wanted.register(spec(digest, wanted.place(digest, b"archive")), b"archive")
    cluster = detector.cluster
    cluster.kubectl("delete", "adet", "-n", "default", detector.identity.name)
    cluster.kubectl("wait", "--for=delete", f"amodel/{name}", f"configmap/{name}", "-n", "default", "--timeout=60s")
    path = tmp_path / "detector.json"  # the fixture deletes it again
    again = {
        "kind": "AnomalyDetector",
        "apiVersion": "anomaly-operator.dev/v1alpha1",
        "metadata": {"name": detector.identity.name},
    }
    source = {"kafka": {"bootstrapServers": "127.0.0.1:1", "topic": "readings"}}
    path.write_text(json.dumps({**again, "spec": {"source": source, "features": [{"name": "flow"}]}}))
    cluster.kubectl("create", "-n", "default", "-f", str(path))


def test_a_model_in_a_folder_is_registered_with_its_uri(detector, kubeconfig, tmp_path, monkeypatch):
    monkeypatch.setenv(CLAIM_ENV, str(tmp_path / "claim"))
    store = ModelStore(uri=UriStore(uri="file:///models", claim_name="models"))
    wanted, digest = Registry(connect(), order(detector=detector.identity, model_store=store)), "sha256:" + "ef" * 32
    wanted.register(spec(digest, wanted.place(digest, b"archive")), b"archive")
    [model] = detector.models()
    assert model["spec"]["artifact"] == {"uri": {"url": f"file:///models/{'ef' * 32}.tar", "claimName": "models"}}
    assert (tmp_path / "claim/models" / f"{'ef' * 32}.tar").read_bytes() == b"archive"


def test_a_model_too_large_for_a_config_map_says_where_else_it_can_go(detector, kubeconfig):
    wanted = Registry(connect(), order(detector=detector.identity))
    with pytest.raises(TrainingError, match=r"has 1,024 KiB and a ConfigMap holds 900: set spec.modelStore.uri"):
        wanted.place("sha256:" + "00" * 32, bytes(1024 * 1024))


def test_a_refusal_says_what_was_refused_where_and_why(detector, kubeconfig, tmp_path, monkeypatch):
    """A service account without the trainer's rights."""
    cluster = detector.cluster
    namespace = detector.identity.namespace
    account = f"{detector.identity.name}-trainer"
    cluster.kubectl("create", "serviceaccount", account, "-n", namespace)
    token = cluster.kubectl("create", "token", account, "-n", namespace).strip()
    connect_as(changed(kubeconfig, tmp_path, "users", "user", {"token": token}), monkeypatch)
    asked, digest = order(detector=detector.identity), "sha256:" + "11" * 32
    wanted = Registry(connect(), asked)
    artifact = wanted.place(digest, b"archive")
    with pytest.raises(TrainingError) as caught:
        wanted.register(spec(digest, artifact), b"archive")
    said = str(caught.value)
    assert f"the API server refused to create AnomalyModel {model_name(asked, digest)} in namespace {namespace}" in said
    assert "cannot create resource" in said
    cluster.kubectl("delete", "serviceaccount", account, "-n", namespace)


def test_an_api_server_that_never_answers_is_given_up_after_a_while(detector, kubeconfig, tmp_path, monkeypatch):
    connect_as(changed(kubeconfig, tmp_path, "clusters", "cluster", {"server": "https://127.0.0.1:1"}), monkeypatch)
    monkeypatch.setattr(registry, "_PATIENCE", 0.0)
    wanted, digest = Registry(connect(), order(detector=detector.identity)), "sha256:" + "22" * 32
    artifact = wanted.place(digest, b"archive")
    with pytest.raises(TrainingError, match="the API server does not answer: could not create AnomalyModel"):
        wanted.register(spec(digest, artifact), b"archive")


def test_a_registration_that_broke_off_is_completed_by_the_next(detector, kubeconfig, monkeypatch):
    wanted, digest = Registry(connect(), order(detector=detector.identity)), "sha256:" + "33" * 32
    with monkeypatch.context() as broken:
        broken.setattr(wanted, "_config_map", lambda *_: {"metadata": {"name": "Not a name"}})
        with pytest.raises(TrainingError, match="refused to create ConfigMap"):
            wanted.register(spec(digest, wanted.place(digest, b"archive")), b"archive")
    [found] = detector.models()
    assert LABEL_TRAINING not in found["metadata"]["labels"]
    wanted.register(spec(digest, wanted.place(digest, b"archive")), b"archive")
    [found] = detector.models()
    assert LABEL_TRAINING in found["metadata"]["labels"]
