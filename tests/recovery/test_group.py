"""What the consumer group makes of a pod that dies, comes back, is scaled away or has a twin: both protocols, a real broker."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest
from confluent_kafka import Consumer, ConsumerGroupState, ConsumerGroupType, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from anomaly_api.alert import Alert, EpisodeEvent
from anomaly_api.assignment import Assignment, Runtime
from anomaly_api.evidence import SourceState
from anomaly_api.source import GroupProtocol
from anomaly_detector.adapters.kafka.consume.reader import Reader
from anomaly_detector.adapters.kafka.diagnose import unassigned
from anomaly_detector.adapters.kafka.diagnose.admin import AdminQueries
from anomaly_detector.adapters.kafka.produce.connections import Connections
from tests.stream.pods import Topics, broken, calm, pod, revision, runtime

if TYPE_CHECKING:
    from dev.environment.kafka.broker import Broker

pytestmark = pytest.mark.integration
ORDER = Assignment(stable=revision())
SESSION = 10.0
"""Seconds that the group waits for a member that says nothing."""


@pytest.fixture(scope="module")
def impatient() -> Iterator[Broker]:
    """A broker that waits for silent members of the consumer protocol for two seconds instead of 45, for others as they ask."""
    from dev.environment.kafka import broker

    overrides = {
        "group.min.session.timeout.ms": "500",
        "group.consumer.min.session.timeout.ms": "2000",
        "group.consumer.session.timeout.ms": "2000",
        "group.consumer.min.heartbeat.interval.ms": "300",
        "group.consumer.heartbeat.interval.ms": "300",
    }
    with broker.running(f"tests-{os.getpid()}-group", overrides=overrides) as running:
        yield running


def speaking(topics: Topics, protocol: GroupProtocol) -> Runtime:
    order = runtime(topics)
    return order.model_copy(update={"kafka": order.kafka.model_copy(update={"group_protocol": protocol})})


def group(topics: Topics) -> tuple[ConsumerGroupType, list[str], int]:
    """Its type, the names of its members, and how many partitions they have in all."""
    admin = AdminClient({"bootstrap.servers": topics.bootstrap})
    name = runtime(topics).group_id
    found = admin.describe_consumer_groups([name])[name].result(30)
    assert found.state is not ConsumerGroupState.DEAD, "there is no such group"
    members = sorted(member.client_id for member in found.members)
    return found.type, members, sum(len(member.assignment.topic_partitions) for member in found.members)


def seen(topics: Topics, count: int) -> list[tuple[EpisodeEvent, str]]:
    """Alerts, as who reads committed records sees them; more than `count` if there are."""
    topics.received(topics.alerts, count)
    records = topics.received(topics.alerts, count + 1, seconds=2.0)
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
        with pod(tmp_path / "pod", runtime(topics), ORDER) as waiting:
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


class Hesitant:
    """A consumer that is expelled from its group in the instant before it assigns a partition."""

    def __init__(self, consumer: Consumer) -> None:
        self._consumer = consumer
        self.expelled: Callable[[], object] = lambda: None

    def incremental_assign(self, places: list[TopicPartition]) -> None:
        self.expelled()
        self._consumer.incremental_assign(places)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._consumer, name)


@pytest.mark.parametrize("instant", ["before", "while"])
def test_partitions_that_were_lost_are_told_as_lost_though_one_of_them_begins(impatient: Broker, instant: str) -> None:
    topics = Topics(impatient.bootstrap)
    topics.create()
    topics.readings(range(1000, 1010), calm)
    order = runtime(topics)
    hasty = {"session.timeout.ms": "1000", "max.poll.interval.ms": "1000", "heartbeat.interval.ms": "300"}
    order = order.model_copy(update={"kafka": order.kafka.model_copy(update={"properties": hasty})})
    told: list[tuple[list[int], bool]] = []
    connections = Connections(order, "pod", lambda _: lambda _: None)
    hesitant = Hesitant(connections.member)
    connections.member = cast("Consumer", hesitant)
    reader = Reader(order, connections, lambda _: None, lambda partitions, ours: told.append((partitions, ours)))

    def expelled() -> None:
        """Nobody has polled for too long: the client has given up, and waits to say so."""
        eventually(lambda: group(topics)[1] == [])

    try:
        reader.join()
        eventually(lambda: reader.read(1, 0.1) is None and reader.partitions == 2)
        reader.begin({0: 5})
        eventually(lambda: (found := reader.read(1, 0.1)) is not None and found.offsets[:].tolist() == [5])
        if instant == "before":
            expelled()
        else:
            hesitant.expelled = expelled
        reader.begin({1: 0})
        hesitant.expelled = lambda: None
        eventually(lambda: reader.read(1, 0.1) is None and told)
        assert told == [([0, 1], False)], "what was decided of them is not ours to commit"
    finally:
        reader.close()


def known(asker: AdminQueries, order: Runtime) -> frozenset[str] | None:
    """The members, as a pod sees them."""
    return unassigned.group(asker, order, 1, unassigned.Group(), 10.0).members


def eventually(holds: Callable[[], object], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not come so"
        time.sleep(0.02)


@pytest.fixture
def own() -> Iterator[Broker]:
    """A broker that may be killed."""
    from dev.environment.kafka import broker

    with broker.running(f"tests-{os.getpid()}-half-way") as running:
        yield running


def test_partitions_that_a_rebalance_left_half_way_are_shared_anew(own: Broker, tmp_path: Path) -> None:
    topics = Topics(own.bootstrap)
    topics.create()
    with pod(tmp_path / "giver", runtime(topics), ORDER) as giver:
        giver.until(lambda found: found.source.partitions == 2 and not found.source.recovering)
        with pod(tmp_path / "taker", runtime(topics), ORDER) as taker:
            eventually(lambda: "partitions given up" in giver.log.read_text())
            for process in (giver.process, taker.process):
                process.kill()
            own.kill()
            own.start()
    with pod(tmp_path / "giver", runtime(topics), ORDER) as giver, pod(tmp_path / "taker", runtime(topics), ORDER) as taker:
        pods = (giver, taker)
        for each in pods:
            each.until(lambda found: found.source.state is SourceState.READING)
        eventually(lambda: sum(each.evidence().source.partitions for each in pods) == 2, 90)
