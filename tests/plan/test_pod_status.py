"""Conditions and figures that come from what pods and their state report."""

from typing import Any

import pytest

from anomaly_api.evidence import (
    FeatureEvidence,
    MemoryEvidence,
    PresenceEvidence,
)
from anomaly_operator.core.desired_state import desired_state
from anomaly_operator.core.snapshot import ApplyError
from tests.plan.situations import scoring_world
from tests.plan.world import World


def test_a_feature_that_readings_lack_is_told_within_a_minute_with_the_field_that_came_in_its_place() -> None:
    world = scoring_world()
    world.now += 120
    lacking = {"name": "temperature", "field": "sensors.temperature", "lacking": 470, "seen": 900, "likely": "sensors.temp"}

    def says(**facts: Any) -> tuple[str, str]:
        feature = FeatureEvidence(**(lacking | {"last_seen": world.now - 31} | facts))
        world.report("pumps-detector-0", presence=PresenceEvidence(sampled=960, features=[feature]))
        world.settle()
        return world.condition("Scoring")

    assert says() == ("False", "FeatureMissing")
    assert "49% of the last minute's readings lack the feature temperature" in world.message("Scoring")
    assert "sensors.temp, which is new" in world.message("Scoring")
    assert world.condition("Ready") == ("False", "FeatureMissing")
    assert any(event.reason == "FeatureMissing" and event.warning for event in world.events)
    assert says(likely="") == ("False", "FeatureMissing"), "nobody sends it any more"
    assert says(last_seen=world.now - 1) == ("False", "FeatureMissing"), "half of the producers have been upgraded"
    assert says(last_seen=world.now - 1, lacking=50) == ("True", "Scoring"), "few lack it"
    assert says(last_seen=world.now - 1, likely="") == ("True", "Scoring"), "it is sent now and then"
    assert says(last_seen=world.now - 31, likely="", seen=10) == ("True", "Scoring"), "it is sent seldom"
    assert says(last_seen=None, likely="", seen=0) == ("False", "FeatureMissing"), "it never came"


def test_entities_that_are_forgotten_while_they_are_active_are_told_with_what_to_set() -> None:
    world = scoring_world()
    memory = MemoryEvidence(capacity=120, evicted={"Budget": 900, "Idle": 3}, recently_cut_off=60)
    world.now += 31
    world.report("pumps-detector-0", entities=118, memory=memory)
    world.settle()
    assert world.condition("Scoring") == ("False", "MemoryBudgetExceeded")
    assert "memoryBudget 256Mi has room for about 120 entities" in world.message("Scoring")
    assert world.status["memory"] == {"entities": 118, "capacity": 120, "evicted": 900, "expired": 3}
    world.report("pumps-detector-0", entities=118, memory=memory.model_copy(update={"recently_cut_off": 0}))
    world.settle()
    assert world.condition("Scoring") == ("True", "Scoring")


def test_the_pods_are_told_what_they_may_remember_in_plain_numbers() -> None:
    world = World()
    world.edit({"memoryBudget": "0.25Gi", "entity": {"key": {}, "expireAfter": "1d"}})
    runtime = desired_state(world.snapshot, world.now).runtime
    assert (runtime.memory_budget, runtime.expire_after) == (268_435_456, "1d")


def test_figures_alone_are_written_every_five_minutes_at_most() -> None:
    world = scoring_world()
    for _ in range(29):
        world.now += 10
        world.report("pumps-detector-0")
        assert world.plan.empty
    world.now += 10
    world.report("pumps-detector-0")
    assert set(world.plan.status) == {"source"}


@pytest.mark.parametrize(
    ("container", "reason", "stalled", "said"),
    [
        (
            {"state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such tag"}}},
            "ImagePullFailed",
            "True",
            "no such tag",
        ),
        (
            {"state": {"waiting": {"reason": "CreateContainerConfigError", "message": 'secret "s3" not found'}}},
            "ContainerNotCreated",
            "True",
            'secret "s3" not found',
        ),
        (
            {
                "restartCount": 4,
                "state": {"waiting": {"reason": "CrashLoopBackOff"}},
                "lastState": {"terminated": {"exitCode": 1, "message": "runtime.json is not there"}},
            },
            "PodsCrashing",
            "False",
            "runtime.json is not there",
        ),
        (
            {"restartCount": 1, "state": {}, "lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}},
            "PodsCrashing",
            "False",
            "raise resources.limits.memory",
        ),
    ],
)
def test_a_pod_that_does_not_run_is_named_with_the_reason(
    container: dict[str, Any], reason: str, stalled: str, said: str
) -> None:
    world = scoring_world()
    world.reports.clear()
    pod = world.pods["pumps-detector-0"]
    pod["status"] = {"phase": "Pending", "containerStatuses": [{"name": "detector", "image": "example/detector:1", **container}]}
    world.settle()
    assert world.condition("Ready") == ("False", reason)
    assert world.condition("Stalled")[0] == stalled
    assert "pumps-detector-0" in world.message("Ready")
    assert said in world.message("Ready")


def test_a_pod_that_finds_no_node_is_told() -> None:
    world = scoring_world()
    world.reports.clear()
    unscheduled = {"type": "PodScheduled", "status": "False", "message": "0/1 nodes are available: insufficient memory"}
    world.pods["pumps-detector-0"]["status"] = {"phase": "Pending", "conditions": [unscheduled]}
    world.settle()
    assert world.condition("Scoring") == ("False", "Unschedulable")


def test_pods_that_cannot_be_asked_are_not_called_healthy() -> None:
    world = scoring_world()
    world.reports.clear()
    world.now += 120
    world.settle()
    assert world.condition("Scoring") == ("Unknown", "EvidenceUnavailable")
    assert world.condition("Ready")[0] == "False"


def test_a_refused_child_is_told() -> None:
    world = scoring_world()
    world.apply_error = ApplyError("ChildRefused", "Deployment pumps-detector was refused by the API server: quota exceeded")
    world.settle()
    assert world.condition("Stalled") == ("True", "ChildRefused")
    assert "quota exceeded" in world.message("Ready")
