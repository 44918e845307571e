"""No training Job before there is data for it, and no waiting for ever where nobody can say whether there is."""

from __future__ import annotations

from typing import Any

from anomaly_operator.core.snapshot import TrainingRoom
from tests.plan.situations import scoring_world
from tests.plan.world import World


def waiting(**told: Any) -> World:
    """A new detector whose pods have said what they know."""
    world = World(patience=120.0)
    world.settle()
    world.run_pods(**told)
    world.settle()
    return world


def training(world: World) -> dict[str, Any]:
    return dict(world.status["training"])


def test_with_too_few_readings_no_job_is_made_and_figures_and_a_time_are_told() -> None:
    world = waiting(stored=462, entities=2, recent_readings=60, readings=40)
    assert world.job is None
    told = training(world)
    assert (told["state"], told["windows"], told["needed"], told["readings"]) == ("WaitingForData", 440, 1000, 462)
    assert world.condition("ModelAvailable") == ("False", "WaitingForData")
    assert "440 windows, and 1,000 are needed: there will be in about 9 min" in world.message("ModelAvailable")
    assert world.condition("Stalled")[0] == "False"
    assert world.plan.training.value == "none", "it takes nobody's place"


def test_what_the_topic_held_before_the_pods_started_counts() -> None:
    world = waiting(stored=50_000, entities=0, readings=0)
    assert world.job is not None


def test_what_a_topic_keeps_only_for_a_short_time_counts_once_the_pods_have_read_enough() -> None:
    world = waiting(stored=500, entities=3, readings=900)
    assert world.job is None
    world.run_pods(stored=500, entities=3, readings=1100)
    world.settle()
    assert world.job is not None


def test_without_readings_the_message_says_that_none_come() -> None:
    world = waiting(stored=0, recent_readings=0, readings=0)
    assert "at most 0 windows, and 1,000 are needed: none come now" in world.message("ModelAvailable")


def test_pods_that_cannot_say_are_waited_for_a_while_and_no_longer() -> None:
    world = World(patience=120.0)
    world.settle()
    assert world.job is None
    world.run_pods()
    world.now += 119
    world.settle()
    assert world.job is None
    assert training(world)["message"] == "the scoring pods are asked how much data there is"
    world.now += 1
    world.settle()
    assert world.job is not None


def test_pods_that_are_replaced_during_the_wait_are_given_time_too() -> None:
    world = waiting(stored=500)
    world.now += 7200
    world.run_pods()
    world.settle()
    assert world.job is None


def test_files_have_their_data_at_once() -> None:
    world = World(patience=120.0)
    world.edit({"training": {"data": {"files": ["s3://history/pumps.parquet"]}}})
    world.settle()
    assert world.job is not None


def test_a_training_for_which_there_is_no_room_is_queued_with_its_place_and_one_that_waits_for_data_is_not() -> None:
    world = World(room=TrainingRoom(limit=2, running=2, ahead=4))
    world.settle()
    assert world.job is None
    assert (training(world)["state"], training(world)["place"]) == ("Queued", 5)
    assert world.condition("ModelAvailable") == ("False", "TrainingQueued")
    assert "number 5 of those that wait" in world.message("ModelAvailable")
    assert [event.reason for event in world.events if "Training" in event.reason] == ["TrainingQueued"]
    world.room = TrainingRoom(limit=2, running=1, ahead=0)
    world.settle()
    assert world.job is not None
    assert "place" not in training(world)


def test_a_queued_retraining_leaves_the_detector_ready() -> None:
    world = scoring_world()
    world.room = TrainingRoom(limit=1, running=1)
    world.annotations["anomaly-operator.dev/train"] = "monday"
    world.settle()
    assert training(world)["state"] == "Queued"
    assert world.condition("Ready") == ("True", "Ready")
    assert world.condition("ModelAvailable") == ("True", "Retraining")
