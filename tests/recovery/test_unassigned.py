"""What counts as a partition that nobody has, and for how long; who is in the group."""

from __future__ import annotations

from anomaly_detector.adapters.kafka.diagnose.unassigned import Group, UnassignedPartitions, _neglected


def test_a_group_that_has_every_partition_neglects_none() -> None:
    assert _neglected({0, 1, 2}, 3, ["a", "b"], None) is None


def test_what_nobody_has_is_for_the_first_member_to_see_to() -> None:
    found = _neglected({1}, 3, ["pod-b", "pod-a"], None)
    assert found is not None
    assert (found.partitions, found.by) == ({0, 2}, "pod-a")


def test_the_same_partitions_are_neglected_since_they_were_first_seen_so_and_others_since_now() -> None:
    before = UnassignedPartitions(frozenset({0, 2}), "pod-a", since=1.0)
    same, other = _neglected({1}, 3, ["pod-a"], before), _neglected({1, 2}, 3, ["pod-a"], before)
    assert same is not None
    assert other is not None
    assert same.since == 1.0
    assert other.since > 1.0


def test_a_rebalance_that_goes_on_is_no_neglect() -> None:
    found = UnassignedPartitions(frozenset({0}), "pod-a", since=100.0)
    assert not found.lasting(101.0)
    assert found.lasting(120.0)


def test_only_a_group_that_is_known_to_be_without_a_pod_lacks_it() -> None:
    assert Group(frozenset({"pod-a"})).lacks("pod-b")
    assert not Group(frozenset({"pod-a"})).lacks("pod-a")
    assert not Group(None).lacks("pod-b")
