"""What the harness makes of a broker that does nothing for anybody."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from confluent_kafka import Consumer
from confluent_kafka.admin import AdminClient, NewTopic

from anomaly_api.source import GroupProtocol

if TYPE_CHECKING:
    from dev.verify.torture.ground import Ground


@pytest.fixture
def mine() -> Iterator[Ground]:
    """One with a topic."""
    from dev.verify.torture.ground import ground

    with ground(f"tests-{os.getpid()}-ground") as made:
        admin = AdminClient({"bootstrap.servers": made.broker.bootstrap})
        admin.create_topics([NewTopic("topic", 1, 1)])["topic"].result(30)
        yield made


@pytest.mark.parametrize(("group", "place"), [("", 0), ("a", 1), ("polygenelubricants", 0), ("torture-298e5ef0.group", 3)])
def test_a_group_is_kept_where_the_broker_keeps_it(group: str, place: int) -> None:
    """By Java's hash; of "polygenelubricants" it is the lowest number there is, and a broker kept the last one in 3."""
    from dev.verify.torture.ground import _beside, _place

    assert _place(group) == place
    assert _place(_beside(group)) == place


def test_a_broker_that_cannot_read_what_it_wrote_of_a_group_is_told_by_its_log() -> None:
    from dev.verify.torture.ground import forgotten

    line = (
        "07:11:32.299 ERROR CoordinatorLoaderImpl: Replaying record CoordinatorRecord(key=ConsumerGroupCurrentMemberAssignmentKey"
        "(groupId='torture-cbdcec45.group', memberId='vwTidS5eRAK04')) from __consumer_offsets-0 at offset 2139 failed due to: "
        "Cannot set the epoch of XAmg0082RIm2Zhr0-GkQmw-0 to 1 because the partition is still owned at epoch 1.\n"
    )
    assert forgotten(line, "torture-cbdcec45.group")
    assert not forgotten(line, "torture-298e5ef0.group")
    assert not forgotten("07:11:24.866 WARN  QuorumController: [QuorumController id=1] Performing controller activation.\n", "")


@pytest.mark.integration
@pytest.mark.parametrize("protocol", list(GroupProtocol))
def test_a_broker_that_does_nothing_is_told_from_one_that_does(mine: Ground, protocol: GroupProtocol) -> None:
    assert mine.sound("topic", "group", protocol)
    mine.broker.pause()
    assert not mine.sound("topic", "group", protocol, 5.0)
    mine.broker.resume()
    assert mine.sound("topic", "group", protocol)


@pytest.mark.integration
@pytest.mark.parametrize("protocol", list(GroupProtocol))
def test_a_broker_that_keeps_somebody_in_the_group_after_all_are_dead_is_not_sound(mine: Ground, protocol: GroupProtocol) -> None:
    kept = Consumer({"bootstrap.servers": mine.broker.bootstrap, "group.id": "group", "group.protocol": protocol.value.lower()})
    try:
        kept.subscribe(["topic"])
        while not kept.assignment():
            kept.poll(0.1)
        assert not mine.sound("topic", "group", protocol, 3.0)
    finally:
        kept.close()
    assert mine.sound("topic", "group", protocol)
