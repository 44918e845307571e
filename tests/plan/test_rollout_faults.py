"""Rollouts while pods crash, or find no node."""

from tests.plan.rollouts import ALIKE, act, ask, names, rolling_world
from tests.plan.situations import scoring_world
from tests.plan.world import World


def crash(world: World) -> None:
    """All pods crash, and report nothing."""
    ended = {"lastState": {"terminated": {"exitCode": 139, "reason": "Error", "message": "segmentation fault"}}}
    for pod in world.pods.values():
        pod["status"] |= {"containerStatuses": [{"restartCount": 3, "ready": False, **ended}]}
    world.reports.clear()


def test_when_all_pods_begin_to_crash_the_candidate_is_taken_away() -> None:
    world = rolling_world()
    crash(world)
    world.step()
    assert world.status["aborted"]["reason"] == "CandidateFailed"
    assert "segmentation fault" in world.status["aborted"]["message"]


def test_what_decides_and_crashes_never_holds_up_its_fix() -> None:
    world = scoring_world()
    world.edit({"rollout": {"steps": [{"shadow": {}}]}})
    world.settle()
    crash(world)
    world.now += 100
    world.add_model("pumps-22222222", digit="2")
    world.settle()
    assert names(world) == ("pumps-22222222", None)


def test_a_pod_that_finds_no_node_holds_no_rollout_up() -> None:
    world = rolling_world([{"shadow": {"for": "10s", "windows": 1}}, {"pause": {}}])
    world.pods["pumps-detector-9"] = {
        "metadata": {"name": "pumps-detector-9", "labels": {"anomaly-operator.dev/component": "detector"}},
        "status": {"phase": "Pending"},
    }
    world.now += 10
    act(world, **ALIKE)
    assert world.status["candidate"]["step"] == "2/2"


def test_undo_does_not_go_back_to_a_revision_whose_model_is_gone() -> None:
    world = rolling_world([])
    world.add_model("pumps-33333333", digit="3")
    world.settle()  # its slot was the first one's
    del world.models["pumps-11111111"]
    ask(world, "Undo", to=world.status["history"][2]["revision"])
    world.settle()
    assert world.status["commandHandled"]["accepted"] is False
    assert names(world)[0] == "pumps-33333333"
