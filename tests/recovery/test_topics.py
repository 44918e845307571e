"""Topics that are deleted while a pod reads or writes them: it waits, says so, and goes on when they are there again."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from confluent_kafka.admin import AdminClient

from anomaly_api.assignment import Assignment
from anomaly_api.evidence import SourceState
from tests.recovery.test_service import broken, calm
from tests.stream.pods import Topics, pod, revision, runtime

if TYPE_CHECKING:
    from dev.kafka.broker import Broker

pytestmark = pytest.mark.integration


@pytest.fixture
def topics(kafka: Broker) -> Topics:
    found = Topics(kafka.bootstrap)
    found.create()
    return found


@pytest.mark.parametrize("which", ["alerts", "source"])
def test_a_topic_that_is_deleted_while_it_runs_is_waited_for(topics: Topics, tmp_path: Path, which: str) -> None:
    name, state = {
        "alerts": (topics.alerts, SourceState.ALERTS_TOPIC_NOT_FOUND),
        "source": (topics.name, SourceState.TOPIC_NOT_FOUND),
    }[which]
    with pod(tmp_path / "pod", runtime(topics), Assignment(stable=revision())) as running:
        topics.readings(range(1000, 1050), calm)
        running.until(lambda found: found.readings == 50)
        admin = AdminClient({"bootstrap.servers": topics.bootstrap})
        admin.delete_topics([name])[name].result(30)
        running.until(lambda found: found.source.state is state, seconds=60)
        assert running.get("/readyz")[0] == 503
        assert running.get("/healthz")[0] == 200
        topics.create(name)
        running.until(lambda found: found.source.state is SourceState.READING, seconds=60)
        again = Topics(topics.bootstrap, topics.name)
        again.readings(range(2000, 2050), calm)
        again.readings(range(2050, 2053), broken)
        assert len(topics.received(topics.alerts, 1, seconds=60)) == 1
        assert running.terminate() == 0


def test_a_state_topic_that_is_deleted_while_it_runs_is_made_again(topics: Topics, tmp_path: Path) -> None:
    order = runtime(topics)
    with pod(tmp_path / "pod", order, Assignment(stable=revision())) as running:
        topics.readings(range(1000, 1050), calm)
        running.until(lambda found: found.readings == 50)
        admin = AdminClient({"bootstrap.servers": topics.bootstrap})
        admin.delete_topics([order.state_topic])[order.state_topic].result(30)
        deadline = time.monotonic() + 60
        while order.state_topic not in admin.list_topics(timeout=10).topics:
            assert time.monotonic() < deadline, "nobody has made it again"
        topics.readings(range(1050, 1100), calm)
        topics.readings(range(1100, 1103), broken)
        assert len(topics.received(topics.alerts, 1, seconds=60)) == 1
        assert running.terminate() == 0
