"""Old models go, and never one that somebody may still need."""

from typing import Any

import pytest

from anomaly_operator.core.actions import Delete
from anomaly_operator.core.resources.names import MODELS
from tests.plan.situations import scoring_world
from tests.plan.test_gate import REJECTED
from tests.plan.world import World, seen_time


def with_old_models(count: int, **metadata: Any) -> World:
    """A detector that scores, and models of earlier trainings; the first of them has this metadata, too."""
    world = scoring_world()
    for number in range(count):
        name = f"pumps-old-{number:02}"
        world.add_model(name, key="before", digit=f"{number % 6 + 2}")
        world.models[name]["metadata"] |= {"creationTimestamp": seen_time(world.now - 10_000 + number), "uid": f"uid-{name}"}
    if metadata:
        world.models["pumps-old-00"]["metadata"] |= metadata
    return world


def deleted(world: World) -> list[str]:
    return [action.name for action in world.plan.actions if isinstance(action, Delete) and action.kind == MODELS]


def test_the_newest_ten_stay_and_older_ones_go() -> None:
    assert deleted(with_old_models(9)) == []
    assert deleted(with_old_models(12)) == ["pumps-old-00", "pumps-old-01", "pumps-old-02"]


def test_one_is_deleted_as_it_was_when_it_was_decided() -> None:
    world = with_old_models(10, resourceVersion="42")
    [action] = [action for action in world.plan.actions if isinstance(action, Delete)]
    assert (action.uid, action.version) == ("uid-pumps-old-00", "42")


@pytest.mark.parametrize(
    "metadata",
    [
        {"annotations": {"anomaly-operator.dev/keep": "true"}},
        {"ownerReferences": [{"kind": "AnomalyDetector", "uid": "uid-of-another", "name": "others"}]},
        {"ownerReferences": []},
        {"deletionTimestamp": "2026-01-01T00:00:00Z"},
    ],
)
def test_what_is_pinned_or_of_somebody_else_stays(metadata: dict[str, Any]) -> None:
    assert "pumps-old-00" not in deleted(with_old_models(12, **metadata))


def test_the_model_that_decides_stays_however_old_it_is() -> None:
    world = with_old_models(12)
    world.models["pumps-11111111"]["metadata"]["creationTimestamp"] = seen_time(world.now - 20_000)
    assert "pumps-11111111" not in deleted(world)


def test_what_another_detector_uses_or_names_stays() -> None:
    world = with_old_models(12)
    world.models["pumps-old-01"]["status"] = {"usedBy": ["others"]}
    world.models_referred = frozenset({"pumps-old-00"})
    assert deleted(world) == ["pumps-old-02"]


def test_the_model_that_the_gate_rejected_last_stays_or_it_would_be_trained_again() -> None:
    world = scoring_world()
    world.models["pumps-11111111"]["spec"]["trained"]["gate"] = REJECTED
    world.models["pumps-11111111"]["metadata"]["creationTimestamp"] = seen_time(world.now - 20_000)
    for number in range(12):
        world.add_model(f"pumps-old-{number:02}", key="before", digit="2", gate=REJECTED)
    found = deleted(world)
    assert "pumps-11111111" not in found
    assert found == ["pumps-old-00", "pumps-old-01"]
