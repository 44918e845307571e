"""Dead letters on a real broker: as they came, and never in the way of the stream, however large, many or unwelcome they are."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from anomaly_api.assignment import Assignment
from anomaly_api.evidence import SourceState
from anomaly_api.policy import Delivery
from tests.stream.pods import Topics, calm, pod, revision, runtime

pytestmark = pytest.mark.integration
NOISE = Random(1).randbytes(1_500_010)
"""It cannot be compressed: what a topic takes is measured after that."""
BOTH = pytest.mark.parametrize("delivery", list(Delivery))


def test_headers_and_time_of_the_message_are_kept(topics: Topics, tmp_path: Path) -> None:
    topics.create()
    theirs = [("traceparent", b"00-ab-cd-01"), ("topic", b"theirs"), ("empty", None), ("bytes", b"\xff\x00")]
    topics.send(b"\xff\xfe", b"\xff", headers=theirs, timestamp=1_767_261_605_250)
    topics.send(b"", None)
    topics.producer.flush(30)
    with pod(tmp_path / "pod", runtime(topics), Assignment(stable=revision())) as running:
        records = {record.value(): record for record in topics.received(topics.dead_letters, 2)}
        assert (records[b"\xff\xfe"].key(), records[b""].key()) == (b"\xff", None)
        headers = records[b"\xff\xfe"].headers() or []
        assert headers[: len(theirs)] == theirs
        ours = dict(headers[len(theirs) :])
        assert ours.pop("message").startswith(b"the message is not JSON")
        where = {"topic": topics.name.encode(), "partition": b"0", "offset": b"0"}
        assert ours == {"reason": b"NotJson", "stage": b"Parse", "time": b"2026-01-01T10:00:05.250Z", **where}
        assert running.terminate() == 0


@BOTH
def test_what_is_too_large_for_the_topic_is_cut_and_stops_nothing(topics: Topics, tmp_path: Path, delivery: Delivery) -> None:
    topics.create(topics.alerts)
    topics.create(topics.dead_letters, max_message_bytes="1000000")
    topics.create(topics.name, max_message_bytes="4000000")
    topics.readings(range(1000, 1020), calm)
    for number in range(3):
        topics.send(NOISE[: 1_500_000 + number])
    topics.send(b"k", NOISE[:1_500_000])
    topics.send(b"h", headers=[("h", NOISE[:1_500_000])])
    topics.send(b"small")
    topics.readings(range(1020, 1040), calm)
    order = runtime(topics).model_copy(update={"delivery": delivery})
    with pod(tmp_path / "pod", order, Assignment(stable=revision())) as running:
        evidence = running.until(lambda found: found.readings == 46 and found.source.lag == 0)
        assert evidence.windows == 40 - 12
        records = {int(dict(record.headers() or [])["offset"]): record for record in topics.received(topics.dead_letters, 6)}
        assert sorted(records) == list(range(20, 26))
        for offset in (20, 21, 22):
            assert NOISE.startswith(records[offset].value() or b"nothing")
            assert dict(records[offset].headers() or [])["original-size"] == str(1_500_000 + offset - 20).encode()
        assert dict(records[23].headers() or [])["original-key-size"] == b"1500000"
        assert dict(records[24].headers() or [])["original-headers"] == b"1"
        assert [records[offset].value() for offset in (23, 24, 25)] == [b"k", b"h", b"small"]
        assert running.terminate() == 0


@BOTH
def test_a_topic_that_takes_hardly_anything_stops_nothing(topics: Topics, tmp_path: Path, delivery: Delivery) -> None:
    topics.create(topics.name, topics.alerts)
    topics.create(topics.dead_letters, max_message_bytes="200")
    topics.readings(range(1000, 1020), calm)
    topics.send(b"v" * 100_000)
    topics.send(b"no")
    topics.readings(range(1020, 1040), calm)
    order = runtime(topics).model_copy(update={"delivery": delivery})
    with pod(tmp_path / "pod", order, Assignment(stable=revision())) as running:
        running.until(lambda found: found.readings == 42 and found.source.lag == 0)
        topics.readings(range(1040, 1050), calm)
        running.until(lambda found: found.readings == 52 and found.windows == 50 - 12)
        evidence = running.until(lambda found: found.dead_letters_undeliverable == {"TooLarge": 2})
        assert evidence.recently_undeliverable > 0
        assert 'anomaly_detector_dead_letters_undeliverable_total{reason="TooLarge"} 2.0' in running.get("/metrics")[1]
        assert running.terminate() == 0
        log = running.log.read_text()
        assert f"the dead letter of partition 0, offset 20 is left out: the topic {topics.dead_letters} takes no record of" in log
        assert "Traceback" not in log


@BOTH
def test_a_topic_that_was_deleted_is_named_and_everything_arrives_once_it_is_back(
    topics: Topics, tmp_path: Path, delivery: Delivery
) -> None:
    topics.create()
    order = runtime(topics).model_copy(update={"delivery": delivery})
    topics.readings(range(1000, 1020), calm)
    with pod(tmp_path / "pod", order, Assignment(stable=revision())) as running:
        running.until(lambda found: found.readings == 20)
        topics.delete(topics.dead_letters)
        topics.send(b"no")
        topics.readings(range(1020, 1040), calm)
        evidence = running.until(lambda found: found.source.state is SourceState.DEAD_LETTER_TOPIC_NOT_FOUND)
        assert f"topic {topics.dead_letters} does not exist" in evidence.source.message
        assert running.get("/healthz")[0] == 200
        topics.create(topics.dead_letters)
        [record] = topics.received(topics.dead_letters, 1, 60)
        assert record.value() == b"no"
        running.until(lambda found: found.source.state is SourceState.READING and found.windows == 40 - 12, 60)
        assert running.terminate() == 0


@BOTH
def test_a_compacted_topic_stops_nothing_though_it_takes_no_record_without_a_key(
    topics: Topics, tmp_path: Path, delivery: Delivery
) -> None:
    topics.create(topics.name, topics.alerts)
    topics.create(topics.dead_letters, cleanup_policy="compact")
    topics.send(b"no", None)
    topics.send(b"{", b"key")
    topics.readings(range(1000, 1020), calm)
    order = runtime(topics).model_copy(update={"delivery": delivery})
    with pod(tmp_path / "pod", order, Assignment(stable=revision())) as running:
        running.until(lambda found: found.windows == 20 - 12)
        [record] = topics.received(topics.dead_letters, 1, 60)
        assert record.value() == b"{"
        assert running.terminate() == 0
        assert "the dead letter of partition 0, offset 0 is left out" in running.log.read_text()
