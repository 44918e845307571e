"""Windows that are scored beside the reading of the next batch: that changes nothing but when a batch is decided."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anomaly_detector.adapters.executor import ScoringThread
from anomaly_detector.core.columns import Float32, Messages
from anomaly_detector.core.decode.json import Decoded
from anomaly_detector.core.pipeline import DetectionPipeline
from anomaly_detector.core.scoring.executor import Executor, Work, inline
from anomaly_detector.core.scoring.graphs import ScoringError
from anomaly_detector.core.scoring.revisions import LoadedRevision
from anomaly_detector.core.state.next_commit import Decided, Topics
from anomaly_detector.core.state.records import Read, Record
from anomaly_detector.core.state.recovery import Recovered
from anomaly_detector.core.state.tasks import PartitionTasks
from tests.effort import examples
from tests.pipeline.test_stream import SOURCE, by_model, messages, story
from tests.scoring.graphs import distance_graph
from tests.stream.pods import PIPELINE, revision

TOPICS = Topics("readings", "alerts", "dead-letters", "state")
STRICT, LAX = by_model(revision(threshold=100.0)), by_model(revision(threshold=150.0))
ROWS = story(length=90)


class Pod:
    """The tasks of both partitions, and what it has written."""

    def __init__(self, loaded: LoadedRevision, executor: Executor = inline) -> None:
        self.tasks = PartitionTasks(DetectionPipeline(SOURCE, loaded), TOPICS, executor=executor)
        self.next = 0
        self.told: list[Decided] = []
        self.written: dict[int, list[Record]] = {0: [], 1: []}
        self.offsets = {0: 0, 1: 0}
        for partition in self.offsets:
            self.tasks.recover(partition, Recovered(start=0, until=0, configuration=None), 0.0)

    def read(self, count: int, *, more: bool = False) -> None:
        rows = ROWS[self.next : self.next + count]
        if rows:
            offsets = np.array([row[2] for row in rows], np.int64)
            self.told += self.tasks.process(Read(messages(rows), offsets), 0.0, more=more)
            self.next += len(rows)

    def commit(self) -> None:
        for partition, portion in self.tasks.drain(0.0).items():
            self.written[partition] += portion.records
            self.offsets[partition] = portion.offset

    def finish(self) -> dict[int, list[Record]]:
        """Everything that it wrote of all there is to read."""
        self.read(len(ROWS))
        self.told += self.tasks.settle()
        self.commit()
        assert sum(len(each.read) for each in self.told) == len(ROWS), "every message is accounted for, once"
        assert set(self.offsets.values()) == {90}
        return self.written


@pytest.fixture(scope="module")
def beside() -> Iterator[ScoringThread]:
    thread = ScoringThread("scoring")
    yield thread
    thread.stop()


ACTS = st.one_of(st.integers(1, 40), st.sampled_from(["commit", "strict", "lax", "settle"]))


@examples(25)
@given(acts=st.lists(st.tuples(ACTS, st.booleans()), max_size=25))
def test_what_is_written_does_not_depend_on_what_is_scored_beside_reading(
    beside: ScoringThread, acts: Sequence[tuple[int | str, bool]]
) -> None:
    """Whatever comes between two batches: another revision, a commit, or nothing to be read."""
    plain, ahead = Pod(STRICT), Pod(STRICT, beside)
    for act, more in acts:
        if isinstance(act, int):
            plain.read(act)
            ahead.read(act, more=more)
        elif act == "commit":
            plain.commit()
            ahead.commit()
            assert ahead.offsets == plain.offsets
            assert ahead.written == plain.written
        elif act == "settle":
            ahead.told += ahead.tasks.settle()
            assert not ahead.tasks.under_way
        else:
            for pod in (plain, ahead):
                pod.tasks.adopt(STRICT if act == "strict" else LAX)
    assert ahead.finish() == plain.finish()
    assert any(record.topic == TOPICS.alerts for record in ahead.written[0])


def test_a_batch_under_way_is_decided_by_the_revision_that_it_was_read_under() -> None:
    pod = Pod(STRICT)
    pod.read(len(ROWS), more=True)
    assert pod.tasks.under_way
    pod.tasks.adopt(by_model(revision(threshold=1e9)))
    pod.commit()
    found = [json.loads(record.value) for record in pod.written[0] if record.topic == TOPICS.alerts and record.value]
    assert {alert["data"]["revision"] for alert in found} == {STRICT.revision.name}


def test_the_next_batch_is_parsed_while_windows_are_being_scored() -> None:
    calls: list[int] = []
    twice = threading.Event()
    beside = ScoringThread("scoring")

    def when_the_next_one_is_parsed(work: Work[Float32]) -> Work[Float32]:
        def waiting() -> Float32:
            assert twice.wait(60), "the next batch was not parsed before the scores were asked for"
            return work()

        return beside(waiting)

    pod = Pod(STRICT, when_the_next_one_is_parsed)
    parse = pod.tasks.pipeline.parse

    def parsed(batch: Messages) -> Decoded:
        calls.append(len(batch))
        if len(calls) == 2:
            twice.set()
        return parse(batch)

    pod.tasks.pipeline.parse = parsed  # type: ignore[method-assign]
    pod.read(100, more=True)
    assert not pod.told
    pod.read(80)
    assert [len(each.read) for each in pod.told] == calls == [100, 80]
    beside.stop()


def test_a_model_that_fails_beside_reading_is_told_like_any_other() -> None:
    window = PIPELINE.windows[0]
    failing = {window.name: distance_graph(window, len(PIPELINE.features), most=5)}
    pod = Pod(by_model(revision(threshold=100.0), failing), ScoringThread("scoring"))
    pod.read(60, more=True)
    pod.read(60, more=True)
    assert "short" in pod.tasks.pipeline.stable.message
    pod.finish()


def test_what_is_done_beside_raises_where_it_is_asked_for() -> None:
    def fail() -> Float32:
        raise ScoringError("the graph failed")

    beside = ScoringThread("scoring")
    asked = beside(fail)
    with pytest.raises(ScoringError, match="the graph failed"):
        asked()
    beside.stop()
