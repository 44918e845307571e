"""When a training is asked for, and what stays as it is meanwhile: a schedule, a word, drift, a label."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from anomaly_api.feedback import FeedbackEvidence
from anomaly_api.meta import ANNOTATION_TRAIN
from anomaly_operator.core.resources.names import JOBS
from tests.plan.rollouts import ALIKE, WORSE, act, reasons, rolling_world
from tests.plan.situations import scoring_world
from tests.plan.test_drift import OTHER, drift
from tests.plan.test_gate import REJECTED
from tests.plan.world import START, World, seen_time

HOUR, DAY = 3600.0, 86_400.0
NIGHTLY = {"training": {"schedule": "0 3 * * *", "timeZone": "Europe/Berlin"}}
DUE = 1_780_016_400.0
"""2026-05-29 03:00 in Berlin: the first time after START."""


def jobs(world: World) -> list[str]:
    return [name for kind, name in world.children if kind == JOBS]


def training(world: World) -> dict[str, Any]:
    return dict(world.status["training"])


def pass_time(world: World, seconds: float) -> None:
    world.now += seconds
    for name in world.pods:
        world.reports[name] = world.reports[name].model_copy(update={"last_scored": world.now, "last_reading": world.now})
    world.settle()


def train(world: World, digit: str, **model: Any) -> None:
    """The Job in force ends, and its model is there, which the pods take over."""
    world.add_model(f"pumps-{digit * 8}", digit=digit, **model)
    world.settle()
    world.run_pods()
    world.settle()


def asked(world: World, word: str) -> World:
    world.annotations[ANNOTATION_TRAIN] = word
    world.settle()
    return world


def nightly() -> World:
    world = scoring_world()
    world.edit(NIGHTLY)
    world.settle()
    return world


def test_a_schedule_trains_when_it_is_due_and_the_status_has_the_next_time() -> None:
    world = nightly()
    before = training(world)
    assert (before["state"], before["reason"], before["next"]) == ("Complete", "Spec", seen_time(DUE))
    pass_time(world, DUE - START - 1)
    assert training(world) == before
    pass_time(world, 1)
    assert training(world)["reason"] == "Schedule"
    assert training(world)["request"] == f"Schedule:{seen_time(DUE)}"
    assert training(world)["next"] == seen_time(DUE + DAY)
    assert jobs(world) == [training(world)["job"]] != [before["job"]]


def test_the_model_in_use_decides_until_the_new_one_is_there_and_the_detector_stays_ready() -> None:
    world = nightly()
    pass_time(world, DUE - START)
    assert world.assignment.stable.model_name == "pumps-11111111"
    assert world.condition("ModelAvailable") == ("True", "Retraining")
    assert "AnomalyModel pumps-11111111 goes on deciding" in world.message("ModelAvailable")
    assert world.condition("Ready") == ("True", "Ready")
    train(world, "2")
    assert world.status["stable"]["model"] == "pumps-22222222"
    assert world.condition("ModelAvailable") == ("True", "Trained")
    told = [event.message for event in world.events if event.reason == "TrainingStarted"]
    assert [message.split(":")[0] for message in told] == ["Spec", "Schedule"]


@pytest.mark.parametrize("days", [1, 5])
def test_what_was_missed_while_the_operator_was_away_is_made_up_for_once(days: int) -> None:
    world = nightly()
    pass_time(world, DUE - START + days * DAY + HOUR)
    assert training(world)["request"] == f"Schedule:{seen_time(DUE + days * DAY)}"
    train(world, "2")
    pass_time(world, HOUR)
    assert training(world)["state"] == "Complete"
    assert training(world)["next"] == seen_time(DUE + (days + 1) * DAY)


def test_a_schedule_that_is_set_or_changed_trains_at_its_next_time_and_not_for_those_before() -> None:
    world = nightly()
    before = training(world)["job"]
    pass_time(world, HOUR)
    world.edit({"training": {"schedule": "30 2 * * 0"}})
    world.settle()
    assert training(world)["job"] == before
    assert training(world)["next"] == "2026-05-31T00:30:00Z"
    world.edit({"training": {"schedule": None, "timeZone": None}})
    world.settle()
    assert "next" not in training(world)


def test_a_training_that_runs_is_not_overtaken_by_the_schedule() -> None:
    world = scoring_world()
    world.edit({"training": {"schedule": "*/5 * * * *"}})
    world.settle()
    pass_time(world, 300)
    begun = training(world)["request"]
    pass_time(world, 1300)
    assert training(world)["request"] == begun
    world.add_model("pumps-22222222", digit="2")
    world.step()
    assert training(world)["request"] == begun, "the new model is tried first"
    for _ in range(4):
        if world.status["stable"]["model"] != "pumps-22222222":
            world.run_pods()
            world.step()
    assert world.status["stable"]["model"] == "pumps-22222222"
    world.settle()
    assert training(world)["request"] != begun


def often() -> World:
    """A candidate in its rollout, of a detector that is to be trained every five minutes and on drift."""
    world = rolling_world()
    world.edit({"training": {"schedule": "*/5 * * * *"}, "drift": {"action": "Retrain"}})
    act(world, **ALIKE)
    assert world.status["candidate"]["model"] == "pumps-22222222"
    return world


def test_a_rollout_is_not_cut_short_by_the_schedule_which_makes_up_for_it_afterwards() -> None:
    world = often()
    world.now += 650
    act(world, **ALIKE)
    assert world.status["candidate"]["step"] == "3/5"
    assert training(world)["reason"] == "Spec"
    act(world, **WORSE)
    assert "AnalysisFailed" in reasons(world)
    assert training(world)["reason"] == "Schedule"
    assert world.assignment.stable.model_name == "pumps-11111111"


def test_drift_that_an_aborted_model_did_not_end_trains_again_after_the_interval() -> None:
    world = rolling_world()
    world.edit({"drift": {"action": "Retrain"}})
    act(world, **WORSE)
    assert world.status["aborted"]["model"] == "pumps-22222222"
    world.now += 2 * DAY
    world.run_pods(drift=drift(OTHER), entities=10)
    world.settle_quietly()
    assert training(world)["reason"] == "Drift"
    begun = training(world)["request"]
    world.add_model("pumps-33333333", digit="3", gate=REJECTED)
    act(world)
    assert training(world)["state"] == "Rejected"
    world.now += DAY
    world.run_pods(drift=drift(OTHER), entities=10)
    world.settle_quietly()
    assert training(world)["request"] != begun


def test_a_word_in_the_annotation_trains_once_whatever_else_happens() -> None:
    world = asked(scoring_world(), "monday")
    first = training(world)
    assert (first["reason"], first["request"], first["token"]) == ("Request", "Request:monday", "monday")
    train(world, "2")
    world.stats_written = 0.0  # another process
    world.settle()
    assert training(world)["state"] == "Complete"
    assert jobs(world) == [first["job"]]
    world.edit(NIGHTLY)
    world.settle()
    pass_time(world, DUE - START)
    train(world, "3")
    pass_time(world, 60)
    assert training(world)["request"] == f"Schedule:{seen_time(DUE)}"
    assert world.status["stable"]["model"] == "pumps-33333333"
    assert training(asked(world, "tuesday"))["request"] == "Request:tuesday"


def test_a_word_that_is_there_from_the_beginning_is_answered_by_the_first_training() -> None:
    world = World()
    asked(world, "now")
    assert (training(world)["reason"], training(world)["token"]) == ("Spec", "now")
    world.add_model()
    world.settle()
    assert training(world)["state"] == "Complete"


def test_a_rejected_or_failed_retraining_leaves_the_model_in_use_where_it_is() -> None:
    world = asked(scoring_world(), "monday")
    assert world.job is not None
    world.job["status"] = {"failed": 3, "conditions": [{"type": "Failed", "status": "True", "message": "no"}]}
    world.settle()
    assert world.condition("ModelAvailable") == ("True", "RetrainingFailed")
    assert world.condition("Ready") == ("True", "Ready")
    assert [event.warning for event in world.events if event.reason == "RetrainingFailed"] == [True]
    asked(world, "tuesday")
    train(world, "2", gate=REJECTED)
    assert (training(world)["state"], training(world)["request"]) == ("Rejected", "Request:tuesday")
    assert world.assignment.stable.model_name == "pumps-11111111"
    assert world.condition("ModelAvailable") == ("True", "CandidateRejected")


def test_an_edit_during_a_retraining_trains_what_the_spec_says_now() -> None:
    world = asked(scoring_world(), "monday")
    before = jobs(world)
    world.edit({"training": {"epochs": 7}})
    world.settle()
    assert training(world)["reason"] == "Spec"
    assert len(jobs(world)) == 1
    assert jobs(world) != before
    assert world.condition("ModelAvailable") == ("False", "Training")


def drifting(**spec: Any) -> World:
    world = scoring_world()
    world.edit({"drift": {"action": "Retrain"}, **spec})
    world.settle()
    world.now += 600
    world.run_pods(drift=drift(OTHER), entities=10)
    world.settle()
    return world


def test_drift_trains_where_the_spec_says_so() -> None:
    world = drifting()
    assert training(world)["reason"] == "Drift"
    assert training(world)["request"] == f"Drift:{seen_time(START + 600)}"
    pass_time(world, HOUR)
    assert training(world)["request"] == f"Drift:{seen_time(START + 600)}"


def test_drift_that_a_rejected_model_did_not_end_trains_again_after_the_interval_and_not_before() -> None:
    world = drifting(training={"minInterval": "12h"})
    world.add_model("pumps-22222222", digit="2", gate=REJECTED)
    pass_time(world, HOUR)
    assert training(world)["state"] == "Rejected"
    assert training(world)["heldUntil"] == seen_time(START + 600 + 12 * HOUR)
    pass_time(world, 11 * HOUR)
    assert training(world)["request"] == f"Drift:{seen_time(START + 600 + 12 * HOUR)}"
    assert training(world)["state"] == "Pending"


def labelled(world: World, moment: float) -> None:
    world.run_pods(feedback=FeedbackEvidence(labels=1, normal_since=moment))
    world.settle()


def test_normal_now_trains_and_more_of_it_waits_for_the_interval() -> None:
    world = scoring_world()
    world.edit({"feedback": {}})
    world.settle()
    world.now += 600
    labelled(world, world.now - 5)
    assert training(world)["request"] == f"Feedback:{seen_time(START + 595)}"
    train(world, "2")
    labelled(world, world.now - 5)
    assert training(world)["state"] == "Complete"
    world.now += HOUR
    labelled(world, world.now - 5)
    assert training(world)["heldUntil"] == seen_time(START + 600 + DAY)
    pass_time(world, DAY)
    assert training(world)["request"] == f"Feedback:{seen_time(START + 595 + HOUR)}"


def test_a_status_that_was_lost_is_known_again_by_the_newest_model() -> None:
    world = asked(scoring_world(), "monday")
    world.now += 60
    train(world, "2")
    world.status = {}
    world.settle()
    assert training(world)["request"] == "Request:monday"
    assert world.status["stable"]["model"] == "pumps-22222222"


def test_paused_nothing_is_asked_for_and_all_of_it_is_afterwards() -> None:
    world = nightly()
    world.edit({"paused": True})
    pass_time(world, DUE - START + HOUR)
    paused = copy.deepcopy(training(world))
    assert paused["next"] == seen_time(DUE)
    assert paused["reason"] == "Spec"
    world.edit({"paused": False})
    world.settle()
    assert training(world)["request"] == f"Schedule:{seen_time(DUE)}"
