"""The training Job, what it reports, and models that are referred to."""

from anomaly_api.evidence import (
    RevisionFailure,
    TrainingEvidence,
)
from anomaly_operator.core.actions import Delete
from anomaly_operator.core.resources.names import (
    JOBS,
)
from tests.plan.situations import referring, scoring_world, trainer_pod
from tests.plan.world import START, World, seen_time


def test_too_little_data_says_how_much_there_is_and_how_much_is_needed() -> None:
    world = World()
    world.settle()
    trainer_pod(world, phase="Running", podIP="10.0.0.2")
    world.trainer = TrainingEvidence(
        pod="trainer-1", state="Waiting", windows=420, readings=500, needed=1000, reason="TooLittleData"
    )
    world.settle()
    assert world.condition("ModelAvailable") == ("False", "WaitingForData")
    assert "420 windows (500 readings), 1000 windows are needed" in world.message("ModelAvailable")
    assert (world.status["training"]["windows"], world.status["training"]["needed"]) == (420, 1000)
    assert world.condition("Stalled")[0] == "False"


def test_figures_of_a_wait_are_written_now_and_then_only() -> None:
    world = World()
    world.settle()
    world.run_pods()
    trainer_pod(world, phase="Running", podIP="10.0.0.2")
    world.trainer = TrainingEvidence(pod="trainer-1", state="Waiting", windows=420, readings=500, needed=1000)
    world.settle()
    world.now += 5
    world.trainer = world.trainer.model_copy(update={"windows": 430})
    world.report("pumps-detector-0")
    assert world.plan.empty
    world.now += 60
    world.report("pumps-detector-0")
    assert world.plan.status["training"] == {"windows": 430}


def test_a_failed_training_tells_its_last_words_and_stalls() -> None:
    world = World()
    world.settle()
    ended = {"exitCode": 1, "message": "field sensors.flow is missing in every reading", "finishedAt": seen_time(START)}
    trainer_pod(world, phase="Failed", containerStatuses=[{"name": "trainer", "image": "x", "state": {"terminated": ended}}])
    assert world.job is not None
    world.job["status"] = {"failed": 3, "conditions": [{"type": "Failed", "status": "True", "message": "BackoffLimitExceeded"}]}
    world.settle()
    assert world.condition("Stalled") == ("True", "TrainingFailed")
    assert "field sensors.flow is missing in every reading" in world.message("ModelAvailable")
    assert f"delete Job pumps-train-{world.key}" in world.message("ModelAvailable")
    assert world.status["training"]["attempts"] == 3


def test_between_two_attempts_the_reason_of_the_last_is_told() -> None:
    world = World()
    world.settle()
    ended = {"exitCode": 1, "message": "broker kafka:9092 does not answer", "finishedAt": seen_time(START)}
    trainer_pod(world, phase="Failed", containerStatuses=[{"name": "trainer", "image": "x", "state": {"terminated": ended}}])
    assert world.job is not None
    world.job["status"] = {"failed": 1}
    world.settle()
    assert world.condition("ModelAvailable") == ("False", "TrainingRetrying")
    assert "broker kafka:9092 does not answer" in world.message("ModelAvailable")
    assert world.condition("Reconciling")[0] == "True"


def test_a_model_that_someone_deletes_is_trained_again() -> None:
    world = scoring_world()
    world.models.clear()
    assert world.job is not None
    done = {"type": "Complete", "status": "True", "lastTransitionTime": seen_time(world.now)}
    world.job["status"] = {"conditions": [done]}
    before = world.assignment.stable
    world.now += 120
    world.report("pumps-detector-0")
    assert [action.kind for action in world.plan.actions if isinstance(action, Delete)] == [JOBS]
    world.step()
    assert world.assignment.stable == before
    world.settle()
    assert world.job is not None


def test_models_of_another_order_or_another_detector_are_not_taken() -> None:
    world = World()
    world.settle()
    world.add_model(key="000000000000")
    world.add_model("pumps-22222222")
    world.models["pumps-22222222"]["metadata"]["ownerReferences"][0]["uid"] = "someone-else"
    world.settle()
    assert world.assignment.stable.model is None


def test_a_model_that_does_not_exist_is_named() -> None:
    world = referring()
    world.settle()
    assert world.condition("Stalled") == ("True", "ModelNotFound")
    assert "AnomalyModel brought" in world.message("Ready")
    assert world.job is None


def test_a_model_that_is_referred_to_decides() -> None:
    world = referring()
    digest = world.add_model("brought", key="")
    world.settle()
    assert world.assignment.stable.model == digest
    assert world.models["brought"]["status"]["usedBy"] == ["pumps"]
    world.edit({"model": {"modelRef": None, "statistical": {}}})
    world.settle()
    assert world.models["brought"]["status"]["usedBy"] == []


def test_a_model_for_other_features_is_refused_with_both_lists() -> None:
    world = referring()
    world.add_model("brought", key="", features=["speed"])
    world.settle()
    assert world.condition("ModelAvailable") == ("False", "InterfaceMismatch")
    assert "speed" in world.message("ModelAvailable")
    assert "temperature, pressure" in world.message("ModelAvailable")


def test_an_artifact_with_another_digest_stalls_and_marks_the_model() -> None:
    world = scoring_world()
    world.report("pumps-detector-0", failure=RevisionFailure.DIGEST_MISMATCH)
    world.settle()
    assert world.condition("ModelAvailable") == ("False", "DigestMismatch")
    assert world.condition("Stalled") == ("True", "DigestMismatch")
    assert world.condition("Scoring")[0] == "True"
    assert world.models["pumps-11111111"]["status"]["conditions"][0]["status"] == "False"


def test_a_model_is_verified_when_pods_have_loaded_it() -> None:
    world = scoring_world()
    assert world.models["pumps-11111111"]["status"]["conditions"][0]["status"] == "True"
