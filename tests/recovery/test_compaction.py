"""What a pod remembers after its topic has been compacted: by the broker's own cleaner, which waits hours elsewhere."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from anomaly_api.alert import EpisodeEvent
from anomaly_api.assignment import Assignment
from anomaly_detector.core.state import changelog
from dev.environment.kafka import broker
from dev.verify.torture import verdict
from tests.stream.pods import Topics, broken, calm, pod, revision, runtime

pytestmark = pytest.mark.integration
AT_ONCE = {
    "cleanup_policy": "compact",
    "segment_ms": "200",
    "min_cleanable_dirty_ratio": "0.01",
    "max_compaction_lag_ms": "300",
    "delete_retention_ms": "0",
}
"""A topic with these is cleaned up to its newest segment, again and again."""
EVERY = "50"
"""Readings, from one checkpoint to the next."""


def headers(topics: Topics, state: str) -> list[int]:
    """Offsets of those of checkpoints that are still there."""
    found = verdict.read(topics.bootstrap, state)[0]
    return [message.offset() or 0 for message in found if message.key() == changelog.header_key()]


def test_a_pod_goes_on_with_what_is_left_of_a_topic_that_was_compacted(tmp_path: Path) -> None:
    with broker.running(f"tests-{os.getpid()}-compaction", overrides={"log.cleaner.backoff.ms": "100"}) as own:
        topics = Topics(own.bootstrap)
        topics.create(partitions=1)
        order, assignment = runtime(topics), Assignment(stable=revision())
        topics.create(order.state_topic, partitions=1, **AT_ONCE)
        with pod(tmp_path / "pod", order, assignment, ANOMALY_CHECKPOINT_READINGS=EVERY) as first:
            topics.readings(range(1000, 1100), calm)
            first.until(lambda found: found.readings == 100)
            topics.readings(range(1100, 1102), broken)
            assert len(topics.received(topics.alerts, 1)) == 1
            seen: set[int] = set()
            at, deadline = 1000, time.monotonic() + 90
            while seen <= set(there := headers(topics, order.state_topic)):
                assert time.monotonic() < deadline, "the broker does not compact it"
                seen |= set(there)
                topics.readings(range(at, at + 10), calm, b"pump-2")
                at += 10
            topics.until_committed(order.group_id, 102 + at - 1000)
            first.process.kill()
            first.process.wait()
        with pod(tmp_path / "pod", order, assignment, ANOMALY_CHECKPOINT_READINGS=EVERY) as second:
            topics.readings(range(1102, 1132), calm)
            evidence = second.until(lambda found: found.readings >= 30)
            assert evidence.readings == evidence.windows == 30, "none is decided again, and none waits for a window"
            assert second.terminate() == 0
        told = [json.loads(message.value() or b"")["type"] for message in topics.received(topics.alerts, 3, seconds=3.0)]
        assert told == [EpisodeEvent.OPENED, EpisodeEvent.CLOSED], "the episode went on"
