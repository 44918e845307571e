"""Objects that belong to a detector: made, kept as planned, removed with what no longer needs them."""

import json
from typing import Any

import pytest

from anomaly_api.meta import ANNOTATION_RUNTIME, LABEL_DETECTOR, TRAINING_ENV
from anomaly_operator.core import snapshot as seen
from anomaly_operator.core.actions import Delete, FillSlot
from anomaly_operator.core.resources.names import (
    CONFIG_MAPS,
    DEPLOYMENTS,
    JOBS,
    ROLE_BINDINGS,
    SERVICE_ACCOUNTS,
    SERVICES,
    kind_of,
)
from tests.plan.situations import applied, applies, scoring_world
from tests.plan.world import SPEC, World


def test_a_new_detector_gets_all_its_children_and_the_fallback_scorer() -> None:
    world = World()
    assert applied(world) == [
        "ServiceAccount pumps-detector",
        "Service pumps-detector",
        "PodDisruptionBudget pumps-detector",
        "ServiceAccount pumps-trainer",
        "RoleBinding pumps-trainer",
        "ConfigMap pumps-detector",
        "Deployment pumps-detector",
        f"Job pumps-train-{world.key}",
    ]
    world.settle()
    assert world.assignment.stable.model is None
    assert world.condition("Ready") == ("False", "Training")
    assert world.condition("Reconciling") == ("True", "Training")


def test_every_child_belongs_to_the_detector_and_to_nobody_else() -> None:
    for action in applies(World()):
        metadata = action.manifest["metadata"]
        assert metadata["labels"][LABEL_DETECTOR] == "pumps"
        assert [(owner["uid"], owner["controller"]) for owner in metadata["ownerReferences"]] == [("uid-1", True)]


def test_pods_pass_the_restricted_level() -> None:
    pods = [
        action.manifest["spec"]["template"]["spec"]
        for action in applies(World())
        if kind_of(action.manifest) in (DEPLOYMENTS, JOBS)
    ]
    assert len(pods) == 2
    for pod in pods:
        assert pod["securityContext"]["runAsNonRoot"]
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["enableServiceLinks"] is False
        for container in pod["containers"]:
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
            assert container["securityContext"]["readOnlyRootFilesystem"]
            assert container["securityContext"]["allowPrivilegeEscalation"] is False
    assert [pod["automountServiceAccountToken"] for pod in pods] == [False, True]


def test_the_trainer_is_told_what_to_do_in_one_variable() -> None:
    world = World()
    world.settle()
    assert world.job is not None
    environment = {each["name"]: each.get("value") for each in world.job["spec"]["template"]["spec"]["containers"][0]["env"]}
    order = json.loads(environment[TRAINING_ENV])
    assert (order["job"], order["kafka"]["topic"]) == (f"pumps-train-{world.key}", "pump-readings")


def test_an_edit_of_the_source_replaces_the_pods() -> None:
    world = scoring_world()
    before = world.children[DEPLOYMENTS, "pumps-detector"]["spec"]["template"]["metadata"]["annotations"][ANNOTATION_RUNTIME]
    world.edit({"source": {"kafka": {"groupId": "another"}}})
    world.settle()
    after = world.children[DEPLOYMENTS, "pumps-detector"]["spec"]["template"]["metadata"]["annotations"][ANNOTATION_RUNTIME]
    assert before != after


def test_statistical_trains_nothing_and_takes_the_trainers_rights_away() -> None:
    world = World()
    world.settle()
    world.edit({"model": {"statistical": {}}})
    world.settle()
    left = {kind for kind, name in world.children if "train" in name}
    assert left == set()
    assert world.condition("ModelAvailable") == ("True", "NotNeeded")


def test_paused_stops_pods_and_training() -> None:
    world = World()
    world.settle()
    world.edit({"paused": True})
    world.settle()
    assert world.children[DEPLOYMENTS, "pumps-detector"]["spec"]["replicas"] == 0
    assert world.job is None
    assert world.condition("Ready") == ("False", "Paused")
    assert world.condition("Stalled")[0] == "False"
    assert [event.warning for event in world.events if event.reason == "Paused"] == [False]
    world.edit({"paused": False})
    world.settle()
    assert world.children[DEPLOYMENTS, "pumps-detector"]["spec"]["replicas"] == 1
    assert world.job is not None


def test_of_two_with_one_group_the_younger_runs_nothing_and_says_who_has_it() -> None:
    world = World()
    document = {"metadata": {"namespace": "other", "name": "elder", "uid": "uid-0"}, "spec": SPEC}
    world.group_members = (seen.detector(document),)
    world.settle()
    assert world.children[DEPLOYMENTS, "pumps-detector"]["spec"]["replicas"] == 0
    assert world.job is None
    assert world.condition("Stalled") == ("True", "GroupConflict")
    assert "other/elder" in world.message("Ready")


def test_replicas_that_an_autoscaler_owns_are_left_alone() -> None:
    world = scoring_world()
    live = world.children[DEPLOYMENTS, "pumps-detector"]
    live["spec"]["replicas"], live["scaledBy"] = 5, "kube-controller-manager"
    world.autoscaled = True
    world.step()
    assert "replicas" not in world.children[DEPLOYMENTS, "pumps-detector"]["spec"]


def test_replicas_that_a_person_set_are_put_back() -> None:
    world = scoring_world()
    world.children[DEPLOYMENTS, "pumps-detector"]["spec"]["replicas"] = 5
    assert applied(world) == ["Deployment pumps-detector"]


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        (DEPLOYMENTS, lambda live: live["spec"]["template"]["spec"]["containers"][0].update(image="evil:1")),
        (SERVICES, lambda live: live["spec"].update(selector={"a": "b"})),
        (CONFIG_MAPS, lambda live: live["data"].update({"assignment.json": "{}"})),
        (SERVICE_ACCOUNTS, lambda live: live.pop("automountServiceAccountToken")),
        (CONFIG_MAPS, lambda live: live["metadata"].update(labels={})),
        (CONFIG_MAPS, lambda live: live["metadata"].update(ownerReferences=[])),
    ],
)
def test_a_child_that_someone_edits_is_put_back(kind: Any, change: Any) -> None:
    world = scoring_world()
    before = world.assignment
    change(world.children[kind, "pumps-detector"])
    assert applied(world) == [f"{kind.kind} pumps-detector"]
    world.settle()
    assert world.assignment == before


def test_a_model_slot_that_someone_edits_is_filled_again() -> None:
    world = scoring_world()
    world.children[CONFIG_MAPS, "pumps-model-a"]["binaryDataDigests"] = {"model.tar": "sha256:else"}
    before = world.assignment
    assert [action.manifest["metadata"]["name"] for action in world.plan.actions if isinstance(action, FillSlot)] == [
        "pumps-model-a"
    ]
    world.settle()
    assert world.assignment == before


def test_what_others_add_is_theirs() -> None:
    world = scoring_world()
    live = world.children[DEPLOYMENTS, "pumps-detector"]
    live["metadata"]["annotations"]["theirs"] = "yes"
    live["spec"]["template"]["spec"]["containers"].append({"name": "sidecar"})
    assert world.plan.empty


def test_a_binding_to_another_role_is_made_anew() -> None:
    world = scoring_world()
    world.children[ROLE_BINDINGS, "pumps-trainer"]["roleRef"]["name"] = "cluster-admin"
    assert [action.kind for action in world.plan.actions if isinstance(action, Delete)] == [ROLE_BINDINGS]
