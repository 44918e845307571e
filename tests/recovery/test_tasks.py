"""Two pods, a broker of lists, and whatever may happen between two commits: the alerts are those of one undisturbed process."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anomaly_detector.core.pipeline import DetectionPipeline
from anomaly_detector.core.scoring.revisions import LoadedRevision
from anomaly_detector.core.state.changelog import header_key
from anomaly_detector.core.state.checkpoint_schedule import CheckpointPolicy
from anomaly_detector.core.state.recovery import Changelog
from anomaly_detector.core.state.tasks import PartitionTasks
from tests.effort import examples
from tests.recovery.crash_model import (
    ALLOWANCES,
    BOTH,
    CANDIDATES,
    EAGER,
    MESSAGES,
    PARTITIONS,
    REVISIONS,
    SOURCE,
    TERMS,
    TOPICS,
    Broker,
    Pod,
    World,
    batch,
    expected,
    with_policy,
)
from tests.stream.pods import revision

_ACTS = st.one_of(
    st.tuples(st.just("read"), st.integers(1, 40)),
    st.tuples(st.just("begin"), st.integers(1, 40)),
    st.tuples(st.just("commit"), st.integers(0, 1)),
    st.tuples(st.just("crash"), st.integers(0, 1)),
    st.tuples(st.just("move"), st.sampled_from(PARTITIONS)),
    st.tuples(st.just("adopt"), st.integers(0, 2 * len(REVISIONS) - 1)),
    st.tuples(st.just("shadow"), st.integers(0, 2 * len(CANDIDATES) - 1)),
    st.tuples(st.just("weigh"), st.integers(0, 2 * len(TERMS) - 1)),
    st.tuples(st.just("promote"), st.integers(0, 1)),
    st.tuples(st.just("allow"), st.integers(0, 2 * len(ALLOWANCES) - 1)),
    st.tuples(st.just("compact"), st.just(0)),
)


@examples(30)
@given(acts=st.lists(_ACTS, max_size=40))
def test_alerts_after_any_crash_move_and_change_are_those_of_one_process(acts: list[tuple[str, int]]) -> None:
    world = World()
    for act, number in acts:
        getattr(world, act)(number)
    while world.read(30):
        world.commit(0)
        world.commit(1)
    broker = world.broker
    assert broker.offsets == {partition: len(MESSAGES[partition]) for partition in PARTITIONS}
    assert broker.alerts == expected(broker)
    assert len(broker.dead) == len(set(broker.dead)), "each dead letter once"


def test_an_undisturbed_pod_alerts() -> None:
    broker = Broker()
    pod = Pod(broker, REVISIONS[0], ALLOWANCES[1])
    for partition in PARTITIONS:
        pod.take(partition)
    while pod.read(7):
        pod.commit()
    assert sum(map(len, broker.alerts.values())) >= 10
    assert len(broker.dead) > 3


def test_a_pod_that_is_killed_again_and_again_has_no_more_to_replay_each_time() -> None:
    broker = Broker()
    first = Pod(broker, REVISIONS[0], ALLOWANCES[1])
    first.take(0)
    first.read(20)
    first.commit()
    second = Pod(broker, REVISIONS[0], ALLOWANCES[1])
    second.take(0)
    assert second.position[0] == 0, "it was not time for a checkpoint yet"
    second.read(20)
    while all(record.key != header_key() for record in broker.state[0]):
        before = len(broker.state[0])
        second.commit()
        assert len(broker.state[0]) > before, "it goes on writing"
    third = Pod(broker, REVISIONS[0], ALLOWANCES[1])
    third.take(0)
    assert third.position[0] == 20


def test_what_is_remembered_is_written_a_partition_at_a_time_and_no_faster_than_the_policy_says() -> None:
    policy = CheckpointPolicy(readings=10**9, seconds=60.0, bytes_per_second=1.0, longest=10**9)
    tasks = PartitionTasks(DetectionPipeline(SOURCE, REVISIONS[0], ALLOWANCES[1]), TOPICS, policy)
    for partition in PARTITIONS:
        tasks.recover(partition, Changelog().recover(0, 0, 100, latest=False), 0.0)
    tasks.process(batch([(partition, offset) for partition in PARTITIONS for offset in range(20)]), 0.0)

    def written(now: float) -> list[int]:
        """Partitions of which a checkpoint was completed."""
        commits = [tasks.drain(now) for _ in range(3)]
        keyed = [(partition, record.key) for each in commits for partition, commit in each.items() for record in commit.records]
        return [partition for partition, key in keyed if key == header_key()]

    assert written(59.0) == []
    [first] = written(60.0)
    pause = tasks.pipeline.preprocessor.entities.weight(first) / policy.bytes_per_second
    assert pause > 100
    assert written(60.0 + pause - 1) == []
    [second] = written(60.0 + pause)
    assert second != first


def test_the_streams_of_these_tests_know_everything_that_alerts_may_say() -> None:
    said: set[str] = set()
    for loaded in REVISIONS:
        broker = Broker()
        pod = Pod(broker, loaded, ALLOWANCES[0])
        for partition in PARTITIONS:
            pod.take(partition)
        while pod.read(7):
            pod.commit()
        found = [json.loads(value) for values in broker.alerts.values() for value in values]
        said |= {str(event["data"].get("reason") or event["data"]["limit"]) for event in found}
        said |= {str(event["data"].get("suppressedBy")) for event in found}
    assert said >= {"Opened", "Released", "StillOpen", "SeverityRose", "Recovered"}
    assert said >= {"PerEntity", "Total", "cooldown", "night"}


def after_an_edit(before: LoadedRevision, after: LoadedRevision, end: int, *, taken_over: bool) -> dict[str, list[bytes]]:
    """The alerts when another revision comes after so many messages: to the pod that read them, or to its successor."""
    broker = Broker()
    for each in (before, after) if taken_over else (before,):
        pod = Pod(broker, each, ALLOWANCES[0])
        for partition in PARTITIONS:
            pod.take(partition)
        while pod.read(10, end):
            pod.commit()
    if not taken_over:
        pod.tasks.adopt(after)
    for _ in range(3):  # what is told is told once
        pod.commit()
    return broker.alerts


@pytest.mark.parametrize(("which", "ending"), [(1, {"long"}), (3, {"short", "long"})], ids=["a window goes", "all begins anew"])
def test_whoever_meets_an_edit_tells_the_same_ends(which: int, ending: set[str]) -> None:
    unlimited = with_policy(revision(BOTH, threshold=6.0, warmup=5), **EAGER)
    replaced: set[str] = set()
    for before in (REVISIONS[0], unlimited):
        for end in range(20, 240, 9):
            told = after_an_edit(before, REVISIONS[which], end, taken_over=False)
            assert after_an_edit(before, REVISIONS[which], end, taken_over=True) == told
            found = [json.loads(value)["data"] for values in told.values() for value in values]
            replaced |= {data["window"] for data in found if data.get("reason") == "Replaced"}
    assert replaced == ending


def test_a_state_topic_that_is_emptied_is_filled_again_and_nothing_is_lost() -> None:
    broker = Broker()
    pod = Pod(broker, REVISIONS[0], ALLOWANCES[0])
    for partition in PARTITIONS:
        pod.take(partition)
    for _ in range(8):
        pod.read(13)
        pod.commit()
    broker.state = {partition: [] for partition in PARTITIONS}
    pod.tasks.write_again()
    for _ in range(10):  # a record a commit, one partition after the other
        pod.commit()
    successor = Pod(broker, REVISIONS[0], ALLOWANCES[0])
    for partition in PARTITIONS:
        successor.take(partition)
    assert successor.position == broker.offsets, "nothing has to be replayed"
    while successor.read(13):
        successor.commit()
    assert broker.alerts == expected(broker)
