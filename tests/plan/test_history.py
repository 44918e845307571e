"""Revisions on record: what is stable outlives whatever someone does to the ConfigMap of the pods."""

import json

from anomaly_api.assignment import Assignment
from anomaly_api.meta import ASSIGNMENT_FILE
from anomaly_operator.core.actions import Delete
from anomaly_operator.core.resources.names import ANNOTATION_CONTENT, CONTROLLER_REVISIONS
from tests.plan.situations import scoring_world
from tests.plan.world import SPEC, World

KEPT = 3


def records(world: World) -> dict[str, int]:
    return {name: live["revision"] for (kind, name), live in world.children.items() if kind == CONTROLLER_REVISIONS}


def waiting_for_another_model() -> World:
    """The model that decides is not the one that the spec would lead to."""
    world = scoring_world()
    world.edit({"features": [*SPEC["features"], {"name": "vibration"}]})
    world.settle()
    return world


def test_what_became_stable_is_on_record() -> None:
    world = scoring_world()
    name = f"pumps-{world.status['stable']['revision']}"
    assert world.children[CONTROLLER_REVISIONS, name]["data"] == world.assignment.stable.document()


def test_whoever_edits_what_the_pods_are_told_and_its_digest_changes_nothing_in_what_decides() -> None:
    world = waiting_for_another_model()
    before = world.assignment
    lie = Assignment(stable=before.stable.model_copy(update={"model": None, "model_name": None}))
    live = world.config("pumps-detector")
    live["data"][ASSIGNMENT_FILE] = json.dumps(lie.document())
    live["metadata"]["annotations"][ANNOTATION_CONTENT] = lie.digest
    world.settle()
    assert world.assignment == before


def test_a_record_that_is_not_what_its_name_says_is_not_believed() -> None:
    world = waiting_for_another_model()
    before = world.assignment
    name = f"pumps-{world.status['stable']['revision']}"
    world.children[CONTROLLER_REVISIONS, name]["data"] = {**before.stable.document(), "model": None}
    world.settle()
    assert world.assignment == before


def test_a_record_that_someone_deletes_is_made_again() -> None:
    world = waiting_for_another_model()
    before = records(world)
    del world.children[CONTROLLER_REVISIONS, f"pumps-{world.status['stable']['revision']}"]
    world.settle()
    assert records(world).keys() == before.keys()


def test_only_the_last_few_are_kept_and_the_stable_one_always() -> None:
    world = scoring_world()
    world.edit({"rollout": {"history": KEPT}})
    world.settle()
    first = records(world)
    for windows in range(4, 10):
        world.edit({"alerts": {"open": {"windows": windows}}})
        world.settle()
    assert len(records(world)) == KEPT
    assert f"pumps-{world.status['stable']['revision']}" in records(world)
    assert not first.keys() & records(world).keys()
    numbers = sorted(records(world).values())
    assert numbers == list(range(numbers[0], numbers[0] + KEPT))
    assert not [action for action in world.plan.actions if isinstance(action, Delete)]
