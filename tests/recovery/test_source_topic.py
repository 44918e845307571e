"""Which topic it is that is read: one that was made anew, one that got partitions, one of which readings were deleted."""

from __future__ import annotations

from pathlib import Path

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient, NewPartitions

from anomaly_api.assignment import Assignment, Runtime
from anomaly_api.source import StartFrom
from anomaly_detector.core.pipeline import DetectionPipeline
from anomaly_detector.core.state import changelog
from anomaly_detector.core.state.changelog import Change, CheckpointHeader, SourceIdentity
from anomaly_detector.core.state.checkpoint import pack
from anomaly_detector.core.state.recovery import Changelog
from tests.recovery.crash_model import REVISIONS, SOURCE
from tests.stream.pods import Topics, broken, calm, pod, revision, runtime

OLD, NEW = SourceIdentity(topic="old", partitions=2), SourceIdentity(topic="new", partitions=2)


def begun(source: SourceIdentity | None) -> Changelog:
    """A partition that was begun at offset 0."""
    found = Changelog()
    fact = Change(number=1, offset=0, begin=True, configuration=DetectionPipeline(SOURCE, REVISIONS[0]).configuration)
    found.add(changelog.change_key(1), fact.model_dump_json().encode())
    if source is not None:
        found.add(changelog.source_key(), source.model_dump_json().encode())
    return found


def test_offsets_of_a_topic_that_is_no_more_are_not_taken_for_those_of_its_successor() -> None:
    found = begun(OLD).recover(50, 0, 400, latest=True, source=NEW)
    assert (found.start, found.until, found.configuration, found.source) == (0, 0, None, NEW)
    assert "deleted and made anew" in found.note


@pytest.mark.parametrize("now", [OLD, OLD.model_copy(update={"topic": ""}), None])
def test_in_the_same_topic_it_goes_on(now: SourceIdentity | None) -> None:
    found = begun(OLD).recover(50, 0, 400, latest=True, source=now)
    assert (found.start, found.until, found.source) == (0, 50, None)
    assert found.configuration is not None


def test_what_was_begun_without_a_word_of_its_topic_goes_on_and_is_written_down() -> None:
    found = begun(None).recover(50, 0, 400, latest=True, source=NEW)
    assert (found.start, found.until, found.source) == (0, 50, NEW)


@pytest.mark.parametrize(("added", "start"), [(False, 400), (True, 0)])
def test_a_partition_that_was_added_is_read_from_its_first_message(added: bool, start: int) -> None:
    found = Changelog().recover(None, 0, 400, latest=True, source=NEW, added=added)
    assert found.start == start


@pytest.mark.parametrize(
    ("checkpoint", "low", "latest", "start", "skipped"),
    [
        (250, 0, True, 250, 0),  # what came after the checkpoint is decided again, and nothing is missed
        (250, 300, True, 300, 50),
        (250, 0, False, 0, 0),
        (None, 0, True, 400, 0),
        (None, 100, False, 100, 0),
    ],
)
def test_a_group_that_has_lost_its_position_goes_on_at_the_last_checkpoint(
    checkpoint: int | None, low: int, latest: bool, start: int, skipped: int
) -> None:
    known = begun(OLD)
    if checkpoint is not None:
        configuration = DetectionPipeline(SOURCE, REVISIONS[0]).configuration
        header = CheckpointHeader(offset=checkpoint, slot="a", pieces=0, number=1, configuration=configuration)
        known.add(changelog.header_key(), header.model_dump_json().encode())
    found = known.recover(None, low, 400, latest=latest, source=OLD)
    assert (found.start, found.until, found.skipped, found.configuration) == (start, start, skipped, None)
    assert "lost its position" in found.note


def test_a_position_that_was_moved_back_decides_nothing_twice_and_says_what_to_do() -> None:
    known, configuration = begun(OLD), DetectionPipeline(SOURCE, REVISIONS[0]).configuration
    for place, piece in enumerate(pack(DetectionPipeline(SOURCE, REVISIONS[0]).preprocessor.snapshot(0))):
        known.add(changelog.piece_key("a", place), piece)
    header = CheckpointHeader(offset=250, slot="a", pieces=1, number=1, configuration=configuration)
    known.add(changelog.header_key(), header.model_dump_json().encode())
    found = known.recover(100, 0, 400, latest=True, source=OLD)
    assert (found.start, found.until) == (250, 250)
    assert "delete the state topic as well" in found.note


def test_records_that_somebody_else_wrote_into_the_state_topic_are_left_out_and_told() -> None:
    known = begun(OLD)
    known.add(changelog.change_key(7), b"hello")
    known.add(changelog.episodes_key("pump-1")[:-1] + b"\xff", b"hello")
    found = known.recover(100, 0, 400, latest=True, source=OLD)
    assert (found.until, found.episodes) == (100, {})
    assert "2 records of the state topic make no sense" in found.note


def beginning_late(topics: Topics) -> Runtime:
    """What a pod is told that begins at the end of a topic where its group has no offsets."""
    order = runtime(topics)
    return order.model_copy(update={"kafka": order.kafka.model_copy(update={"start_from": StartFrom.LATEST})})


def make_anew(topics: Topics, partitions: int = 2) -> None:
    admin = AdminClient({"bootstrap.servers": topics.bootstrap})
    admin.delete_topics([topics.name])[topics.name].result(30)
    while topics.name in admin.list_topics(timeout=10).topics:
        pass
    topics.create(topics.name, partitions=partitions)


@pytest.mark.integration
def test_a_topic_that_is_made_anew_while_it_is_read_is_read_whole(topics: Topics, tmp_path: Path) -> None:
    topics.create()
    with pod(tmp_path / "pod", beginning_late(topics), Assignment(stable=revision())) as running:
        running.until(lambda found: found.source.partitions == 2 and found.source.recovering == 0)
        topics.readings(range(1000, 1050), calm)
        running.until(lambda found: found.readings == 50)
        make_anew(topics)
        again = Topics(topics.bootstrap, topics.name)  # a producer that knew the old one would wait for it
        again.readings(range(2000, 2100), calm)  # more than the old one held: its offsets are there
        again.readings(range(2100, 2103), broken)
        opened = topics.received(topics.alerts, 1, seconds=60)
        assert b'"time":"1970-01-01T00:35:01Z"' in (opened[0].value() or b"")
        running.until(lambda found: found.source.lag == 0 and found.readings >= 153)
        assert "was deleted and made anew" in running.log.read_text()
        assert running.terminate() == 0


@pytest.mark.integration
def test_partitions_that_a_topic_gets_are_read_from_their_first_message(topics: Topics, tmp_path: Path) -> None:
    topics.create()
    with pod(tmp_path / "pod", beginning_late(topics), Assignment(stable=revision())) as running:
        running.until(lambda found: found.source.partitions == 2 and found.source.recovering == 0)
        topics.readings(range(1000, 1010), calm)
        running.until(lambda found: found.readings == 10)
        admin = AdminClient({"bootstrap.servers": topics.bootstrap})
        admin.create_partitions([NewPartitions(topics.name, 4)])[topics.name].result(30)
        again = Topics(topics.bootstrap, topics.name)
        for at in range(1000, 1030):
            again.send(b'{"at": %d, "temperature": 20.0, "pressure": 3.0}' % at, b"pump-9", partition=3)
        assert again.producer.flush(30) == 0
        evidence = running.until(lambda found: found.source.partitions == 4 and found.readings == 40, seconds=60)
        assert evidence.source.skipped == 0
        assert running.terminate() == 0


@pytest.mark.integration
def test_readings_that_are_deleted_while_it_stands_still_are_counted_and_it_goes_on(topics: Topics, tmp_path: Path) -> None:
    topics.create()
    with pod(tmp_path / "pod", runtime(topics), Assignment(stable=revision())) as running:
        topics.readings(range(1000, 1050), calm)
        running.until(lambda found: found.readings == 50)
        running.freeze()
        topics.readings(range(1050, 1060), calm)  # answers the fetch that was waiting
        topics.readings(range(1060, 1150), calm)
        admin = AdminClient({"bootstrap.servers": topics.bootstrap})
        admin.delete_records([TopicPartition(topics.name, 0, 120)])[TopicPartition(topics.name, 0, 120)].result(30)
        running.wake()
        evidence = running.until(lambda found: found.readings + found.source.skipped == 150, seconds=60)
        assert evidence.source.skipped > 0, "of what had not been on its way"
        assert "to 119 were deleted before they were read" in running.log.read_text()
        topics.readings(range(1150, 1160), calm)
        running.until(lambda found: found.readings + found.source.skipped == 160)
        running.until(lambda found: found.source.stored == 40, seconds=60)
        assert running.terminate() == 0
