"""What the harness makes of a broker that does nothing for anybody."""

from __future__ import annotations

import os

import pytest
from confluent_kafka.admin import AdminClient, NewTopic

pytestmark = pytest.mark.integration


def test_a_broker_that_takes_no_offset_is_told_from_one_that_does() -> None:
    from dev.torture.ground import ground

    with ground(f"tests-{os.getpid()}-ground") as mine:
        admin = AdminClient({"bootstrap.servers": mine.broker.bootstrap})
        admin.create_topics([NewTopic("topic", 1, 1)])["topic"].result(30)
        assert mine.sound("topic", "group")
        mine.broker.pause()
        assert not mine.sound("topic", "group", 5.0)
        mine.broker.resume()
        assert mine.sound("topic", "group")
