"""A release on a real API server, from install to uninstall. No pod runs here: that is what the end-to-end tests are for."""

from __future__ import annotations

import json
import re
import shutil
import time
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from anomaly_api.meta import LABEL_DETECTOR
from tests.chart.conftest import CHART
from tests.contract.documents import example

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from dev.environment.cluster.access import Cluster

pytestmark = pytest.mark.integration
RELEASE = "anomaly-operator"
SPACE = "watch"
ACCOUNT = f"system:serviceaccount:{SPACE}:{RELEASE}"
CRDS = {"anomalydetectors.anomaly-operator.dev", "anomalymodels.anomaly-operator.dev"}


@pytest.fixture
def namespace(bare: Cluster) -> Iterator[Cluster]:
    """Empty, and it takes only pods of the restricted level; what a test leaves, CRDs too, goes."""
    bare.run("create", "namespace", SPACE)
    bare.kubectl("label", "--overwrite", "namespace", SPACE, "pod-security.kubernetes.io/enforce=restricted")
    yield bare
    _served(bare)
    bare.helm("uninstall", RELEASE, "--namespace", SPACE, "--ignore-not-found", "--wait", "--timeout=240s")
    bare.kubectl("delete", "crd", "--ignore-not-found", "--timeout=240s", *CRDS)


def _served(cluster: Cluster) -> None:
    """Waits for the CRDs that there are: one that is deleted before it was ever served takes minutes to go."""
    there = cluster.kubectl("get", "crd", "--ignore-not-found", "-o", "name", *CRDS).split()
    if there:
        cluster.wait_for_definitions(*there)
        cluster.kubectl("get", ",".join(name.partition("/")[2] for name in there), "--all-namespaces")


def _apply(cluster: Cluster, command: str, *options: str, chart: Path = CHART) -> str:
    return cluster.helm(command, RELEASE, str(chart), "--namespace", SPACE, *options)


def _get(cluster: Cluster, *what: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(cluster.kubectl("get", *what, "-o", "json"))
    return found


def _objects_of_the_release(cluster: Cluster) -> set[str]:
    kinds = cluster.kubectl("api-resources", "--verbs=list", "-o", "name").split()
    listable = [kind for kind in kinds if not kind.startswith(("componentstatuses", "events", "bindings"))]
    selector = f"app.kubernetes.io/instance={RELEASE}"
    return set(cluster.kubectl("get", ",".join(listable), "--all-namespaces", "-l", selector, "-o", "name").split())


def _detector(cluster: Cluster) -> None:
    cluster.kubectl("apply", "-f", "-", stdin=yaml.safe_dump(example("shortest.yaml")))


def test_an_install_brings_the_operator_and_says_what_to_type_next(namespace: Cluster) -> None:
    said = _apply(namespace, "install")
    assert f"kubectl --namespace {SPACE} rollout status deployment/{RELEASE}" in said
    (snippet,) = re.findall(r"<<'YAML'\n(.*?)\n  YAML", said, re.DOTALL)
    namespace.kubectl("apply", "--dry-run=server", "-f", "-", stdin=re.sub(r"(?m)^  ", "", snippet))


def test_a_second_release_for_the_same_detectors_is_refused_with_what_to_change(namespace: Cluster) -> None:
    _apply(namespace, "install", "--set", "watchNamespaces={default}")
    second = ("install", "second", str(CHART), "--namespace", "default", "--set", "crds.install=false")
    for scope in ("watchNamespaces=null", "watchNamespaces={default,kube-public}"):
        with pytest.raises(RuntimeError, match="two operators would undo each other's work"):
            namespace.helm(*second, "--set", scope)
    namespace.helm(*second, "--set", "watchNamespaces={kube-public}")
    namespace.helm("uninstall", "second", "--namespace", "default", "--wait", "--timeout=60s")


def test_the_operators_pod_is_admitted_at_the_restricted_level(namespace: Cluster) -> None:
    _apply(namespace, "install")
    namespace.kubectl(
        "wait", "--for=create", "pod", "--namespace", SPACE, "-l", "app.kubernetes.io/component=operator", "--timeout=30s"
    )


def test_an_upgrade_applies_new_values(namespace: Cluster) -> None:
    _apply(namespace, "install")
    _apply(namespace, "upgrade", "--set", "replicas=2", "--set", "logLevel=DEBUG")
    assert _get(namespace, "deployment", RELEASE, "--namespace", SPACE)["spec"]["replicas"] == 2
    assert _get(namespace, "poddisruptionbudget", RELEASE, "--namespace", SPACE)["spec"]["maxUnavailable"] == 1


def test_an_upgrade_brings_new_fields_of_the_crds_and_keeps_the_detectors(namespace: Cluster, tmp_path: Path) -> None:
    _apply(namespace, "install")
    _detector(namespace)
    newer = tmp_path / "chart"
    shutil.copytree(CHART, newer)
    file = newer / "files" / "anomalydetectors.yaml"
    crd = yaml.safe_load(file.read_text(encoding="utf-8"))
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    schema["properties"]["spec"]["properties"]["novelty"] = {"type": "string", "description": "Something new."}
    file.write_text(yaml.safe_dump(crd), encoding="utf-8")
    _apply(namespace, "upgrade", chart=newer)
    until = time.monotonic() + 30
    while "novelty" not in _get(namespace, "adet", "pumps")["spec"]:  # the new schema is served a moment after it is stored
        assert time.monotonic() < until, "the new field is still pruned"
        namespace.kubectl("patch", "adet/pumps", "--type=merge", "-p", '{"spec": {"novelty": "yes"}}')


def test_an_uninstall_leaves_the_crds_and_with_them_the_detectors_and_nothing_else(namespace: Cluster) -> None:
    _apply(namespace, "install")
    _detector(namespace)
    namespace.helm("uninstall", RELEASE, "--namespace", SPACE, "--wait", "--timeout=240s")
    left = _objects_of_the_release(namespace)
    assert left == {f"customresourcedefinition.apiextensions.k8s.io/{name}" for name in CRDS}
    assert _get(namespace, "adet", "pumps")["metadata"]["name"] == "pumps"


def test_an_install_after_an_uninstall_takes_the_kept_crds_over(namespace: Cluster) -> None:
    _apply(namespace, "install")
    _detector(namespace)
    namespace.helm("uninstall", RELEASE, "--namespace", SPACE, "--wait", "--timeout=240s")
    _apply(namespace, "install")
    assert _get(namespace, "adet", "pumps")["metadata"]["name"] == "pumps"


def test_an_uninstall_takes_the_crds_too_when_they_are_not_to_be_kept(namespace: Cluster) -> None:
    _apply(namespace, "install", "--set", "crds.keep=false")
    _served(namespace)
    namespace.helm("uninstall", RELEASE, "--namespace", SPACE, "--wait", "--timeout=240s")
    assert _objects_of_the_release(namespace) == set()


@pytest.mark.parametrize(
    ("verb", "resource", "where", "answer"),
    [
        ("list", "anomalydetectors.anomaly-operator.dev", "plant", "yes"),
        ("patch", "anomalydetectors.anomaly-operator.dev/status", "plant", "yes"),
        ("patch", "anomalydetectors.anomaly-operator.dev", "plant", "no"),
        ("patch", "deployments.apps", "plant", "yes"),
        ("patch", "deployments.apps", "default", "no"),
        ("get", "secrets", "plant", "no"),
        ("create", "pods", "plant", "no"),
        ("create", "leases.coordination.k8s.io", SPACE, "yes"),
        ("create", "leases.coordination.k8s.io", "plant", "no"),
        ("create", "clusterrolebindings.rbac.authorization.k8s.io", "plant", "no"),
    ],
)
def test_an_operator_for_one_namespace_may_there_what_it_needs(
    in_one_namespace: Cluster, verb: str, resource: str, where: str, answer: str
) -> None:
    resource, _, part = resource.partition("/")
    asked = ("auth", "can-i", verb, resource, "--subresource", part, "--namespace", where, "--as", ACCOUNT)
    said = in_one_namespace.run(*asked)
    assert said.stdout.strip() == answer


@pytest.mark.parametrize(("role", "allowed"), [(f"{RELEASE}-trainer", True), ("edit", False), ("cluster-admin", False)])
def test_the_operator_can_bind_the_trainers_role_and_no_other(in_one_namespace: Cluster, role: str, allowed: bool) -> None:
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": f"try-{role}", "labels": {LABEL_DETECTOR: "pumps"}},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [{"kind": "ServiceAccount", "name": "pumps-trainer", "namespace": "plant"}],
    }
    said = ["create", "-f", "-", "--namespace=plant", "--dry-run=server", "--as", ACCOUNT]
    done = in_one_namespace.run(*said, stdin=yaml.safe_dump(binding))
    assert (done.returncode == 0) == allowed, done.stderr


def test_people_who_may_edit_a_namespace_may_edit_detectors_there(in_one_namespace: Cluster) -> None:
    in_one_namespace.kubectl("create", "rolebinding", "jane", "--clusterrole=edit", "--user=jane", "--namespace=plant")
    asked = ("auth", "can-i", "create", "anomalydetectors.anomaly-operator.dev", "--as=jane", "--namespace")
    assert in_one_namespace.kubectl(*asked, "plant").strip() == "yes"
    assert in_one_namespace.run(*asked, "default").stdout.strip() == "no"


@pytest.fixture(scope="module")
def in_one_namespace(bare: Cluster) -> Iterator[Cluster]:
    """A release that looks after the namespace `plant` alone."""
    bare.run("create", "namespace", SPACE)
    bare.kubectl("create", "namespace", "plant")
    _apply(bare, "install", "--set", "watchNamespaces={plant}")
    aggregated = '{.rules[?(@.resources[0]=="anomalydetectors")].verbs[?(@=="create")]}'
    bare.kubectl("wait", f"--for=jsonpath={aggregated}=create", "clusterrole/edit", "--timeout=30s")
    yield bare
    _served(bare)
    bare.helm("uninstall", RELEASE, "--namespace", SPACE, "--wait", "--timeout=240s")
    bare.run("get", ",".join(CRDS), "--all-namespaces")  # a CRD that is deleted before it was ever served takes minutes to go
    bare.kubectl("delete", "crd", "--ignore-not-found", "--timeout=240s", *CRDS)
    bare.kubectl("delete", "namespace", "plant", "--timeout=60s")
