"""Situations that tests of the plan start from, and what a plan applies."""

from typing import Any

from anomaly_operator.core.actions import Apply
from anomaly_operator.core.resources.names import (
    CONTROLLER_REVISIONS,
    kind_of,
)
from tests.plan.world import World, seen_time


def scoring_world() -> World:
    """A detector that scores with a trained model."""
    world = World()
    world.settle()
    world.add_model()
    world.settle()
    world.run_pods()
    world.settle()
    assert world.condition("Ready") == ("True", "Ready")
    return world


def applied(world: World) -> list[str]:
    """Kind and name of what is applied, but for records of revisions, which have tests of their own."""
    manifests = [action.manifest for action in applies(world) if kind_of(action.manifest) != CONTROLLER_REVISIONS]
    return [f"{kind_of(manifest).kind} {manifest['metadata']['name']}" for manifest in manifests]


def applies(world: World) -> list[Apply]:
    return [action for action in world.plan.actions if isinstance(action, Apply)]


def trainer_pod(world: World, **status: Any) -> None:
    labels = {"anomaly-operator.dev/component": "trainer", "batch.kubernetes.io/job-name": f"pumps-train-{world.key}"}
    world.pods["trainer-1"] = {
        "metadata": {"name": "trainer-1", "labels": labels, "creationTimestamp": seen_time(world.now)},
        "status": status,
    }


def referring() -> World:
    world = World()
    world.edit({"model": {"modelRef": {"name": "brought"}}})
    return world
