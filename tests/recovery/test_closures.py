"""An episode that people were told of is closed for them when an edit takes its window away: once, whoever finds the edit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient

from anomaly_api.assignment import Assignment, Revision, Runtime
from anomaly_api.policy import Delivery
from anomaly_api.source import Window
from dev.harness.scoring_pod import ScoringPod
from tests.stream.pods import PIPELINE, Topics, broken, calm, pod, revision, runtime

pytestmark = pytest.mark.integration
BOTH = PIPELINE.model_copy(update={"windows": [Window(name="short", size=4), Window(name="other", size=4)]})
FEWER = PIPELINE.model_copy(update={"features": PIPELINE.features[:1]})


def told(topics: Topics, count: int) -> list[dict[str, Any]]:
    """The first alerts, each once: at least once, some come again as they were."""
    for repeated in range(3):
        found = dict.fromkeys(message.value() or b"" for message in topics.received(topics.alerts, count + repeated))
        if len(found) >= count:
            break
    return [json.loads(alert) for alert in found]


def read_and_open(topics: Topics, order: Runtime, running: ScoringPod) -> None:
    """Until it is committed: at least once, what was not would be decided afresh by the revision that comes."""
    topics.readings(range(1000, 1050), calm)
    topics.readings(range(1050, 1053), broken)
    assert {alert["data"]["reason"] for alert in told(topics, 2)} == {"Opened"}
    running.until(lambda found: found.source.lag == 0 and found.readings == 53)
    topics.until_committed(order.group_id, 53)


@pytest.mark.parametrize("delivery", list(Delivery))
@pytest.mark.parametrize("finds", ["while it runs", "as it starts"])
@pytest.mark.parametrize(("after", "ends"), [(revision(PIPELINE), {"other"}), (revision(FEWER), {"short", "other"})])
def test_an_edit_closes_what_it_ends(
    topics: Topics, tmp_path: Path, after: Revision, ends: set[str], finds: str, delivery: Delivery
) -> None:
    topics.create()
    order = runtime(topics).model_copy(update={"delivery": delivery})
    before, edited = Assignment(stable=revision(BOTH)), Assignment(stable=after)
    with pod(tmp_path / "pod", order, before) as first:
        read_and_open(topics, order, first)
        if finds == "while it runs":
            first.assign(edited)
            assert len(told(topics, 2 + len(ends))) == 2 + len(ends)
        first.process.kill()
        first.process.wait()
    with pod(tmp_path / "pod", order, edited) as second:
        topics.readings(range(1053, 1073), calm)
        closed = [alert["data"] for alert in told(topics, 4) if alert["type"].endswith("closed")]
        second.until(lambda found: found.source.lag == 0 and found.readings >= 20)
        assert second.terminate() == 0
    assert {data["window"] for data in closed if data["reason"] == "Replaced"} == ends
    assert {data["end"] for data in closed if data["reason"] == "Replaced"} == {"1970-01-01T00:17:32Z"}
    assert {data["window"] for data in closed if data["reason"] == "Recovered"} == {"short", "other"} - ends
    if delivery is Delivery.EXACTLY_ONCE:
        assert len(topics.everything(topics.alerts)) == 4


def test_a_topic_that_is_made_anew_ends_the_episodes_of_the_old_one(topics: Topics, tmp_path: Path) -> None:
    topics.create()
    order = runtime(topics)
    with pod(tmp_path / "pod", order, Assignment(stable=revision(BOTH))) as running:
        read_and_open(topics, order, running)
        topics.delete(topics.name)
        while topics.name in running_topics(topics):
            pass
        topics.create(topics.name)
        found = told(topics, 4)[2:]
        assert {alert["data"]["window"] for alert in found} == {"short", "other"}
        assert {alert["data"]["reason"] for alert in found} == {"BegunAnew"}
        assert running.terminate() == 0


def running_topics(topics: Topics) -> set[str]:
    return set(AdminClient({"bootstrap.servers": topics.bootstrap}).list_topics(timeout=10).topics)
