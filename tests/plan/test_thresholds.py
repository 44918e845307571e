"""Thresholds in the loop, as the plan has them: what is realised is told, moves the threshold, survives restarts, is undone."""

from __future__ import annotations

from typing import Any

import pytest

from anomaly_api.exposure import PER_DOUBLING, ExposureEvidence, PeakCounts, WindowExposure
from tests.plan.situations import scoring_world
from tests.plan.world import World

DAY = 86400.0
MODEL = f"sha256:{'1' * 64}"


def counted(world: World, episodes: int, days: float, *, since: float = 1.0, revision: str = "") -> ExposureEvidence:
    peaks = PeakCounts.of({-PER_DOUBLING + place: 3 * episodes for place in range(2 * PER_DOUBLING)})
    exposure = WindowExposure(
        window="short", episodes=episodes, squares=episodes, hours=24 * 14, entity_seconds=days * DAY, peaks=peaks
    )
    name = revision or world.status["stable"]["revision"]
    return ExposureEvidence(revision=name, model=MODEL, since=since, windows=[exposure])


def later(world: World, days: float, **told: Any) -> None:
    """So many days later, pods tell this."""
    world.now += days * DAY
    world.run_pods(1, exposure=told["exposure"])
    world.settle()


def threshold(world: World) -> dict[str, Any]:
    [told] = world.status["thresholds"]
    return dict(told)


@pytest.fixture
def flooded() -> World:
    """One a week was asked for, twenty came."""
    world = scoring_world()
    later(world, 8, exposure=counted(world, 60, 21))
    return world


def test_what_is_realised_is_in_the_status_with_its_interval() -> None:
    world = scoring_world()
    later(world, 0.1, exposure=counted(world, 3, 21))
    told = threshold(world)["realised"]
    assert (told["rate"], told["episodes"], told["entitySeconds"]) == (1.0, 3, 21 * DAY)
    assert told["low"] < 1 < told["high"]
    assert "move" not in threshold(world)


def test_a_budget_that_is_certainly_missed_moves_the_threshold_as_a_revision_with_its_reason(flooded: World) -> None:
    [first] = flooded.models.values()
    move = threshold(flooded)["move"]
    assert (move["reason"], move["moves"]) == ("TooManyAlerts", 1)
    assert 1 < move["factor"] <= 1.5
    assert "20 false episodes an entity in 1w" in move["message"]
    [decides] = flooded.assignment.stable.thresholds
    assert decides.live == move["factor"]
    assert flooded.status["stable"]["revision"] == flooded.assignment.stable.name
    assert [event.reason for event in flooded.events].count("ThresholdMoved") == 1
    assert first["spec"]["digest"] == MODEL


def test_it_moves_once_for_what_was_counted_and_goes_on_from_there(flooded: World) -> None:
    before = threshold(flooded)
    later(flooded, 3, exposure=counted(flooded, 0, 0.0, since=2.0))
    assert threshold(flooded)["move"] == before["move"]
    later(flooded, 3, exposure=counted(flooded, 60, 21, since=2.0))
    after = threshold(flooded)
    assert after["move"]["moves"] == 2
    assert after["value"] > before["value"]


def test_counts_of_pods_that_are_gone_and_of_operators_that_restart_stay_and_are_not_doubled() -> None:
    world = scoring_world()
    later(world, 0.1, exposure=counted(world, 1, 7))
    later(world, 0.01, exposure=counted(world, 2, 14))  # the same instance, further on
    later(world, 0.01, exposure=counted(world, 1, 7, since=2.0))  # its process began anew
    assert threshold(world)["realised"]["entitySeconds"] == 21 * DAY
    world.pods, world.reports = {}, {}
    world.now += 400
    world.step()
    world.stats_written = 0.0
    world.step()
    assert threshold(world)["realised"]["episodes"] == 3
    assert world.status["exposure"]["settled"][0]["episodes"] == 3


def test_what_is_told_of_another_revision_counts_nowhere() -> None:
    world = scoring_world()
    later(world, 8, exposure=counted(world, 60, 21, revision="deadbeef"))
    assert "realised" not in threshold(world)
    assert "move" not in threshold(world)


def test_what_is_realised_is_told_of_every_kind_of_threshold_and_moves_budgets_only() -> None:
    world = scoring_world()
    world.edit({"threshold": {"budget": None, "quantile": 0.995}})
    world.settle()
    later(world, 8, exposure=counted(world, 60, 21))
    told = threshold(world)
    assert told["realised"]["rate"] == 20.0
    assert told["expectedEpisodes"] > 0
    assert "move" not in told


@pytest.mark.parametrize(
    "edit",
    [
        {"threshold": {"budget": {"episodes": 2, "per": "1w"}}},
        {"threshold": {"budget": {"maxFactor": 1}}},
        {"threshold": {"budget": None, "quantile": 0.995}},
        {"threshold": {"budget": None, "value": 0.7}},
    ],
)
def test_a_spec_that_asks_for_something_else_undoes_the_move(flooded: World, edit: dict[str, Any]) -> None:
    flooded.edit(edit)
    flooded.settle()
    assert "move" not in threshold(flooded)
    assert flooded.assignment.stable.thresholds[0].live is None
    later(flooded, 8, exposure=counted(flooded, 600, 21, since=3.0))
    moved = threshold(flooded).get("move")
    assert (moved is not None) == (edit["threshold"].get("budget") == {"episodes": 2, "per": "1w"})


def test_a_budget_that_is_missed_where_the_threshold_may_not_move_is_told() -> None:
    world = scoring_world()
    world.edit({"threshold": {"budget": {"maxFactor": 1}}})
    world.settle()
    later(world, 8, exposure=counted(world, 60, 21))
    assert "maxFactor lets the threshold go no further" in threshold(world)["realised"]["missed"]
    assert "move" not in threshold(world)


def test_another_model_begins_where_its_own_held_out_part_says(flooded: World) -> None:
    digest = flooded.add_model("pumps-22222222", digit="2")
    flooded.now += 1
    flooded.models["pumps-22222222"]["metadata"]["creationTimestamp"] = "2027-01-01T00:00:00Z"
    flooded.settle()
    assert flooded.assignment.stable.model == digest
    assert "move" not in threshold(flooded)
    assert flooded.status["exposure"]["model"] == digest
    assert not flooded.status["exposure"].get("earlier")


def test_figures_alone_are_no_reason_to_write_within_five_minutes() -> None:
    world = scoring_world()
    later(world, 0.1, exposure=counted(world, 3, 21))
    world.now += 1
    world.run_pods(1, exposure=counted(world, 3, 22))
    assert not world.plan.status


def test_a_budget_of_the_fleet_follows_the_number_of_entities_in_steps() -> None:
    world = scoring_world()
    for model in world.models.values():
        model["spec"]["calibration"][0]["entities"] = 10
    world.edit({"threshold": {"budget": {"episodes": 5, "per": "1d", "of": "Fleet"}}})
    world.settle()

    def of(entities: int, readings: int = 10**6) -> tuple[int, float]:
        world.run_pods(1, entities=entities, readings=readings)
        world.settle()
        return threshold(world)["entities"], threshold(world)["value"]

    assert of(10)[0] == of(14)[0] == 10
    assert of(100)[0] == 100
    assert of(149)[0] == of(70)[0] == 100
    assert of(5, readings=100)[0] == 100  # they have only begun to tell
    few, value = of(50)
    assert few == 50
    assert of(400)[1] > value
