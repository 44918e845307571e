"""How many pods are asked for: from lag and idleness, within bounds, at a pace, and never against somebody else."""

from __future__ import annotations

from typing import Any

import pytest

from anomaly_operator.core.actions import Apply
from anomaly_operator.core.resources.names import DEPLOYMENTS
from anomaly_operator.core.scaling import DOWN_AFTER, UP_AFTER
from tests.plan.world import World

DEPLOYMENT = (DEPLOYMENTS, "pumps-detector")


def world(**scaling: Any) -> World:
    made = World()
    made.edit({"scaling": scaling, "model": {"statistical": {}}})
    made.settle()
    return made


def replicas(world: World) -> int:
    return int(world.children[DEPLOYMENT]["spec"]["replicas"])


def reports(world: World, count: int, *, lag: float = 0.0, busy: float = 0.5, partitions: int = 24, recovering: int = 0) -> None:
    """So many pods run, share the partitions and say this."""
    world.reports.clear()
    world.run_pods(count)
    for number, name in enumerate(list(world.reports)):
        said = world.reports[name]
        mine = partitions // count + (number < partitions % count)
        source = said.source.model_copy(update={"partitions": mine, "lag_seconds": lag, "recovering": recovering})
        world.reports[name] = said.model_copy(update={"source": source, "busy": busy})


def add_after(world: World, seconds: float, **said: Any) -> int:
    """Replicas after so long, if the pods that are wanted have said this."""
    world.now += seconds
    reports(world, said.pop("count", replicas(world)), **said)
    world.settle()
    return replicas(world)


def test_without_a_maximum_the_number_is_fixed_whatever_the_lag() -> None:
    fixed = world(minReplicas=2)
    assert add_after(fixed, 3600, lag=9999.0, busy=1.0) == 2
    assert "scaling" not in fixed.status


def test_further_behind_than_asked_there_are_twice_as_many_pods_once_a_minute() -> None:
    lagging = world(minReplicas=1, maxReplicas=8, maxLag="20s")
    assert add_after(lagging, UP_AFTER - 1, lag=21.0, busy=1.0) == 1, "it has just begun"
    assert add_after(lagging, 2, lag=20.0, busy=1.0) == 1, "as far behind as it may be"
    assert add_after(lagging, 1, lag=21.0, busy=1.0) == 2
    assert lagging.status["scaling"]["reason"] == "Lag"
    assert add_after(lagging, UP_AFTER - 1, lag=80.0, busy=1.0) == 2, "the rebalance is hardly over"
    assert add_after(lagging, 1, lag=80.0, busy=1.0) == 4
    told = [event.message for event in lagging.events if event.reason == "ScaledUp"]
    assert [message.split(":")[0] for message in told] == ["2 pods instead of 1", "4 pods instead of 2"]


@pytest.mark.parametrize(("most", "partitions", "reached"), [(5, 24, 5), (8, 6, 6)])
def test_there_are_never_more_pods_than_allowed_or_than_partitions(most: int, partitions: int, reached: int) -> None:
    lagging = world(maxReplicas=most)
    found = [add_after(lagging, UP_AFTER, lag=999.0, busy=1.0, partitions=partitions) for _ in range(6)]
    assert max(found) == found[-1] == reached


def test_fewer_pods_that_would_keep_up_are_enough_after_five_minutes() -> None:
    idle = world(minReplicas=2, maxReplicas=8)
    assert add_after(idle, UP_AFTER, lag=999.0, busy=1.0) == 4
    assert add_after(idle, DOWN_AFTER - 1, busy=0.4) == 4
    assert add_after(idle, 1, busy=0.46) == 4, "three would work six tenths of the time"
    assert add_after(idle, 1, busy=0.4) == 3
    assert idle.status["scaling"]["reason"] == "Idle"
    assert add_after(idle, DOWN_AFTER, busy=0.1) == 2
    assert add_after(idle, DOWN_AFTER, busy=0.0) == 2, "that is the minimum"


def test_idle_pods_stay_while_the_stream_is_behind() -> None:
    waiting = world(minReplicas=1, maxReplicas=8, maxLag="30s")
    assert add_after(waiting, UP_AFTER, lag=999.0, busy=1.0) == 2
    assert add_after(waiting, DOWN_AFTER, lag=16.0, busy=0.0) == 2


@pytest.mark.parametrize("said", [{"count": 1}, {"recovering": 3}])
def test_while_a_pod_is_missing_or_reads_up_nothing_is_changed(said: dict[str, int]) -> None:
    moving = world(maxReplicas=8)
    assert add_after(moving, UP_AFTER, lag=999.0, busy=1.0) == 2
    assert add_after(moving, UP_AFTER, lag=999.0, busy=1.0, **said) == 2


def test_while_a_pod_does_not_answer_nothing_is_changed() -> None:
    silent = world(maxReplicas=8)
    silent.now += UP_AFTER
    reports(silent, 1, lag=999.0)
    silent.reports.clear()
    silent.settle()
    assert replicas(silent) == 1


def test_new_bounds_hold_at_once() -> None:
    bounded = world(minReplicas=1, maxReplicas=8)
    assert add_after(bounded, UP_AFTER, lag=999.0, busy=1.0) == 2
    bounded.edit({"scaling": {"minReplicas": 3}})
    bounded.settle()
    assert (replicas(bounded), bounded.status["scaling"]["reason"]) == (3, "Bounds")
    bounded.edit({"scaling": {"minReplicas": 1, "maxReplicas": None}})
    bounded.settle()
    assert replicas(bounded) == 1
    assert "scaling" not in bounded.status


def test_an_autoscaler_that_sets_the_replicas_has_the_say() -> None:
    owned = world(minReplicas=1, maxReplicas=8)
    live = owned.children[DEPLOYMENT]
    live["spec"]["replicas"], live["scaledBy"] = 5, "keda-operator"
    owned.autoscaled = True
    reports(owned, 5, lag=999.0, busy=1.0)
    owned.now += UP_AFTER
    todo = owned.plan
    assert todo.status["scaling"] is None
    [applied] = [action.manifest for action in todo.actions if isinstance(action, Apply)]
    assert "replicas" not in applied["spec"]


@pytest.mark.parametrize("manager", ["keda-operator", "kube-controller-manager"])
def test_once_the_autoscaler_is_deleted_the_spec_has_the_say_again(manager: str) -> None:
    """What it wrote into the managed fields stays."""
    left = world(minReplicas=1, maxReplicas=3)
    left.children[DEPLOYMENT]["spec"]["replicas"], left.children[DEPLOYMENT]["scaledBy"] = 5, manager
    left.step()
    assert replicas(left) == 1


def test_after_an_autoscaler_the_operator_goes_on_from_its_number() -> None:
    left = world(minReplicas=1, maxReplicas=8)
    del left.status["scaling"]
    left.children[DEPLOYMENT]["spec"]["replicas"] = 5
    left.settle()
    assert (replicas(left), left.status["scaling"]["reason"]) == (5, "Begun")


def test_paused_it_runs_nothing_and_remembers_how_many_there_were() -> None:
    paused = world(minReplicas=1, maxReplicas=8)
    assert add_after(paused, UP_AFTER, lag=999.0, busy=1.0) == 2
    paused.edit({"paused": True})
    paused.settle()
    assert replicas(paused) == 0
    paused.edit({"paused": False})
    paused.settle()
    assert replicas(paused) == 2


@pytest.mark.parametrize("work", [0.1, 0.9, 1.7, 4.2, 7.4])
def test_a_steady_stream_gets_as_many_pods_as_it_needs_and_then_is_left_alone(work: float) -> None:
    """`work`: how many pods are kept busy by it. Half a minute a step, two hours and a half, from ten minutes behind."""
    steady = world(minReplicas=1, maxReplicas=16, maxLag="30s")
    lag, counts = 600.0, []
    for _ in range(300):
        count = replicas(steady)
        lag = max(0.0, lag + 30.0 * (1 - count / work))
        add_after(steady, 30.0, lag=lag, busy=1.0 if lag else min(1.0, work / count))
        counts.append(count)
    assert counts[-1] >= work
    assert set(counts[-60:]) == {counts[-1]}, "the last half hour"
    assert counts[-1] <= max(1.0, work / 0.6) + 1


def test_what_an_autoscaler_sets_counts_beside_the_users_own_bounds() -> None:
    scaled = world(minReplicas=2)
    scaled.edit({"replicas": 5})
    assert add_after(scaled, 60) == 5
    scaled.edit({"replicas": 1})
    assert add_after(scaled, 60) == 2, "the user's minimum"
