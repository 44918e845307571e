"""An operator that was rolled back finds what the newer one wrote, goes on, and puts the status right."""

from typing import Any

import pytest

from tests.plan.situations import scoring_world

FUTURE: list[dict[str, Any]] = [
    {"scaling": {"replicas": 3, "reason": "Forecast", "since": "2026-01-01T10:00:00Z"}},
    {"training": {"state": "Frobnicating", "job": "a", "gpus": 2}},
    {"conditions": [{"type": "Ready", "status": "Perhaps"}]},
    {"stable": {"revisions": ["a", "b"]}},
    {"source": {"partitions": "many"}},
    {"replicas": "3 of 4"},
]


@pytest.mark.parametrize("future", FUTURE, ids=lambda future: next(iter(future)))
def test_what_cannot_be_read_in_the_status_is_written_anew(future: dict[str, Any]) -> None:
    world = scoring_world()
    before = dict(world.status)
    world.status.update(future)
    world.settle()
    [name] = future
    written = world.status.get(name)
    if name != "conditions":
        assert written == before.get(name)
    assert world.condition("Ready") == ("True", "Ready")


def test_fields_that_only_the_newer_operator_knows_disturb_nobody() -> None:
    world = scoring_world()
    world.status["rollout"] = {"step": 2}
    world.status["stable"]["hash"] = "abc"
    world.settle()
    assert world.condition("Ready") == ("True", "Ready")
    assert world.plan.status == {}
