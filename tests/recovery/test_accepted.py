"""What somebody called normal now, in pods that crash: each such episode ends once, and stays ended."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from anomaly_api.alert import DeadLetterReason
from anomaly_detector.core.alerts.alert import identity
from anomaly_detector.core.feedback.acceptance import Acceptance
from anomaly_detector.core.feedback.rejected import RejectedLabel
from anomaly_detector.core.state.recovery import Changelog
from tests.effort import examples
from tests.recovery.crash_model import PARTITIONS, SOURCE, Pod, World


def open_ids(pod: Pod) -> list[str]:
    """Ids of the episodes that are open in a pod, as people find them in alerts."""
    pipeline = pod.tasks.pipeline
    names, found = pipeline.preprocessor.entities.names, pipeline.episodes.told.open_ones()
    return [identity(SOURCE, names[slot], window, str(each.start)) for slot, window, each in found if each.recorded]


class Labelled(World):
    """A world in which people give labels; each pod reads all of them, and again after a crash."""

    def __init__(self) -> None:
        super().__init__()
        self.labels: list[Acceptance] = []

    def accept(self, who: int) -> None:
        """Somebody calls normal what is open in a pod."""
        said = [Acceptance(name) for name in open_ids(self.pods[who])]
        self.labels += said
        for pod in self.pods:
            pod.tasks.accept(said)

    def crash(self, who: int) -> None:
        super().crash(who)
        self.pods[who].tasks.accept(self.labels)

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(value) for values in self.broker.alerts.values() for value in values]

    def end(self) -> None:
        while self.read(30):
            self.commit(0)
            self.commit(1)
        self.commit(0)
        self.commit(1)


_ACTS = st.one_of(
    st.tuples(st.just("read"), st.integers(1, 40)),
    st.tuples(st.just("begin"), st.integers(1, 40)),
    st.tuples(st.just("accept"), st.integers(0, 1)),
    st.tuples(st.just("commit"), st.integers(0, 1)),
    st.tuples(st.just("crash"), st.integers(0, 1)),
    st.tuples(st.just("move"), st.sampled_from(PARTITIONS)),
)


@examples(40)
@given(st.lists(_ACTS, max_size=30))
def test_after_any_crash_each_episode_ends_once_and_those_called_normal_have_ended(acts: list[tuple[str, int]]) -> None:
    world = Labelled()
    for act, number in acts:
        getattr(world, act)(number)
    world.end()
    events = world.events()
    ids = Counter(event["id"] for event in events)
    assert [name for name, count in ids.items() if count > 1] == []
    episodes = [event for event in events if event["type"].startswith("dev.anomaly-operator.episode")]
    closed = {event["data"]["episode"]: event["data"]["reason"] for event in episodes if event["type"].endswith("closed")}
    opened = {event["data"]["episode"] for event in episodes if event["type"].endswith("opened")}
    accepted = {label.episode for label in world.labels}
    assert set(closed) <= opened
    assert accepted & opened <= set(closed)
    assert {name for name, reason in closed.items() if reason == "Accepted"} <= accepted


def test_an_end_that_was_not_committed_is_told_after_the_crash_and_one_that_was_is_not_told_again() -> None:
    for committed in (False, True):
        world = Labelled()
        while not open_ids(world.pods[0]):
            assert world.read(5)
            world.commit(0)
            world.commit(1)
        said = open_ids(world.pods[0])
        world.accept(0)
        if committed:
            world.commit(0)
        world.crash(0)
        world.end()
        closed = [event["data"]["episode"] for event in world.events() if event["data"].get("reason") == "Accepted"]
        assert sorted(closed) == sorted(said)


def test_a_record_that_is_no_label_becomes_one_dead_letter_whatever_crashes() -> None:
    world = World()
    wrong = [RejectedLabel(0, offset, b"pump-1", b"{", 1_000, "it is no label") for offset in (3, 7)]

    def say() -> None:
        for pod in world.pods:
            pod.tasks.reject(wrong, "labels")

    say()
    world.crash(0)  # it was not committed
    say()
    world.commit(1)
    world.crash(1)
    say()
    world.move(0)
    say()
    world.commit(0)
    world.commit(1)
    assert world.broker.dead == [(b"0", b"3"), (b"0", b"7")]


def test_how_far_labels_were_told_stands_in_the_state_topic_of_the_first_partition() -> None:
    world = World()
    letter = RejectedLabel(2, 5, None, None, 1_000, "the record is empty").dead_letter("labels", "dead")
    assert dict(letter.headers)["reason"] == DeadLetterReason.NOT_A_LABEL.encode()
    for pod in world.pods:
        pod.tasks.reject([RejectedLabel(2, 5, None, None, 1_000, "the record is empty")], "labels")
        pod.commit()
    world.broker.compact()
    told: list[Changelog] = [world.broker.journal(partition) for partition in PARTITIONS]
    found = [each.recover(0, 0, 10, latest=False).labels for each in told]
    assert found[0] is not None
    assert found[1] is None
