"""What users may choose about the pods, and what they may not."""

from typing import Any

import pytest

from anomaly_operator.core.actions import Apply
from anomaly_operator.core.resources.names import DEPLOYMENTS, JOBS, ROLE_BINDINGS, SERVICE_ACCOUNTS
from tests.plan.world import World

CONFIG_MAP = {"name": "ca", "configMap": {"name": "ca"}}
TWICE = [{"name": "ca", "mountPath": "/a", "subPath": "a"}, {"name": "ca", "mountPath": "/b", "subPath": "b"}]


def made(pod: dict[str, Any] | None = None, training: dict[str, Any] | None = None) -> World:
    world = World()
    world.edit({"pod": pod or {}, "training": {"pod": training or {}}})
    world.settle()
    return world


def scoring(world: World) -> dict[str, Any]:
    found: dict[str, Any] = world.children[DEPLOYMENTS, "pumps-detector"]["spec"]["template"]["spec"]
    return found


def trainer(world: World) -> dict[str, Any]:
    found: dict[str, Any] = world.children[JOBS, f"pumps-train-{world.key}"]["spec"]["template"]["spec"]
    return found


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("nodeSelector", {"pool": "streaming"}),
        ("tolerations", [{"key": "streaming", "operator": "Exists"}]),
        ("affinity", {"nodeAffinity": {}}),
        ("priorityClassName", "streaming"),
    ],
)
def test_training_pods_are_scheduled_as_scoring_pods_unless_the_spec_says_otherwise(field: str, value: Any) -> None:
    world = made({field: value})
    assert scoring(world)[field] == trainer(world)[field] == value
    other: Any = "batch" if isinstance(value, str) else type(value)()
    apart = made({field: value}, {field: other})
    assert scoring(apart)[field] == value
    assert trainer(apart).get(field) == (other or None)


def test_environment_and_volumes_come_beside_the_operators_own() -> None:
    env = [{"name": "HTTPS_PROXY", "value": "http://proxy:3128"}]
    world = made({"env": env, "envFrom": [{"configMapRef": {"name": "p"}}], "volumes": [CONFIG_MAP], "volumeMounts": TWICE})
    for pod in (scoring(world), trainer(world)):
        [container] = pod["containers"]
        names = [each["name"] for each in container["env"]]
        assert names[:2] == ["POD_NAME", "HTTPS_PROXY"]
        assert container["envFrom"] == [{"configMapRef": {"name": "p"}}]
        assert CONFIG_MAP in pod["volumes"]
        assert container["volumeMounts"][-2:] == TWICE


def test_a_volume_that_is_mounted_twice_is_no_difference() -> None:
    world = made({"volumes": [CONFIG_MAP], "volumeMounts": TWICE})
    assert not [action for action in world.plan.actions if isinstance(action, Apply)]


def test_pods_are_spread_among_their_like() -> None:
    constraint = {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}
    named = {**constraint, "labelSelector": {"matchLabels": {"team": "a"}}}
    first, second = scoring(made({"topologySpreadConstraints": [constraint, named]}))["topologySpreadConstraints"]
    own = {"anomaly-operator.dev/detector": "pumps", "anomaly-operator.dev/component": "detector"}
    assert first == {**constraint, "labelSelector": {"matchLabels": own}}
    assert second == named


def test_the_accounts_that_the_operator_makes_have_the_annotations_of_workload_identity() -> None:
    both = made({"serviceAccountAnnotations": {"role": "pumps"}})
    accounts = [both.children[SERVICE_ACCOUNTS, name]["metadata"] for name in ("pumps-detector", "pumps-trainer")]
    assert [account["annotations"]["role"] for account in accounts] == ["pumps", "pumps"]
    apart = made({"serviceAccountAnnotations": {"role": "pumps"}}, {"serviceAccountAnnotations": {"role": "training"}})
    assert apart.children[SERVICE_ACCOUNTS, "pumps-trainer"]["metadata"]["annotations"]["role"] == "training"


def test_the_scoring_pods_account_is_never_given_the_trainers_rights() -> None:
    world = made({"serviceAccountName": "mine"})
    assert (scoring(world)["serviceAccountName"], trainer(world)["serviceAccountName"]) == ("mine", "pumps-trainer")
    other = made({"serviceAccountName": "mine"}, {"serviceAccountName": "training"})
    assert trainer(other)["serviceAccountName"] == "training"
    [subject] = other.children[ROLE_BINDINGS, "pumps-trainer"]["subjects"]
    assert subject["name"] == "training"


def test_the_platform_may_choose_the_user_that_is_never_root() -> None:
    fixed, chosen = made(), made({"userId": "Platform"})
    for pod in (scoring, trainer):
        assert pod(fixed)["securityContext"]["runAsUser"] == 65532
        security = pod(chosen)["securityContext"]
        assert security == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}


def test_the_pull_policy_is_of_both_images() -> None:
    world = made({"imagePullPolicy": "Always"})
    assert [pod(world)["containers"][0]["imagePullPolicy"] for pod in (scoring, trainer)] == ["Always", "Always"]
    assert "imagePullPolicy" not in scoring(made())["containers"][0]


def test_where_a_training_pod_runs_is_no_reason_to_train_again() -> None:
    world = made()
    before = world.key
    world.edit({"training": {"pod": {"nodeSelector": {"pool": "batch"}}}})
    assert world.key == before
