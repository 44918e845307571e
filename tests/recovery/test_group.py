"""What the consumer group makes of a pod that dies, comes back, is scaled away or has a twin: both protocols, a real broker."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from confluent_kafka import ConsumerGroupType, KafkaException
from confluent_kafka.admin import AdminClient

from anomaly_api.alert import Alert, EpisodeEvent
from anomaly_api.assignment import Assignment
from anomaly_api.evidence import SourceState
from anomaly_api.source import GroupProtocol
from anomaly_detector.adapters.kafka.diagnose.admin import AdminQueries
from tests.recovery.groups import eventually, group, hasty, known, speaking
from tests.stream.pods import Topics, broken, calm, pod, revision, runtime

if TYPE_CHECKING:
    from dev.environment.kafka.broker import Broker


pytestmark = pytest.mark.integration
ORDER = Assignment(stable=revision())
SESSION = 10.0
"""Seconds that the group waits for a member that says nothing."""


def seen(topics: Topics, count: int) -> list[tuple[EpisodeEvent, str]]:
    """Alerts, once there are so many, as who reads committed records sees them; more than `count` if there are."""
    topics.received(topics.alerts, count)
    records = topics.everything(topics.alerts)
    return [(alert.type, alert.time) for alert in (Alert.model_validate_json(record.value() or b"") for record in records)]


def test_a_container_that_is_killed_has_its_partitions_back_before_its_session_ends(topics: Topics, tmp_path: Path) -> None:
    topics.create()
    with pod(tmp_path / "pod", runtime(topics), ORDER) as first:
        topics.readings(range(1000, 1100), calm)
        first.until(lambda found: found.readings == 100)
        began = time.monotonic()
        first.process.kill()
        first.process.wait()
    with pod(tmp_path / "pod", runtime(topics), ORDER) as second:
        topics.readings(range(1100, 1101), calm)
        second.until(lambda found: found.windows >= 1, SESSION)
        assert time.monotonic() - began < SESSION
        assert second.terminate() == 0


def test_a_pod_that_is_scaled_away_leaves_its_place_at_once(topics: Topics, tmp_path: Path) -> None:
    topics.create()
    with pod(tmp_path / "stays", runtime(topics), ORDER) as stays:
        with pod(tmp_path / "goes", runtime(topics), ORDER) as goes:
            goes.until(lambda found: found.source.partitions == 1 and not found.source.recovering)
            stays.until(lambda found: found.source.partitions == 1)
            assert goes.terminate() == 0
        assert group(topics)[1] == ["stays"], "nobody is waited for"
        stays.until(lambda found: found.source.partitions == 2)


def test_the_last_pod_leaves_an_empty_group(topics: Topics, tmp_path: Path) -> None:
    topics.create()
    with pod(tmp_path / "pod", runtime(topics), ORDER) as only:
        only.until(lambda found: found.source.partitions == 2)
        assert only.terminate() == 0
    assert group(topics)[1] == []


def test_a_pod_that_is_told_to_end_as_soon_as_it_is_in_the_group_leaves_it(topics: Topics, tmp_path: Path) -> None:
    topics.create()
    admin = AdminClient({"bootstrap.servers": topics.bootstrap})
    name = runtime(topics).group_id

    def members() -> int:
        try:
            return len(admin.describe_consumer_groups([name])[name].result(30).members)
        except KafkaException:  # there is no such group yet
            return 0

    members()  # connected by now
    with pod(tmp_path / "pod", runtime(topics), ORDER) as only:
        while not members():
            assert only.process.poll() is None, only.log.read_text()
        assert only.terminate() == 0, "it hears that from before it joins on"
    assert group(topics)[1] == []


def test_a_zombie_whose_name_another_has_taken_over_decides_nothing_and_goes_on_under_a_name_of_its_own(
    topics: Topics, tmp_path: Path
) -> None:
    topics.create(partitions=1)
    with pod(tmp_path / "one" / "twin", runtime(topics), ORDER) as zombie:
        topics.readings(range(1000, 1100), calm)
        topics.until_committed(runtime(topics).group_id, 100)  # without transactions it would fence the heir
        zombie.process.send_signal(signal.SIGSTOP)
        with pod(tmp_path / "two" / "twin", runtime(topics), ORDER) as heir:
            topics.readings(range(1100, 1103), broken)
            heir.until(lambda found: found.alerts == 1)
            topics.readings(range(1103, 1105), broken)
            zombie.process.send_signal(signal.SIGCONT)
            topics.readings(range(1105, 1120), calm)
            heir.until(lambda found: found.alerts == 2)
            zombie.until(lambda _: len(group(topics)[1]) == 2)
            kind, members, partitions = group(topics)
            assert members[0] == "twin"
            assert members[1].startswith("twin-")
            assert (kind, partitions) == (ConsumerGroupType.CLASSIC, 1)
            assert [event for event, _ in seen(topics, 2)] == [EpisodeEvent.OPENED, EpisodeEvent.CLOSED]
            assert zombie.evidence().alerts == 0
            assert zombie.terminate() == heir.terminate() == 0


def test_with_the_consumer_protocol_a_killed_pod_s_successor_decides_each_reading_once(impatient: Broker, tmp_path: Path) -> None:
    topics = Topics(impatient.bootstrap)
    topics.create()
    order = speaking(topics, GroupProtocol.CONSUMER)
    with pod(tmp_path / "pod", order, ORDER) as first:
        topics.readings(range(1000, 1100), calm)
        topics.readings(range(1100, 1102), broken)
        first.until(lambda found: found.alerts == 1)
        assert group(topics)[:2] == (ConsumerGroupType.CONSUMER, ["pod"])
        first.process.kill()
        first.process.wait()
    with pod(tmp_path / "pod", order, ORDER) as second:
        topics.readings(range(1102, 1120), calm)
        evidence = second.until(lambda found: found.alerts == 1)
        assert evidence.readings == evidence.windows
        assert [event for event, _ in seen(topics, 2)] == [EpisodeEvent.OPENED, EpisodeEvent.CLOSED]
        assert second.terminate() == 0
    assert group(topics)[1] == [], "it is not waited for"


@pytest.mark.parametrize(("before", "after"), [tuple(GroupProtocol), tuple(reversed(GroupProtocol))])
def test_a_group_that_is_at_work_goes_over_to_the_other_protocol(
    impatient: Broker, tmp_path: Path, before: GroupProtocol, after: GroupProtocol
) -> None:
    topics = Topics(impatient.bootstrap)
    topics.create()
    with pod(tmp_path / "old", speaking(topics, before), ORDER) as old:
        topics.readings(range(1000, 1100), calm)
        old.until(lambda found: found.readings == 100)
        with pod(tmp_path / "new", speaking(topics, after), ORDER) as new:
            new.until(lambda found: found.source.partitions == 1)
            topics.readings(range(1100, 1103), broken)
            assert old.terminate() == 0
            new.until(lambda found: found.source.partitions == 2)
            topics.readings(range(1103, 1120), calm)
            assert [event for event, _ in seen(topics, 2)] == [EpisodeEvent.OPENED, EpisodeEvent.CLOSED]
            assert group(topics) == (ConsumerGroupType[after.name], ["new"], 2)


@pytest.mark.parametrize("protocol", list(GroupProtocol))
def test_a_pod_for_which_there_is_no_partition_is_ready_and_stays_in_the_group(
    impatient: Broker, tmp_path: Path, protocol: GroupProtocol
) -> None:
    topics = Topics(impatient.bootstrap)
    topics.create(partitions=1)
    order = speaking(topics, protocol)
    with pod(tmp_path / "busy", order, ORDER) as busy:
        busy.until(lambda found: found.source.partitions == 1)
        with pod(tmp_path / "idle", order, ORDER) as idle:
            idle.until(lambda found: found.source.state is SourceState.READING)
            assert idle.get("/readyz")[0] == 200
            assert (idle.evidence().source.partitions, busy.evidence().source.partitions) == (0, 1)
            asker = AdminQueries({"bootstrap.servers": topics.bootstrap})
            eventually(lambda: known(asker, order) == {"busy", "idle"})  # one whose client has died finds out by this


def test_a_pod_that_is_told_nothing_by_the_group_asks_anew(tmp_path: Path) -> None:
    from dev.environment.kafka import broker

    def ids() -> list[str]:
        try:
            return [member.member_id for member in asker.group(runtime(topics).group_id, 3.0).members]
        except KafkaException:  # a coordinator that has just begun
            return []

    with broker.running(f"tests-{os.getpid()}-silent", overrides={"group.initial.rebalance.delay.ms": "300000"}) as silent:
        topics = Topics(silent.bootstrap)
        topics.create()
        asker = AdminQueries({"bootstrap.servers": topics.bootstrap})
        order = hasty(topics, max_poll_interval_ms="8000")  # it asks anew when it could not have polled for so long
        with pod(tmp_path / "pod", order, ORDER) as waiting:
            waiting.until(lambda _: ids())
            first = ids()
            eventually(lambda: ids() not in ([], first), 60)
            assert waiting.evidence().source.state is SourceState.CONNECTING
            assert waiting.terminate() == 0


def test_a_broker_that_does_not_know_the_protocol_is_said_so(tmp_path: Path) -> None:
    from dev.environment.kafka import broker

    overrides = {"group.coordinator.rebalance.protocols": "classic"}
    with broker.running(f"tests-{os.getpid()}-classic", overrides=overrides) as old:
        topics = Topics(old.bootstrap)
        topics.create()
        with pod(tmp_path / "pod", speaking(topics, GroupProtocol.CONSUMER), ORDER) as running:
            evidence = running.until(lambda found: found.source.state is SourceState.FAILED)
            assert "source.kafka.groupProtocol" in evidence.source.message
