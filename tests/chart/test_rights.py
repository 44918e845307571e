"""What the chart lets the operator, trainers and people do: no more than they need, as written and as the API server sees it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.chart.conftest import CHART, of_kind

if TYPE_CHECKING:
    from tests.chart.conftest import Helm, Object, Values

pytestmark = pytest.mark.integration
SCOPES: dict[str, Values] = {"the whole cluster": {}, "two namespaces": {"watchNamespaces": ["plant", "lab"]}}


def _roles(objects: list[Object]) -> list[Object]:
    return of_kind(objects, "Role", "ClusterRole")


@pytest.mark.parametrize("scope", SCOPES)
def test_no_role_has_a_wildcard_or_reads_secrets(helm: Helm, scope: str) -> None:
    for role in _roles(helm.rendered(SCOPES[scope])):
        for rule in role["rules"]:
            granted = [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]
            assert "*" not in granted
            assert "secrets" not in granted
            assert not {"escalate", "impersonate"} & set(rule["verbs"])


@pytest.mark.parametrize("scope", SCOPES)
def test_the_operator_may_hand_out_the_trainers_role_only(helm: Helm, scope: str) -> None:
    binding = [rule for role in _roles(helm.rendered(SCOPES[scope])) for rule in role["rules"] if "bind" in rule["verbs"]]
    assert binding
    assert all(rule["resourceNames"] == ["anomaly-operator-trainer"] for rule in binding)


def test_with_namespaces_nothing_is_granted_beyond_them(helm: Helm) -> None:
    objects = helm.rendered({"watchNamespaces": ["plant", "lab"]})
    assert of_kind(objects, "ClusterRoleBinding") == []
    unbound = {role["metadata"]["name"] for role in of_kind(objects, "ClusterRole")}
    assert unbound == {"anomaly-operator-trainer", "anomaly-operator-view", "anomaly-operator-edit", "anomaly-operator-promote"}
    bound = {(one["metadata"]["namespace"], one["roleRef"]["name"]) for one in of_kind(objects, "RoleBinding")}
    assert bound == {("plant", "anomaly-operator"), ("lab", "anomaly-operator"), ("watch", "anomaly-operator-lease")}


def test_who_promotes_need_not_edit_and_who_edits_cannot_promote(helm: Helm) -> None:
    roles = {role["metadata"]["name"]: role for role in _roles(helm.rendered())}
    granted = {
        name: {
            (resource, verb)
            for rule in roles[f"anomaly-operator-{name}"]["rules"]
            for resource in rule["resources"]
            for verb in rule["verbs"]
        }
        for name in ("view", "edit", "promote")
    }
    status = {("anomalydetectors/status", verb) for verb in ("get", "patch")}
    assert granted["promote"] == {("anomalydetectors", verb) for verb in ("get", "list", "watch")} | status
    assert not any(resource.endswith("/status") for resource, _ in granted["view"] | granted["edit"])
    labels = roles["anomaly-operator-promote"]["metadata"]["labels"]
    assert [name for name in labels if "aggregate-to" in name] == ["rbac.authorization.k8s.io/aggregate-to-admin"]


def test_the_account_hands_its_token_to_the_operators_pod_only(helm: Helm) -> None:
    objects = helm.rendered()
    (account,) = of_kind(objects, "ServiceAccount")
    (deployment,) = of_kind(objects, "Deployment")
    assert account["automountServiceAccountToken"] is False
    assert deployment["spec"]["template"]["spec"]["automountServiceAccountToken"] is True


def test_roles_of_ones_own_replace_the_charts(helm: Helm) -> None:
    objects = helm.rendered({"rbac": {"create": False}})
    assert of_kind(objects, "Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding") == []


def test_the_operators_rights_are_those_that_its_code_says_it_needs(helm: Helm) -> None:
    """`adapters/executor.py` lists them at its top: the chart grants these and no others."""
    from anomaly_operator.kube import executor

    needed = set()
    for resources, verbs in re.findall(r"^ {4}(\S.*?) {2,}(\S.*)$", executor.__doc__ or "", re.MULTILINE):
        needed |= {(resource, verb) for resource in re.findall(r"[a-z]+(?:/[a-z]+)?", _bare(resources)) for verb in verbs.split()}
    roles = [
        role for role in _roles(helm.rendered()) if role["metadata"]["name"] in ("anomaly-operator", "anomaly-operator-lease")
    ]
    rules = [rule for role in roles for rule in role["rules"]]
    granted = {(resource, verb) for rule in rules for resource in rule["resources"] for verb in rule["verbs"]}
    assert granted == needed


def _bare(resources: str) -> str:
    """Without remarks: `leases (in its own namespace)`, `clusterroles, the trainer's by name only`."""
    return re.sub(r" \(.*\)|, the trainer's by name only", "", resources)


def test_rendered_twice_the_chart_is_the_same_to_the_byte(helm: Helm) -> None:
    """So that Argo CD, which renders it again and again, sees no difference."""
    values = {"metrics": {"rules": {"enabled": True}, "dashboards": {"enabled": True}}, "networkPolicy": {"enabled": True}}
    once, again = (helm.run("template", "anomaly-operator", str(CHART), values=values).stdout for _ in range(2))
    assert once == again != ""
