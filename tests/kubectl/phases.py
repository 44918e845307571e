"""Detectors in every phase, as the real `plan` leaves their status: what trees are drawn of, and what GitOps tools judge."""

from collections.abc import Callable
from typing import Any, Final

from anomaly_api.crd import NOT_OBSERVED
from anomaly_api.evidence import RevisionFailure, SourceState
from tests.plan.rollouts import ALIKE, WORSE, act, rolling_world
from tests.plan.situations import scoring_world
from tests.plan.world import START, World, seen_time

Document = dict[str, Any]


def new() -> World:
    """Applied; the operator has not seen it."""
    return World()


def waiting_for_data() -> World:
    world = World()
    world.settle()
    world.run_pods()
    world.settle()
    return world


def ready() -> World:
    return scoring_world()


def edited() -> World:
    """Ready, and the spec has changed since."""
    world = scoring_world()
    world.edit({"threshold": {"value": 2.0}})
    return world


def degraded() -> World:
    """The model cannot be used: the statistical scorer decides."""
    world = scoring_world()
    world.report("pumps-detector-0", failure=RevisionFailure.SCORING_FAILED)
    world.settle()
    return world


def blocked() -> World:
    """The topic is not there."""
    world = scoring_world()
    world.report("pumps-detector-0", state=SourceState.TOPIC_NOT_FOUND)
    world.settle()
    return world


def paused() -> World:
    world = scoring_world()
    world.edit({"paused": True})
    world.settle()
    world.pods, world.reports = {}, {}
    world.settle()
    return world


def _candidate() -> World:
    world = rolling_world()
    act(world, **ALIKE)
    return world


def shadowed() -> World:
    """A candidate scores beside stable and decides nothing."""
    world = _candidate()
    world.now += 60
    act(world, **ALIKE)
    return world


def weighted() -> World:
    """A candidate decides a share of the entities, in a pause without an end before it."""
    world = rolling_world([{"shadow": {"for": "10m", "windows": 100}}, {"weight": 20}, {"pause": {"for": "1h"}}])
    act(world, **ALIKE)
    world.now += 700
    act(world, **ALIKE)
    return world


def asking() -> World:
    """The rollout waits until someone says go."""
    world = _candidate()
    world.now += 700
    act(world, **ALIKE)
    return world


def aborted() -> World:
    """The candidate was certainly worse."""
    world = _candidate()
    world.now += 60
    act(world, **WORSE)
    return world


STORIES: Final[dict[str, Callable[[], World]]] = {
    "new": new,
    "waiting": waiting_for_data,
    "ready": ready,
    "edited": edited,
    "degraded": degraded,
    "blocked": blocked,
    "paused": paused,
    "shadowed": shadowed,
    "weighted": weighted,
    "asking": asking,
    "aborted": aborted,
}


def detector(world: World) -> Document:
    """As the API server has it."""
    metadata = {
        "namespace": "plant",
        "name": "pumps",
        "uid": "uid-1",
        "generation": world.generation,
        "creationTimestamp": seen_time(START),
    }
    document = {
        "apiVersion": "anomaly-operator.dev/v1alpha1",
        "kind": "AnomalyDetector",
        "metadata": metadata,
        "spec": world.spec,
    }
    return {**document, "status": world.status or NOT_OBSERVED}
