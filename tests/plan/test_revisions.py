"""Which model and which settings pods score with after a training, an edit or a loss of settings."""

from typing import Any

import pytest

from anomaly_operator.core.actions import Apply, Delete, FillSlot, RefreshMounts
from anomaly_operator.core.resources.names import (
    CONFIG_MAPS,
)
from tests.plan.situations import applied, scoring_world
from tests.plan.world import SPEC, World


def test_a_trained_model_becomes_stable_at_once_without_touching_the_deployment() -> None:
    world = World()
    world.settle()
    world.run_pods()
    world.settle()
    digest = world.add_model()
    world.step()  # on record
    assert world.step().status["stable"]["model"] == "pumps-11111111"
    actions = world.plan.actions
    assert [type(action) for action in actions[:3]] == [FillSlot, Apply, RefreshMounts]
    assert applied(world) == ["ConfigMap pumps-detector"]
    world.settle()
    assert world.assignment.stable.model == digest
    assert world.assignment.artifacts == {digest: "/var/lib/anomaly-models/a/model.tar"}


def test_until_pods_have_taken_a_model_over_the_detector_is_not_ready() -> None:
    world = World()
    world.settle()
    world.run_pods()
    world.settle()
    world.add_model()
    world.settle()
    assert world.condition("Ready") == ("False", "Assigning")
    world.report("pumps-detector-0")
    world.settle()
    assert world.condition("Ready") == ("True", "Ready")


def test_the_next_model_goes_to_the_other_slot() -> None:
    world = scoring_world()
    world.now += 100
    digest = world.add_model("pumps-22222222", digit="2")
    world.settle()
    assert world.assignment.artifacts == {digest: "/var/lib/anomaly-models/b/model.tar"}


def test_a_pod_that_has_the_assignment_is_not_nudged() -> None:
    world = scoring_world()
    world.pods["pumps-detector-0"]["metadata"].pop("annotations", None)
    assert world.plan.empty


@pytest.mark.parametrize(
    "edit",
    [
        {"alerts": {"open": {"windows": 7}}},
        {"threshold": {"budget": None, "quantile": 0.95}},
        {"fallback": {"standardDeviations": 5.0}},
    ],
)
def test_an_edit_of_the_policy_is_a_new_revision_with_the_same_model(edit: dict[str, Any]) -> None:
    world = scoring_world()
    before = world.assignment.stable
    world.edit(edit)
    assert applied(world) == []
    world.step()  # on record
    world.step()  # in the status
    assert applied(world) == ["ConfigMap pumps-detector"]
    world.settle()
    assert world.assignment.stable.model == before.model
    assert world.assignment.stable.name != before.name
    assert world.condition("ModelAvailable") == ("True", "Trained")


def test_while_another_model_is_trained_the_old_revision_goes_on_with_its_pipeline() -> None:
    world = scoring_world()
    before = world.assignment.stable
    world.edit({"features": [*SPEC["features"], {"name": "vibration"}]})
    world.settle()
    assert world.assignment.stable == before
    assert world.condition("Ready") == ("False", "Training")
    digest = world.add_model("pumps-33333333", digit="3")
    world.settle()
    assert world.assignment.stable.model == digest
    assert len(world.assignment.stable.pipeline.features) == 3


@pytest.mark.parametrize("edited", [True, False])
def test_a_revision_that_goes_on_survives_that_someone_takes_its_settings_away(edited: bool) -> None:
    world = scoring_world()
    before = world.assignment
    world.edit({"features": [*SPEC["features"], {"name": "vibration"}]})
    world.settle()
    if edited:
        world.config("pumps-detector")["data"]["assignment.json"] = "{}"
    else:
        del world.children[CONFIG_MAPS, "pumps-detector"]
    world.settle()
    assert world.assignment == before


def test_without_a_model_a_new_pipeline_takes_over_at_once() -> None:
    world = World()
    world.settle()
    world.edit({"features": [*SPEC["features"], {"name": "vibration"}]})
    world.settle()
    assert len(world.assignment.stable.pipeline.features) == 3
    assert world.assignment.stable.model is None


def test_an_edit_that_changes_what_is_trained_replaces_the_running_job() -> None:
    world = World()
    world.settle()
    before = world.key
    world.edit({"training": {"epochs": 7}})
    assert [action.name for action in world.plan.actions if isinstance(action, Delete)] == [f"pumps-train-{before}"]
    world.settle()
    assert world.job is not None
    assert world.job["metadata"]["name"] == f"pumps-train-{world.key}" != f"pumps-train-{before}"


@pytest.mark.parametrize(
    "edit",
    [
        {"training": {"backoffLimit": 5}},
        {"alerts": {"open": {"windows": 3}}},
        {"pod": {"labels": {"a": "b"}}},
        {"time": {"lateness": "10s"}},
    ],
)
def test_an_edit_that_does_not_leaves_the_job_alone(edit: dict[str, Any]) -> None:
    world = World()
    world.settle()
    world.edit(edit)
    assert not [action for action in world.plan.actions if isinstance(action, Delete)]
    assert not [name for name in applied(world) if name.startswith("Job")]


def test_how_long_readings_are_waited_for_changes_without_another_training() -> None:
    world = scoring_world()
    before = world.assignment.stable
    world.edit({"time": {"lateness": "10s"}})
    world.settle()
    after = world.assignment.stable
    assert (after.model, after.pipeline.time.lateness) == (before.model, "10s")
    assert after.name != before.name
