"""What the chart makes of values: images, replicas, monitors; and which values it refuses, with what words."""

from __future__ import annotations

import inspect
import json
import re
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.chart.conftest import CHART, of_kind

if TYPE_CHECKING:
    from tests.chart.conftest import Helm, Object, Values

pytestmark = pytest.mark.integration
DIGEST = "sha256:" + "7d41c0e2" * 8
SENSIBLE: dict[str, Values] = {
    "defaults": {},
    "namespaced": {"watchNamespaces": ["plant", "lab"]},
    "high availability": {"replicas": 3},
    "monitored": {
        "metrics": {"serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}}, "rules": {"enabled": True}}
    },
    "own account and roles": {"serviceAccount": {"create": False, "name": "mine"}, "rbac": {"create": False}},
    "crds by other means": {"crds": {"install": False}},
    "pinned images": {"image": {"registry": "registry.example.com/mirror", "operator": {"digest": DIGEST}}},
    "named and labelled by others": {
        "nameOverride": "watcher",
        "namespaceOverride": "elsewhere",
        "commonLabels": {"team": "plant"},
    },
    "fenced in and looked at": {
        "networkPolicy": {
            "enabled": True,
            "metricsFrom": [{"namespaceSelector": {}}],
            "egress": [{"to": [{"namespaceSelector": {}}], "ports": [{"port": 9090, "protocol": "TCP"}]}],
        },
        "metrics": {"dashboards": {"enabled": True}},
        "crds": {"annotations": {"argocd.argoproj.io/sync-options": "Replace=true"}},
    },
    "scheduled": {
        "pod": {
            "nodeSelector": {"kubernetes.io/os": "linux"},
            "tolerations": [{"key": "infra", "operator": "Exists"}],
            "affinity": {"nodeAffinity": {}},
            "priorityClassName": "system-cluster-critical",
            "labels": {"team": "reliability"},
            "annotations": {"example.com/runbook": "operator"},
        }
    },
}
WRONG: dict[str, tuple[Values, str, str]] = {
    "misspelt": ({"watchNamespace": ["plant"]}, "''", "additional properties 'watchNamespace' not allowed"),
    "misspelt inside": ({"image": {"operator": {"tags": "1"}}}, "/image/operator", "additional properties 'tags' not allowed"),
    "text for a number": ({"replicas": "two"}, "/replicas", "got string, want integer"),
    "no replica": ({"replicas": 0}, "/replicas", "minimum: got 0, want 1"),
    "one namespace as text": ({"watchNamespaces": "plant"}, "/watchNamespaces", "got string, want array"),
    "not a namespace": ({"watchNamespaces": ["Plant 1"]}, "/watchNamespaces/0", "does not match pattern"),
    "a namespace twice": ({"watchNamespaces": ["plant", "plant"]}, "/watchNamespaces", "items at 0 and 1 are equal"),
    "not a level": ({"logLevel": "chatty"}, "/logLevel", "value must be one of 'DEBUG', 'INFO', 'WARNING', 'ERROR'"),
    "not a digest": ({"image": {"trainer": {"digest": "latest"}}}, "/image/trainer/digest", "does not match pattern"),
    "a registry with a slash": ({"image": {"registry": "registry.example.com/"}}, "/image/registry", "does not match pattern"),
    "no account": ({"serviceAccount": {"create": False}}, "/serviceAccount/name", "minLength: got 0, want 1"),
    "a label of Helm's": ({"pod": {"labels": {"helm.sh/chart": "x"}}}, "''", "invalid propertyName 'helm.sh/chart'"),
    "a number for a label": ({"pod": {"labels": {"team": 7}}}, "/pod/labels/team", "got number, want string"),
}


def _operator(objects: list[Object]) -> Object:
    (deployment,) = of_kind(objects, "Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    return dict(container)


def _environment(objects: list[Object]) -> dict[str, str | None]:
    return {one["name"]: one.get("value") for one in _operator(objects)["env"]}


@pytest.mark.parametrize("case", SENSIBLE)
def test_lint_finds_nothing(helm: Helm, case: str) -> None:
    done = helm.run("lint", "--strict", str(CHART), values=SENSIBLE[case])
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("case", SENSIBLE)
def test_every_object_is_named_labelled_and_placed(helm: Helm, case: str) -> None:
    policies = {"ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"}
    everywhere = {"ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition", *policies}
    for one in helm.rendered(SENSIBLE[case]):
        assert one["metadata"]["labels"]["app.kubernetes.io/instance"] == "anomaly-operator"
        assert ("namespace" in one["metadata"]) == (one["kind"] not in everywhere), one["metadata"]["name"]


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_value_is_refused_and_the_answer_says_where_and_why(helm: Helm, case: str) -> None:
    values, where, why = WRONG[case]
    done = helm.run("template", "anomaly-operator", str(CHART), values=values)
    assert done.returncode != 0
    assert where in done.stderr
    assert why in done.stderr


def test_the_schema_has_every_value_and_values_yaml_a_comment_for_each() -> None:
    text = (CHART / "values.yaml").read_text(encoding="utf-8")
    schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    assert set(yaml.safe_load(text)) == set(schema["properties"]) - {"global"}
    lines = text.splitlines()
    uncommented = [line for before, line in pairwise(lines) if line[:1].isalpha() and line[-1] != ":" and before[:1] != "#"]
    assert uncommented == []


def test_images_are_the_charts_version_unless_said_otherwise(helm: Helm) -> None:
    objects = helm.rendered()
    assert _operator(objects)["image"] == "anomaly-operator/operator:0.1.0"
    environment = _environment(objects)
    assert environment["DETECTOR_IMAGE"] == "anomaly-operator/detector:0.1.0"
    assert environment["TRAINER_IMAGE"] == "anomaly-operator/trainer:0.1.0"


def test_a_registry_goes_before_every_image_and_a_digest_wins_over_a_tag(helm: Helm) -> None:
    image = {"registry": "registry.example.com/mirror", "operator": {"digest": DIGEST, "tag": "1.0"}, "detector": {"tag": "1.1"}}
    objects = helm.rendered({"image": image})
    assert _operator(objects)["image"] == f"registry.example.com/mirror/anomaly-operator/operator@{DIGEST}"
    assert _environment(objects)["DETECTOR_IMAGE"] == "registry.example.com/mirror/anomaly-operator/detector:1.1"


def test_two_releases_share_no_name(helm: Helm) -> None:
    first, second = (helm.rendered({"crds": {"install": False}}, release=name) for name in ("anomaly-operator", "north"))
    names = [{(one["kind"], one["metadata"]["name"]) for one in objects} for objects in (first, second)]
    assert names[0] & names[1] == set()


def test_one_replica_has_no_disruption_budget_that_would_block_a_drain(helm: Helm) -> None:
    assert of_kind(helm.rendered({"replicas": 1}), "PodDisruptionBudget") == []


def test_several_replicas_keep_apart_and_go_one_at_a_time(helm: Helm) -> None:
    objects = helm.rendered({"replicas": 2})
    (budget,) = of_kind(objects, "PodDisruptionBudget")
    (deployment,) = of_kind(objects, "Deployment")
    assert budget["spec"]["maxUnavailable"] == 1
    assert budget["spec"]["selector"] == deployment["spec"]["selector"]
    assert "podAntiAffinity" in deployment["spec"]["template"]["spec"]["affinity"]


def test_crds_are_kept_unless_said_otherwise(helm: Helm) -> None:
    for keep in (True, False):
        for crd in of_kind(helm.rendered({"crds": {"keep": keep}}), "CustomResourceDefinition"):
            kept = crd["metadata"].get("annotations", {}).get("helm.sh/resource-policy") == "keep"
            assert kept == keep


def test_crds_are_the_generated_ones(helm: Helm) -> None:
    from anomaly_api.crd import detector_crd, model_crd

    rendered = of_kind(helm.rendered(), "CustomResourceDefinition")
    assert [crd["spec"] for crd in rendered] == [detector_crd()["spec"], model_crd()["spec"]]


def test_a_monitor_without_the_service_is_refused_with_the_reason(helm: Helm) -> None:
    values = {"metrics": {"service": False, "serviceMonitor": {"enabled": True}}}
    done = helm.run("template", "anomaly-operator", str(CHART), values=values)
    assert "metrics.serviceMonitor.enabled needs metrics.service" in done.stderr


@pytest.mark.parametrize(
    ("namespaces", "selector"), [([], {"any": True}), (["plant", "lab"], {"matchNames": ["plant", "lab"]})], ids=["all", "some"]
)
def test_a_monitor_finds_the_services_that_detectors_have(helm: Helm, namespaces: list[str], selector: Object) -> None:
    from anomaly_operator.core import snapshot
    from anomaly_operator.core.resources import manifests
    from tests.contract.documents import example

    detector = example("shortest.yaml")
    detector["metadata"] |= {"namespace": "plant", "name": "pumps", "uid": "1"}
    values = {"metrics": {"serviceMonitor": {"enabled": True}}, "watchNamespaces": namespaces}
    _, monitor = of_kind(helm.rendered(values), "ServiceMonitor")
    assert monitor["spec"]["namespaceSelector"] == selector
    [service] = [made for made in manifests.always(snapshot.detector(detector)) if made["kind"] == "Service"]
    wanted, labels = monitor["spec"]["selector"]["matchLabels"], service["metadata"]["labels"]
    assert wanted.items() <= labels.items()
    assert monitor["spec"]["endpoints"][0]["port"] == service["spec"]["ports"][0]["name"]
    assert labels["app.kubernetes.io/instance"] == "pumps"
    source = "__meta_kubernetes_service_label_app_kubernetes_io_instance"
    assert monitor["spec"]["endpoints"][0]["relabelings"] == [{"sourceLabels": [source], "targetLabel": "detector"}]


def test_rules_speak_of_metrics_that_the_operator_has(helm: Helm) -> None:
    import prometheus_client

    from anomaly_operator.controller import telemetry

    (rules,) = of_kind(helm.rendered({"metrics": {"rules": {"enabled": True}}}), "PrometheusRule")
    alerts = [rule for group in rules["spec"]["groups"] for rule in group["rules"]]
    spoken_of = {name for alert in alerts for name in re.findall(r"anomaly_\w+", alert["expr"])}
    metrics = {one for one in vars(telemetry).values() if isinstance(one, prometheus_client.metrics.MetricWrapperBase)}
    assert spoken_of <= {family.name for metric in metrics for family in metric.describe()}
    detectors = {"AnomalyDetectorNotScoring", "AnomalyDetectorNotReady", "AnomalyDetectorNotAlerting"}
    told = {*detectors, "AnomalyDetectorStreamSilent", "AnomalyDetectorDrifted", "AnomalyOperatorAway"}
    assert {alert["alert"] for alert in alerts} == told


def test_the_dashboard_speaks_of_metrics_that_operator_and_pods_have(helm: Helm) -> None:
    import prometheus_client

    from anomaly_detector.core.health.progress import ProgressTracker
    from anomaly_detector.telemetry import Telemetry
    from anomaly_operator.controller import telemetry

    (dashboard,) = of_kind(helm.rendered({"metrics": {"dashboards": {"enabled": True}}}), "ConfigMap")
    panels = json.loads(dashboard["data"]["anomaly-detectors.json"])["panels"]
    spoken_of = {name for panel in panels for target in panel["targets"] for name in re.findall(r"anomaly_\w+", target["expr"])}
    metrics = {one for one in vars(telemetry).values() if isinstance(one, prometheus_client.metrics.MetricWrapperBase)}
    known = {sample for metric in metrics for family in metric.describe() for sample in (family.name, f"{family.name}_total")}
    pods = Telemetry(ProgressTracker()).text().decode()
    assert {name for name in spoken_of - known if f"\n{name}" not in pods} == set()


def test_a_context_of_the_platforms_own_and_further_volumes_reach_the_pod(helm: Helm) -> None:
    unset: Values = {"runAsUser": None, "runAsGroup": None, "fsGroup": None}
    authority = {"name": "authority", "configMap": {"name": "authority"}}
    more: Values = {
        "podSecurityContext": unset,
        "extraEnv": [{"name": "HTTPS_PROXY", "value": "http://proxy:3128"}],
        "extraVolumes": [authority],
        "extraVolumeMounts": [{"name": "authority", "mountPath": "/authority"}],
    }
    objects = helm.rendered({"pod": more, "workers": 9, "trainings": 2, "prometheusHosts": ["*.svc", "metrics"]})
    (deployment,) = of_kind(objects, "Deployment")
    pod = deployment["spec"]["template"]["spec"]
    assert pod["securityContext"] == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    assert authority in pod["volumes"]
    assert {"name": "authority", "mountPath": "/authority"} in _operator(objects)["volumeMounts"]
    environment = _environment(objects)
    assert (environment["HTTPS_PROXY"], environment["RECONCILE_WORKERS"]) == ("http://proxy:3128", "9")
    assert environment["MAX_TRAININGS"] == "2"
    assert environment["PROMETHEUS_HOSTS"] == "*.svc,metrics"


def test_labels_and_a_namespace_of_ones_own_are_those_of_every_object(helm: Helm) -> None:
    objects = helm.rendered({"namespaceOverride": "elsewhere", "commonLabels": {"team": "plant"}})
    assert {one["metadata"].get("namespace") for one in objects} == {None, "elsewhere"}
    unlabelled = [one["metadata"]["name"] for one in objects if one["metadata"].get("labels", {}).get("team") != "plant"]
    assert unlabelled == ["anomaly-operator-test"], "which is there for a moment"


def test_the_network_policy_lets_the_operator_ask_its_pods(helm: Helm) -> None:
    from anomaly_api.meta import HTTP_PORT, LABEL_DETECTOR

    (policy,) = of_kind(helm.rendered({"networkPolicy": {"enabled": True}}), "NetworkPolicy")
    asked = [rule for rule in policy["spec"]["egress"] if "to" in rule]
    assert [port["port"] for rule in asked for port in rule["ports"]] == [HTTP_PORT]
    assert asked[0]["to"][0]["podSelector"]["matchExpressions"][0]["key"] == LABEL_DETECTOR
    assert "from" not in policy["spec"]["ingress"][0]


def test_the_operator_understands_the_environment_that_the_chart_gives_it(helm: Helm) -> None:
    from anomaly_operator import settings

    objects = helm.rendered({"watchNamespaces": ["plant", "lab"], "logLevel": "DEBUG"}, release="north")
    given = {name: value or "from the pod" for name, value in _environment(objects).items()}
    read = settings.read(given)
    assert read.namespaces == ("plant", "lab")
    assert read.log_level == "DEBUG"
    assert read.lease == "north-anomaly-operator"
    assert read.installation.trainer_role == "north-anomaly-operator-trainer"
    assert read.installation.detector_image == "anomaly-operator/detector:0.1.0"
    assert set(given) <= set(re.findall(r"[A-Z]+(?:_[A-Z]+)+", inspect.getsource(settings))), "the chart sets what nobody reads"
