"""The real operator and the trainer's registration, at work with the rights that the chart gives them, and no others."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
import yaml

from anomaly_api.assignment import TrainingOrder
from anomaly_api.meta import LABEL_COMPONENT, LABEL_DETECTOR, TRAINING_ENV
from anomaly_api.model import ModelSpec
from tests.chart.conftest import CHART, of_kind
from tests.contract.documents import changed, example, trained_model
from tests.operator.running import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from dev.environment.cluster.access import Cluster
    from tests.chart.conftest import Helm, Values

pytestmark = pytest.mark.integration
RELEASE, SPACE, PLANT = "anomaly-operator", "watch", "plant"
SCOPES: dict[str, Values] = {"the whole cluster": {}, "one namespace": {"watchNamespaces": [PLANT]}}
ARCHIVE = b"the operator delivers an archive as it is"


@pytest.fixture(params=SCOPES)
def released(bare: Cluster, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Values]:
    """The chart, installed with the values that are given back; the namespace `plant` takes pods of the restricted level only."""
    values = SCOPES[request.param]
    file = tmp_path / "values.json"
    file.write_text(json.dumps(values), encoding="utf-8")
    bare.kubectl("create", "namespace", PLANT)
    bare.kubectl("label", "namespace", PLANT, "pod-security.kubernetes.io/enforce=restricted")
    bare.helm("install", RELEASE, str(CHART), "--namespace", SPACE, "--create-namespace", "--values", str(file))
    yield values
    bare.kubectl("delete", "adet", "--all", "--namespace", PLANT)
    bare.helm("uninstall", RELEASE, "--namespace", SPACE, "--wait", "--timeout=60s")
    bare.kubectl("delete", "crd", "--all", "--timeout=60s")
    bare.kubectl("delete", "namespace", PLANT, "--timeout=60s")


def _as_account(cluster: Cluster, namespace: str, account: str, into: Path) -> str:
    """A kubeconfig with the account's own token."""
    config = json.loads(cluster.kubectl("config", "view", "--raw", "-o", "json"))
    token = cluster.kubectl("create", "token", account, "--namespace", namespace).strip()
    config["users"] = [{"name": user["name"], "user": {"token": token}} for user in config["users"]]
    path = into / f"{account}.kubeconfig"
    path.write_text(json.dumps(config), encoding="utf-8")
    return str(path)


@contextmanager
def _operator(helm: Helm, cluster: Cluster, values: Values, into: Path) -> Iterator[Path]:
    """The operator, with the environment of the chart's Deployment. Gives its log."""
    from dev.environment import ports

    (deployment,) = of_kind(helm.rendered(values), "Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    told = {one["name"]: one["value"] for one in container["env"] if "value" in one}
    (port,) = ports.free(1)
    environment = {
        **os.environ,
        **told,
        "POD_NAME": "operator",
        "POD_NAMESPACE": SPACE,
        "ANOMALY_HTTP_PORT": str(port),
        "EVIDENCE_PATIENCE": "0",  # no pod runs here that could tell how much data there is
        "KUBECONFIG": _as_account(cluster, SPACE, RELEASE, into),
    }
    log = into / "operator.log"
    with log.open("wb") as out:
        process = subprocess.Popen([sys.executable, "-m", "anomaly_operator"], env=environment, stdout=out, stderr=out)
    try:
        yield log
    finally:
        process.terminate()
        process.wait(timeout=30)


def _wait(cluster: Cluster, condition: str, what: str) -> None:
    cluster.kubectl("wait", f"--for={condition}", what, "--namespace", PLANT, "--timeout=60s")


def _register(kubeconfig: str, order: TrainingOrder) -> str:
    """What a training pod does when it has trained."""
    from kubernetes import config

    from anomaly_detector.training.registry import Registry

    digest = f"sha256:{hashlib.sha256(ARCHIVE).hexdigest()}"
    registry = Registry(config.new_client_from_config(config_file=kubeconfig), order)
    features = [feature.name for feature in order.pipeline.features]
    described = changed(trained_model(), {"spec": {"digest": digest, "interface": {"features": features}}})["spec"]
    described["artifact"] = registry.place(digest, ARCHIVE).document()
    return registry.register(ModelSpec.model_validate(described), ARCHIVE)


def test_operator_and_trainer_need_no_other_rights_and_their_pods_are_admitted_at_the_restricted_level(
    helm: Helm, bare: Cluster, released: Values, tmp_path: Path
) -> None:
    with _operator(helm, bare, released, tmp_path) as log:
        bare.kubectl("apply", "--namespace", PLANT, "-f", "-", stdin=yaml.safe_dump(example("shortest.yaml")))
        _wait(bare, "create", "deployment/pumps-detector")
        _wait(bare, "jsonpath={.status.training.job}", "adet/pumps")
        for component in ("detector", "trainer"):
            bare.kubectl("wait", "--for=create", "pod", "-l", f"{LABEL_COMPONENT}={component}", "-n", PLANT, "--timeout=60s")
        job = bare.kubectl("get", "adet/pumps", "--namespace", PLANT, "-o", "jsonpath={.status.training.job}")
        asked = f'{{.spec.template.spec.containers[0].env[?(@.name=="{TRAINING_ENV}")].value}}'
        order = bare.kubectl("get", f"job/{job}", "--namespace", PLANT, "-o", f"jsonpath={asked}")
        trainer = _as_account(bare, PLANT, "pumps-trainer", tmp_path)
        model = _register(trainer, TrainingOrder.model_validate_json(order))
        assert _register(trainer, TrainingOrder.model_validate_json(order)) == model, "a second run finds what it made"
        _wait(bare, f"jsonpath={{.status.stable.model}}={model}", "adet/pumps")
        _wait(bare, "jsonpath={.status.usedBy[0]}=pumps", f"anomalymodel/{model}")
        bare.kubectl("patch", "adet/pumps", "--namespace", PLANT, "--type=json", "-p", _STATISTICAL)
        _wait(bare, "delete", f"job/{job}")
        _wait(bare, "delete", "serviceaccount/pumps-trainer")
    said = log.read_text(encoding="utf-8")
    assert "forbidden" not in said.lower(), said


@pytest.mark.parametrize("released", ["the whole cluster"], indirect=True)
def test_the_operator_can_neither_delete_nor_change_what_is_of_no_detector(
    bare: Cluster, released: Values, tmp_path: Path
) -> None:
    """Its roles would allow it; the chart's admission policy does not."""
    from kubernetes import client, config

    bare.kubectl("create", "serviceaccount", "somebody", "--namespace", PLANT)
    bare.kubectl("create", "configmap", "of-nobody", "--namespace", PLANT)
    account = _as_account(bare, SPACE, RELEASE, tmp_path)
    core = client.CoreV1Api(config.new_client_from_config(config_file=account))

    def refused(call: Callable[[], object]) -> bool:
        """Whether the policy refuses the call: the API server takes a moment to learn it. A missing right has other words."""
        try:
            call()
        except client.ApiException as error:
            return "may touch objects with the label" in str(error.body)
        return False

    eventually(lambda: refused(lambda: core.delete_namespaced_service_account("somebody", PLANT, dry_run="All")))
    assert refused(lambda: core.patch_namespaced_config_map("of-nobody", PLANT, {"data": {"a": "b"}}))
    assert refused(lambda: core.create_namespaced_config_map(PLANT, {"metadata": {"name": "new"}}))
    labelled = {"metadata": {"name": "of-pumps", "labels": {LABEL_DETECTOR: "pumps"}}}
    core.create_namespaced_config_map(PLANT, labelled)


_STATISTICAL = json.dumps([{"op": "replace", "path": "/spec/model", "value": {"statistical": {}}}])
