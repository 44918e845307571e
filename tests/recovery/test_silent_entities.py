"""Silent entities over a crash: told once, and a silence that nobody wants to know of any more is closed by who takes over."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import pytest

from anomaly_detector.core.columns import Messages
from anomaly_detector.core.pipeline import DetectionPipeline
from anomaly_detector.core.scoring.revisions import LoadedRevision
from anomaly_detector.core.state.records import Read, Record
from anomaly_detector.core.state.recovery import Changelog
from anomaly_detector.core.state.tasks import PartitionTasks
from tests.recovery.crash_model import SOURCE, TOPICS
from tests.stream.pods import PIPELINE, revision

SENT = [("a", 0), ("b", 1), ("b", 20), ("b", 25), ("a", 30)]


def tasks(after: str | None) -> PartitionTasks:
    asked = revision(PIPELINE.model_copy(update={"silent_after": after}))
    return PartitionTasks(DetectionPipeline(SOURCE, LoadedRevision(asked)), TOPICS)


def read(begin: int, end: int) -> Read:
    part = SENT[begin:end]
    values = [json.dumps({"at": 1_767_225_600 + at, "temperature": 1.0, "pressure": 2.0}).encode() for _, at in part]
    stamps, partitions = np.full(len(part), 1_767_300_000_000), np.zeros(len(part), np.int64)
    return Read(Messages(values, [name.encode() for name, _ in part], stamps, partitions), np.arange(begin, end))


def reasons(records: Sequence[Record]) -> list[str]:
    return [json.loads(each.value or b"")["data"]["reason"] for each in records if each.topic == TOPICS.alerts]


@pytest.mark.parametrize(("after", "expected"), [("10s", ["Recovered"]), (None, ["Replaced"])])
def test_who_takes_over_goes_on_with_a_silence_or_ends_it(after: str | None, expected: list[str]) -> None:
    first, second, journal = tasks("10s"), tasks(after), Changelog()
    first.recover(0, Changelog().recover(None, 0, 0, latest=False), 0.0)
    first.process(read(0, 3), 0.0)
    commit = first.drain(0.0)[0]
    assert [json.loads(each.value or b"")["data"]["reason"] for each in commit.records if each.topic == TOPICS.alerts] == [
        "Opened"
    ]
    for record in commit.records:
        if record.topic == TOPICS.state:
            journal.add(record.key, record.value)
    second.recover(0, journal.recover(commit.offset, 0, 5, latest=False), 0.0)
    second.process(read(0, 5), 0.0)
    assert reasons(second.drain(0.0)[0].records) == expected
