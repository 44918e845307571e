"""What others do wrong around a detector, and what it costs: pods refused, orphans, models in slots, clocks, specs, texts."""

from typing import Any

import pytest

from anomaly_api.evidence import TrainingEvidence
from anomaly_api.meta import MODEL_FILE
from anomaly_operator.core.models.slots import HASHES, plan_slots
from anomaly_operator.core.resources.diff import differs
from anomaly_operator.core.resources.names import CONFIG_MAPS, DEPLOYMENTS
from anomaly_operator.core.snapshot import ApplyError
from tests.plan.situations import scoring_world
from tests.plan.world import World, seen_time

QUOTA = 'pods "pumps-detector-6d9-" is forbidden: failed quota: team: must specify limits.cpu for: detector'
LIMITS = 'Pod "x" is invalid: maximum memory usage per Container is 1Gi, but limit is 2Gi'
ACCOUNT = (
    'pods "x-" is forbidden: error looking up service account plant/pumps-detector: serviceaccount "pumps-detector" not found'
)
UID_RANGE = "ValidatingAdmissionPolicy 'uid-range' denied request: runAsUser: must be in the ranges: [1000670000, 1000679999]"


def refuse_scoring_pods(world: World, words: str) -> None:
    live = world.children[DEPLOYMENTS, "pumps-detector"]
    failure = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": words}
    live["status"] = {"observedGeneration": 99, "conditions": [failure]}


@pytest.mark.parametrize(
    ("words", "remedy"),
    [
        (QUOTA, "LimitRange"),
        (LIMITS, "widen the LimitRange"),
        (UID_RANGE, "correct the policy"),
        (ACCOUNT, "create the ServiceAccount"),
    ],
)
def test_scoring_pods_that_the_api_server_refuses_are_told_in_its_own_words(words: str, remedy: str) -> None:
    world = World()
    world.settle()
    refuse_scoring_pods(world, words)
    world.settle()
    assert world.condition("Stalled") == ("True", "PodsRefused")
    assert world.condition("Ready") == ("False", "PodsRefused")
    assert world.condition("Scoring") == ("False", "PodsRefused")
    assert words in world.message("Stalled")
    assert remedy in world.message("Stalled")
    assert [event.warning for event in world.events if event.reason == "PodsRefused"] == [True]


def test_a_training_pod_that_the_api_server_refuses_is_told_in_its_own_words() -> None:
    world = World()
    world.settle()
    world.run_pods()
    world.pod_refusals = {f"pumps-train-{world.key}": LIMITS}
    world.settle()
    assert world.condition("ModelAvailable") == ("False", "PodsRefused")
    assert world.condition("Stalled") == ("True", "PodsRefused")
    assert LIMITS in world.message("ModelAvailable")
    assert "spec.training" in world.message("ModelAvailable")
    world.pod_refusals = {}
    world.settle()
    assert world.condition("Stalled")[0] == "False"


def test_a_child_that_cannot_be_applied_for_now_is_told_and_is_not_stalled() -> None:
    world = scoring_world()
    world.apply_error = ApplyError("ApplyFailed", "Service pumps-detector could not be applied: webhook x does not answer")
    world.settle()
    assert world.condition("Ready") == ("False", "ApplyFailed")
    assert world.condition("Reconciling")[0] == "True"
    assert world.condition("Stalled")[0] == "False"
    assert world.condition("Scoring") == ("True", "Scoring")


def test_a_spec_that_makes_no_sense_is_told_beside_everything_else_and_children_are_still_put_back() -> None:
    world = scoring_world()
    world.spec_error = "spec.alerts.suppress[night].timeZone: there is no time zone 'Europe/Atlantis'"
    del world.children[DEPLOYMENTS, "pumps-detector"]
    world.settle()
    assert (DEPLOYMENTS, "pumps-detector") in world.children
    assert world.condition("Stalled") == ("True", "InvalidSpec")
    assert world.condition("Ready") == ("False", "InvalidSpec")
    assert "Europe/Atlantis" in world.message("Ready")
    assert world.condition("ModelAvailable") == ("True", "Trained")
    assert not world.plan.ready


def test_a_model_that_was_trained_before_the_detector_was_deleted_as_an_orphan_decides_again() -> None:
    world = World()
    world.settle()
    digest = world.add_model()
    world.models["pumps-11111111"]["metadata"]["ownerReferences"] = []
    world.settle()
    assert world.assignment.stable.model == digest
    assert world.condition("ModelAvailable") == ("True", "Trained")


def test_an_orphan_of_another_name_is_not_taken() -> None:
    world = World()
    world.settle()
    world.add_model()
    world.models["pumps-11111111"]["metadata"]["ownerReferences"] = []
    world.models["pumps-11111111"]["spec"]["trained"]["detector"] = "others"
    world.settle()
    assert world.assignment.stable.model is None


@pytest.mark.parametrize(("stable", "last", "free"), [("a", "b", "b"), ("b", "a", "a")])
def test_a_new_candidate_never_takes_the_slot_of_the_stable_model(stable: str, last: str, free: str) -> None:
    world = scoring_world()
    first = world.assignment.stable.model
    second, third = world.add_model("two", digit="2"), world.add_model("three", digit="3")
    for letter, digest in ((stable, first), (last, second)):
        world.children.setdefault((CONFIG_MAPS, f"pumps-model-{letter}"), {"metadata": {}})[HASHES] = {MODEL_FILE: digest}
    snapshot = world.snapshot
    models = {model.spec.digest: model for model in snapshot.models.values()}
    planned = plan_slots(snapshot, {first: models[first], third: models[third]})
    assert [(copy.slot, copy.digest) for copy in planned.copies] == [(free, third)]
    assert planned.artifacts[first].split("/")[-2] == stable


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_clock_that_is_an_hour_off_does_not_hold_pods_for_just_started(hours: int) -> None:
    world = scoring_world()
    world.report("pumps-detector-0", last_scored=None, last_reading=world.now - 1, windows=0)
    world.pods["pumps-detector-0"]["metadata"]["creationTimestamp"] = seen_time(world.now + hours * 3600)
    world.settle()
    assert world.condition("Scoring") == ("False", "NotScoring")


def test_a_container_whose_node_has_a_clock_that_is_ahead_is_as_old_as_its_pod() -> None:
    world = scoring_world()
    running = {"name": "detector", "image": "x", "ready": True, "state": {"running": {"startedAt": seen_time(world.now + 3600)}}}
    world.pods["pumps-detector-0"]["status"]["containerStatuses"] = [running]
    world.now += 120
    world.report("pumps-detector-0", last_scored=None, windows=0)
    world.settle()
    assert world.condition("Scoring") == ("False", "NotScoring")


@pytest.mark.parametrize("text", ["12e4567890123456", "1e999999999", "9" * 40, "0e0e0", "", "m", "1E5000Gi"])
def test_digests_that_look_like_numbers_are_compared_as_text(text: str) -> None:
    assert differs({"annotation": text}, {"annotation": "other"})
    assert not differs({"annotation": text}, {"annotation": text})


@pytest.mark.parametrize("state", ["Waiting", "Training"])
def test_a_message_of_the_trainer_has_a_bound_in_the_status(state: Any) -> None:
    world = World()
    world.settle()
    labels = {"anomaly-operator.dev/component": "trainer", "batch.kubernetes.io/job-name": f"pumps-train-{world.key}"}
    metadata = {"name": "trainer-1", "labels": labels, "creationTimestamp": seen_time(world.now)}
    world.pods["trainer-1"] = {"metadata": metadata, "status": {"phase": "Running", "podIP": "10.0.0.2"}}
    world.trainer = TrainingEvidence(pod="trainer-1", state=state, message="x" * 100_000)
    world.settle()
    assert len(world.status["training"]["message"]) <= 2000
