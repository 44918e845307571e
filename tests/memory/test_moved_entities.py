"""A topic that gets more partitions: episodes of entities whose readings go elsewhere from then on end soon, with a record."""

import json

from anomaly_detector.core.columns import Messages
from anomaly_detector.core.entities.lru import Reason
from anomaly_detector.core.entities.quota import MemoryQuota
from anomaly_detector.core.outcome import Outcome
from anomaly_detector.core.pipeline import DetectionPipeline
from anomaly_detector.core.scoring.revisions import LoadedRevision
from tests.pipeline.test_stream import Row, alerts, by_model, messages
from tests.scoring.graphs import distance_graph
from tests.stream.pods import PIPELINE, revision

BUDGET, WEEK = 64 * 2**20, 7 * 86_400.0
GAP = 300
"""Seconds of the window's maxGap."""


def pipeline() -> DetectionPipeline:
    loaded: LoadedRevision = by_model(revision(threshold=100.0), {"short": distance_graph(PIPELINE.windows[0], 2, center=20.0)})
    return DetectionPipeline("/namespaces/plant/anomalydetectors/pumps", loaded, MemoryQuota(BUDGET, 2, WEEK))


def given(stream: DetectionPipeline, rows: list[Row]) -> Outcome:
    taken: Messages = messages(rows)
    return stream.process(taken)


def both(start: int, end: int, *, broken: bool) -> list[Row]:
    return [row for at in range(start, end) for row in ((0, "moves", at, 90.0 if broken else 20.0), (0, "stays", at, 20.0))]


def test_an_open_episode_of_an_entity_that_moved_is_closed_a_gap_after_the_partitions_were_added() -> None:
    stream = pipeline()
    opened = alerts([given(stream, both(0, 30, broken=False)), given(stream, both(30, 60, broken=True))])
    assert {alert["data"]["entity"] for alert in opened} == {"moves"}
    stream.allow(MemoryQuota(BUDGET, 4, WEEK))
    before = given(stream, [(0, "stays", at, 20.0) for at in range(60, 60 + GAP)])
    assert (before.left, before.alerts) == ([], []), "it may only be slow"
    after = given(stream, [(0, "stays", at, 20.0) for at in range(60 + GAP, 70 + GAP)])
    assert [(left.name, left.reason) for left in after.left] == [("moves", Reason.IDLE)]
    [closed] = alerts([after])
    assert (closed["type"].rpartition(".")[2], closed["data"]["reason"]) == ("closed", "Idle")
    assert closed["data"]["episode"] == opened[0]["data"]["episode"]


def test_an_entity_that_goes_on_in_its_partition_keeps_its_episode() -> None:
    stream = pipeline()
    given(stream, both(0, 60, broken=True))
    stream.allow(MemoryQuota(BUDGET, 4, WEEK))
    outcomes = [given(stream, both(60, 60 + 3 * GAP, broken=True))]
    assert [left for outcome in outcomes for left in outcome.left] == []
    assert all(json.loads(alert.value)["data"]["reason"] != "Idle" for outcome in outcomes for alert in outcome.alerts)


def test_without_more_partitions_a_quiet_entity_is_remembered_until_it_expires() -> None:
    stream = pipeline()
    given(stream, both(0, 60, broken=True))
    stream.allow(MemoryQuota(2 * BUDGET, 2, WEEK))
    assert given(stream, [(0, "stays", at, 20.0) for at in range(60, 60 + 3 * GAP)]).left == []
