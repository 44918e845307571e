"""Readings from the future: what a clock has refused stays refused, though a process that replays it has a later one."""

from __future__ import annotations

import json

import numpy as np
import pytest

from anomaly_api.source import Time, TimeFormat
from anomaly_detector.core.columns import Messages
from anomaly_detector.core.pipeline import DetectionPipeline
from anomaly_detector.core.scoring.revisions import LoadedRevision
from anomaly_detector.core.state.changelog_writer import ChangelogWriter
from anomaly_detector.core.state.checkpoint_schedule import CheckpointPolicy
from anomaly_detector.core.state.records import Read
from anomaly_detector.core.state.recovery import Changelog, Recovered
from anomaly_detector.core.state.tasks import PartitionTasks
from tests.recovery.crash_model import SOURCE, TOPICS
from tests.stream.pods import PIPELINE, revision

NOON = 1_785_499_200
HOUR = 3600
TIMES = [NOON, NOON + 1, NOON + 2 * HOUR, NOON + 2, NOON + 3, NOON + 30 * 60, NOON + 4]
"""The third is of a wrong clock."""


def tasks(time: Time) -> PartitionTasks:
    loaded = revision(PIPELINE.model_copy(update={"time": time}), warmup=2)
    return PartitionTasks(DetectionPipeline(SOURCE, LoadedRevision(loaded)), TOPICS, CheckpointPolicy(readings=10**9))


def read(clock: int) -> Read:
    values = [json.dumps({"at": at, "temperature": 20.0, "pressure": 3.0}).encode() for at in TIMES]
    count = len(values)
    stamps = np.array(TIMES, np.int64) * 1000
    messages = Messages(values, [b"pump-1"] * count, stamps, np.zeros(count, np.int64), read_ms=clock * 1000)
    return Read(messages, np.arange(count))


@pytest.mark.parametrize("time", [Time(), Time(field="at", format=TimeFormat.UNIX_SECONDS)])
def test_what_a_clock_refused_is_not_believed_by_a_later_one_that_replays_it(time: Time) -> None:
    first, second = tasks(time), tasks(time)
    first.recover(0, Changelog().recover(None, 0, 0, latest=False), 0.0)
    [decided] = first.process(read(NOON), 0.0)
    assert [reject.row for reject in decided.outcome.rejects] == [2]
    commit = first.drain(0.0)[0]
    journal = Changelog()
    for record in commit.records:
        if record.topic == TOPICS.state:
            journal.add(record.key, record.value)
    found = journal.recover(commit.offset, 0, len(TIMES), latest=False)
    assert (found.start, found.until, found.refused) == (0, len(TIMES), {2})
    second.recover(0, found, 0.0)
    assert second.process(read(NOON + 5 * HOUR), 0.0) == [], "all of it was decided before"
    assert repr(second.pipeline.snapshot(0)["reorder"]) == repr(first.pipeline.snapshot(0)["reorder"])
    assert repr(second.pipeline.snapshot(0)["windows"]) == repr(first.pipeline.snapshot(0)["windows"])


def test_a_checkpoint_makes_what_was_written_of_it_obsolete() -> None:
    configuration = tasks(Time()).pipeline.configuration
    writer = ChangelogWriter("state", 0, Recovered(0, 0, None), configuration)
    writer.refuse([3, 5])
    assert [record.key for record in writer.drain()] == [b"refused/3"]
    writer.begin_checkpoint(tasks(Time()).pipeline.snapshot(0), 9)
    writer.pieces(None)
    assert [record.key for record in writer.drain() if record.value is None] == [b"refused/3"]
