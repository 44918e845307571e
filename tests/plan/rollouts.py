"""Rollouts in the world of the plan: a detector whose next revision is compared, and pods that report on it."""

from typing import Any

from anomaly_api.comparison import PairedEvidence
from tests.plan.situations import scoring_world
from tests.plan.world import World

STEPS = [{"shadow": {"for": "10m", "windows": 100}}, {"weight": 20}, {"pause": {}}, {"weight": 50}, {"pause": {"for": "5m"}}]
ALIKE = {"both": 10, "neither": 990, "stable_episodes": 2, "candidate_episodes": 2}
WORSE = {"both": 10, "neither": 900, "only_candidate": 90, "stable_episodes": 2, "candidate_episodes": 60}


def rolling_world(steps: Any = None) -> World:
    """A detector whose second model has just become the candidate, with pods that have loaded it."""
    world = scoring_world()
    world.edit({"rollout": {"steps": STEPS if steps is None else steps}})
    world.settle()
    world.now += 100
    world.add_model("pumps-22222222", digit="2")
    act(world)
    return world


def act(world: World, **counts: int) -> None:
    """The operator acts and the pods report, until nothing changes any more."""
    for _ in range(12):
        if world.pods:
            world.report("pumps-detector-0", candidate={"paired": [PairedEvidence(window="short", **counts)]})
        if world.step().empty:
            return
    raise AssertionError(f"no rest: {world.plan}")


def ask(world: World, name: str, token: str = "1", **said: Any) -> None:
    """Somebody patches the status."""
    world.status["command"] = {"id": token, "name": name, **said}


def reasons(world: World) -> list[str]:
    return [event.reason for event in world.transitions]


def names(world: World) -> tuple[str, str | None]:
    """AnomalyModels of stable and candidate, as pods are told."""
    told = world.assignment
    return told.stable.model_name, told.candidate.model_name if told.candidate else None
