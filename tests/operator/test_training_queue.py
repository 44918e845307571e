"""The queue of trainings: who waits for whom, and who is told when there is room. Then the same on a real API server."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anomaly_api.meta import ANNOTATION_TRAIN
from anomaly_operator.core.training.queue import Rank, Standing, TrainingQueue
from tests.effort import examples
from tests.operator.running import Plant, Process, eventually

RUNNING, WAITING, NONE = Standing.RUNNING, Standing.WAITING, Standing.NONE


def ranked(name: str, model_age: float = 0.0, created: float = 0.0) -> Rank:
    return Rank(model_age, created, ("plant", name))


def test_those_without_a_model_come_first_then_the_oldest_model_then_the_oldest_detector() -> None:
    queue = TrainingQueue(1)
    queue.settle(("plant", "busy"), RUNNING)
    waiting = [ranked("new-model", 200, 1), ranked("old-model", 100, 9), ranked("young", 0, 8), ranked("old", 0, 7)]
    for each in waiting:
        queue.settle(each.key, WAITING, each)
    assert [queue.room(each).ahead for each in waiting] == [3, 2, 1, 0]
    assert not any(queue.room(each).free for each in waiting)
    assert queue.settle(("plant", "busy"), NONE) == [("plant", "old")]
    assert [queue.room(each).free for each in waiting] == [False, False, False, True]


def test_without_a_limit_nobody_waits() -> None:
    queue = TrainingQueue(None)
    for number in range(10):
        assert queue.room(ranked(str(number))).free
        queue.settle(("plant", str(number)), RUNNING)


@given(st.integers(1, 3), st.lists(st.tuples(st.integers(0, 7), st.booleans()), max_size=60))
@examples(60)
def test_never_more_than_the_limit_run_and_nobody_waits_while_there_is_room(limit: int, story: list[tuple[int, bool]]) -> None:
    """Detectors ask for a training, and end it or give it up; who is told of room is looked at again, as the reconciler does."""
    queue, wants, runs = TrainingQueue(limit), set[int](), set[int]()

    def look(number: int) -> None:
        own = ranked(str(number), model_age=number % 3)
        if number in wants and number not in runs and queue.room(own).free:
            runs.add(number)
        standing = RUNNING if number in runs else WAITING if number in wants else NONE
        for _, name in queue.settle(own.key, standing, own):
            look(int(name))

    for number, asks in story:
        (wants.add if asks else wants.discard)(number)
        if not asks:
            runs.discard(number)
        look(number)
        assert len(runs) <= limit
        assert len(runs) == min(limit, len(wants))
        assert (queue.running, queue.waiting) == (len(runs), len(wants) - len(runs))


def jobs(plant: Plant) -> list[str]:
    return sorted(str(job["metadata"]["labels"]["anomaly-operator.dev/detector"]) for job in plant.list("jobs"))


def state(plant: Plant, name: str) -> dict[str, Any]:
    return dict((plant.get("anomalydetector", name) or {}).get("status", {}).get("training", {}))


@pytest.mark.integration
def test_of_three_detectors_one_trains_and_the_next_follows_when_it_leaves_also_after_a_restart(plant: Plant) -> None:
    first = plant.operator(MAX_TRAININGS="1")
    plant.detector("one")
    eventually(lambda: jobs(plant) == ["one"])
    for name in ("two", "three"):
        plant.detector(name)
        plant.says("ModelAvailable", "TrainingQueued", name)
    assert jobs(plant) == ["one"]
    assert {state(plant, name)["place"] for name in ("two", "three")} == {1, 2}
    queued = {each["involvedObject"]["name"] for each in plant.list("events") if each["reason"] == "TrainingQueued"}
    assert queued == {"two", "three"}
    assert first.metric("anomaly_operator_trainings_queued") == 2
    first.end()
    second = plant.operator(MAX_TRAININGS="1")
    eventually(lambda: second.metric("anomaly_operator_reconciles_total") >= 3)
    assert jobs(plant) == ["one"]
    plant.kubectl("delete", "anomalydetector", "one")
    followed = eventually(lambda: [each for each in jobs(plant) if each != "one"])
    other = next(name for name in ("two", "three") if name not in followed)
    assert len(followed) == 1
    plant.edit("anomalydetector", followed[0], {"spec": {"paused": True}})
    eventually(lambda: jobs(plant) == [other])


def uids(plant: Plant) -> list[str]:
    return [str(job["metadata"]["uid"]) for job in plant.list("jobs")]


@pytest.mark.integration
def test_the_annotation_leads_to_one_job_and_only_one_after_a_restart(plant: Plant) -> None:
    operator = plant.operator()
    plant.detector()
    before = eventually(lambda: uids(plant))
    plant.kubectl("annotate", "anomalydetector", "pumps", f"{ANNOTATION_TRAIN}=monday")
    eventually(lambda: uids(plant) not in ([], before) and len(uids(plant)) == 1)
    made = uids(plant)
    assert state(plant, "pumps")["request"] == "Request:monday"
    operator.end()
    restarted: Process = plant.operator()
    eventually(lambda: restarted.metric("anomaly_operator_reconciles_total") >= 1)
    plant.kubectl("annotate", "anomalydetector", "pumps", "of=others", f"{ANNOTATION_TRAIN}=monday", "--overwrite")
    looks = restarted.metric("anomaly_operator_reconciles_total")
    eventually(lambda: restarted.metric("anomaly_operator_reconciles_total") > looks)
    assert uids(plant) == made
    started = [each for each in plant.list("events") if each["reason"] == "TrainingStarted"]
    assert sorted(each["message"].split(":")[0] for each in started) == ["Request", "Spec"]


@pytest.mark.integration
def test_no_job_is_made_before_the_pods_tell_that_there_is_data_for_it(plant: Plant) -> None:
    plant.operator(EVIDENCE_PATIENCE="300")
    plant.detector()
    pod = plant.run_pods()
    plant.obey(source={"state": "Reading", "partitions": 4, "stored": 500}, entities=2)
    told = plant.says("ModelAvailable", "WaitingForData")
    assert "at most 478 windows, and 1,000 are needed" in told["message"], pod
    assert jobs(plant) == []
    plant.obey(source={"state": "Reading", "partitions": 4, "stored": 5000}, entities=2)
    eventually(lambda: jobs(plant) == ["pumps"])
