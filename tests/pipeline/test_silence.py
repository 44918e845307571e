"""Entities that fall silent are told of as episodes of their own kind: by the clock of the stream, however cut, after a crash."""

from __future__ import annotations

import json
from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from anomaly_detector.core.columns import Messages
from anomaly_detector.core.entities.quota import MemoryQuota
from anomaly_detector.core.pipeline import DetectionPipeline
from anomaly_detector.core.scoring.revisions import LoadedRevision
from tests.stream.pods import PIPELINE, revision

Sent = tuple[str, int]
"""Entity and time in seconds."""


def pipeline(after: str | None = "10s", quota: MemoryQuota | None = None) -> DetectionPipeline:
    asked = revision(PIPELINE.model_copy(update={"silent_after": after}), warmup=100_000)
    return DetectionPipeline("/silence", LoadedRevision(asked), quota)


def told(found: DetectionPipeline, sent: list[Sent], first_row: int = 0) -> list[tuple[int, str, str, str, float]]:
    values = [json.dumps({"at": 1_767_225_600 + at, "temperature": 1.0, "pressure": 2.0}).encode() for _, at in sent]
    keys = [entity.encode() for entity, _ in sent]
    stamps = np.full(len(sent), 1_767_300_000_000)
    outcome = found.process(Messages(values, keys, stamps, np.zeros(len(sent), np.int64)))
    alerts = [(alert.row + first_row, json.loads(alert.value)) for alert in outcome.alerts]
    return [
        (row, alert["subject"], alert["type"].split(".")[-1], alert["data"]["reason"], alert["data"]["durationSeconds"])
        for row, alert in alerts
    ]


def test_an_entity_that_sends_nothing_is_told_of_and_told_to_be_back() -> None:
    sent = [("a", 0), ("b", 1), ("b", 5), ("b", 10), ("b", 11), ("b", 15), ("a", 16), ("b", 17)]
    assert told(pipeline(), sent) == [(4, "a", "opened", "Opened", 11.0), (6, "a", "closed", "Recovered", 16.0)]
    assert told(pipeline(None), sent) == []


def test_one_of_twenty_pumps_stops_and_it_alone_is_told_of() -> None:
    sent = [(f"pump-{pump:02}", 5 * tick) for tick in range(200) for pump in range(20) if pump != 7 or not 50 <= tick < 120]
    found = told(pipeline("1m"), sent)
    assert [(entity, kind, reason) for _, entity, kind, reason, _ in found] == [
        ("pump-07", "opened", "Opened"),
        ("pump-07", "closed", "Recovered"),
    ]


def test_an_alert_of_a_silence_says_what_it_is() -> None:
    found = pipeline()
    values = [json.dumps({"at": 1_767_225_600 + at, "temperature": 1.0, "pressure": 2.0}).encode() for at in (0, 20)]
    stamps = np.full(2, 1_767_300_000_000)
    [alert] = found.process(Messages(values, [b"a", b"b"], stamps, np.zeros(2, np.int64))).alerts
    data = json.loads(alert.value)["data"]
    assert (data["window"], data["scorer"], data["score"], data["threshold"], data["contributors"]) == (
        "silence",
        "Silence",
        2,
        10,
        [],
    )


def test_a_silence_ends_when_the_entity_is_forgotten_and_when_nobody_wants_to_know_any_more() -> None:
    found = pipeline(quota=MemoryQuota(10_000_000, 1, expire_after=400.0))
    assert [kind for _, _, kind, _, _ in told(found, [("a", 0), ("b", 20), ("b", 300), ("b", 650)])] == ["opened", "closed"]
    found = pipeline()
    told(found, [("a", 0), ("b", 20)])
    [(partition, alert)] = found.adopt(LoadedRevision(revision(PIPELINE, warmup=100_000)))
    assert (partition, json.loads(alert.value)["data"]["reason"]) == (0, "Replaced")


sent = st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 60)), max_size=25)


@given(sent, st.lists(st.integers(0, 25), max_size=5))
def test_what_is_told_depends_on_no_cut_and_no_crash(stream: list[Sent], cuts: list[int]) -> None:
    whole = told(pipeline(), stream)
    stage, found = pipeline(), []
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    for begin, end in pairwise(edges):
        if end > begin:
            found += told(stage, stream[begin:end], begin)
            again = pipeline()
            again.restore(0, stage.snapshot(0))
            stage = again
    assert found == whole
