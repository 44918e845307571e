"""What follows from the gate's judgement of a new model: it decides, or what decided before goes on."""

from __future__ import annotations

import json
from typing import Any

from anomaly_api.meta import STABLE_FOLDER, TRAINING_ENV
from anomaly_operator.core.resources.names import JOBS
from tests.plan.situations import applies, scoring_world
from tests.plan.world import World

REJECTED = {
    "verdict": "Rejected",
    "reason": "MissesFaults",
    "message": "it finds 120 of 300 put-in faults, and AnomalyModel pumps-11111111 finds 270",
}
ACCEPTED = {"verdict": "Accepted", "reason": "NotWorse", "message": "it finds 271 of 300 put-in faults"}
NOT_JUDGED = {"verdict": "NotJudged", "reason": "TooLittleData", "message": "60 held-out windows are too few to judge by"}


def retrained(gate: dict[str, Any]) -> World:
    """A detector that scores, for which a second model was trained."""
    world = scoring_world()
    world.edit({"training": {"seed": 2}})
    world.settle()
    world.now += 60
    world.add_model("pumps-22222222", digit="2", gate=gate)
    world.settle()
    world.run_pods()
    world.settle()
    return world


def accepted(world: World, name: str) -> tuple[str, str]:
    [condition] = [each for each in world.models[name]["status"]["conditions"] if each["type"] == "Accepted"]
    return condition["status"], condition["reason"]


def test_a_model_that_the_gate_accepts_becomes_stable() -> None:
    world = retrained(ACCEPTED)
    assert world.status["stable"]["model"] == "pumps-22222222"
    assert accepted(world, "pumps-22222222") == ("True", "NotWorse")


def test_a_rejected_model_never_decides_and_the_last_one_goes_on() -> None:
    world = retrained(REJECTED)
    assert world.status["stable"]["model"] == "pumps-11111111"
    assert world.assignment.stable.model_name == "pumps-11111111"
    assert world.condition("ModelAvailable") == ("True", "CandidateRejected")
    assert "pumps-11111111 goes on deciding: AnomalyModel pumps-22222222 was rejected" in world.message("ModelAvailable")
    assert "it finds 120 of 300" in world.message("ModelAvailable")
    assert world.condition("Ready") == ("True", "Ready")
    assert accepted(world, "pumps-22222222") == ("False", "MissesFaults")


def test_a_rejection_is_told_as_a_warning_once() -> None:
    world = retrained(REJECTED)
    told = [event for event in world.events if event.reason == "CandidateRejected"]
    assert [(event.warning, "pumps-22222222 was rejected" in event.message) for event in told] == [(True, True)]


def test_after_a_rejection_nothing_is_trained_again_and_the_status_says_so() -> None:
    world = retrained(REJECTED)
    assert [manifest for manifest in applies(world) if manifest.manifest["kind"] == "Job"] == []
    assert world.status["training"]["state"] == "Rejected"
    assert "it finds 120 of 300" in world.status["training"]["message"]


def test_without_another_model_the_statistical_scorer_goes_on_and_people_must_act() -> None:
    world = World()
    world.settle()
    world.add_model(gate=REJECTED)
    world.settle()
    world.run_pods()
    world.settle()
    assert world.assignment.stable.model is None
    assert world.condition("ModelAvailable") == ("False", "CandidateRejected")
    assert world.condition("Stalled") == ("True", "CandidateRejected")
    assert "training.gate.mode: Audit" in world.message("ModelAvailable")


def test_a_model_of_older_features_goes_on_when_that_of_the_new_ones_is_rejected_and_people_must_act() -> None:
    world = scoring_world()
    world.edit({"features": [{"name": "temperature"}, {"name": "flow"}]})
    world.settle()
    world.add_model("pumps-22222222", digit="2", gate=REJECTED)
    world.settle()
    assert world.assignment.stable.model_name == "pumps-11111111"
    assert world.condition("ModelAvailable") == ("False", "CandidateRejected")


def test_audit_lets_a_rejected_model_in_without_another_training() -> None:
    world = retrained(REJECTED)
    before = world.key
    world.edit({"training": {"gate": {"mode": "Audit"}}})
    world.settle()
    assert world.key == before
    assert world.status["stable"]["model"] == "pumps-22222222"
    assert accepted(world, "pumps-22222222") == ("True", "Audited")


def test_a_model_that_could_not_be_judged_is_used() -> None:
    world = retrained(NOT_JUDGED)
    assert world.status["stable"]["model"] == "pumps-22222222"
    assert accepted(world, "pumps-22222222") == ("Unknown", "TooLittleData")


def test_a_training_gets_the_model_in_use_by_a_mounted_config_map() -> None:
    world = scoring_world()
    world.edit({"training": {"seed": 2}, "threshold": {"quantile": 0.99}})
    [job] = [each.manifest for each in applies(world) if each.manifest["kind"] == "Job"]
    pod = job["spec"]["template"]["spec"]
    [container] = pod["containers"]
    order = json.loads(next(each["value"] for each in container["env"] if each["name"] == TRAINING_ENV))
    assert order["stable"]["name"] == "pumps-11111111"
    assert order["threshold"] == {"quantile": 0.99}
    assert {"name": "stable", "configMap": {"name": "pumps-11111111", "optional": True}} in pod["volumes"]
    assert {"name": "stable", "mountPath": STABLE_FOLDER, "readOnly": True} in container["volumeMounts"]


def test_the_first_training_is_compared_with_no_model_in_use() -> None:
    world = World()
    world.settle()
    job = next(live for (kind, _), live in world.children.items() if kind == JOBS)
    assert "stable" not in [volume["name"] for volume in job["spec"]["template"]["spec"]["volumes"]]
