"""What is kept of the readings: all windows or an even share of them, divided by time without overlap."""

from __future__ import annotations

import numpy as np
import pytest

from anomaly_api.source import Window
from anomaly_detector.core.columns import MICROSECONDS
from anomaly_detector.training.data.memory_limit import memory_limit
from anomaly_detector.training.data.messages import Messages
from anomaly_detector.training.data.samples import Gathering, Sample, affordable, split
from anomaly_detector.training.job import shortage
from tests.training.conftest import order, pipeline, reading, training


def messages(entities: int = 3, readings: int = 300, first: int = 0) -> Messages:
    made = [reading(place, entity) for place in range(first, readings) for entity in range(entities)]
    count = len(made)
    keys, values = [key for key, _ in made], [value for _, value in made]
    return Messages(values, keys, np.full(count, -1, np.int64), np.zeros(count, np.int64))


def gathered(most: int, pieces: int = 900) -> Gathering:
    found = Gathering(pipeline(), most, seed=1)
    for piece in messages().cut(pieces):
        found.take(piece)
    return found


def test_every_window_is_kept_while_there_is_room():
    found = gathered(most=10_000)
    sample = found.samples()["short"]
    assert (found.readings, found.entities, found.windows, len(sample), sample.complete) == (900, 3, 879, 879, True)
    assert found.interval == 10.0


def test_the_usual_interval_is_that_of_all_readings_not_of_the_last_ones():
    found = Gathering(pipeline(), 1000, seed=1)
    found.take(messages(entities=1))
    keys, values = zip(*(reading(place, 0, start=1_770_000_000.0 + 50 * place) for place in range(20)), strict=True)
    found.take(Messages(list(values), list(keys), np.full(20, -1, np.int64), np.zeros(20, np.int64)))
    assert found.interval == 10.0


def test_too_many_windows_are_thinned_out_evenly_over_time_and_entities():
    sample = gathered(most=300).samples()["short"]
    assert 150 <= len(sample) <= 300
    assert not sample.complete
    middle = np.median(sample.times)
    every = gathered(most=10_000).samples()["short"].times
    assert abs(np.searchsorted(np.sort(every), middle) / len(every) - 0.5) < 0.1
    assert (np.bincount(sample.slots) > len(sample) / 3 * 0.6).all()


def test_what_is_kept_does_not_depend_on_how_many_messages_came_at_once():
    one, other = gathered(most=10_000, pieces=900).samples()["short"], gathered(most=10_000, pieces=37).samples()["short"]
    assert sorted(zip(one.slots, one.times, strict=True)) == sorted(zip(other.slots, other.times, strict=True))


@pytest.mark.parametrize("most", [10_000, 300])
def test_the_order_in_which_partitions_come_changes_nothing(most):
    apart = [[reading(place, entity) for place in range(300)] for entity in range(3)]
    samples = []
    for turns in ([0, 1, 2], [2, 0, 1]):
        found = Gathering(pipeline(), most, seed=1)
        for entity in turns:
            values = [value for _, value in apart[entity]]
            keys = [key for key, _ in apart[entity]]
            found.take(Messages(values, keys, np.full(300, -1, np.int64), np.full(300, entity, np.int64)))
        samples.append(found.samples()["short"])
    one, other = samples
    assert one.slots.tolist() == other.slots.tolist()
    assert one.times.tolist() == other.times.tolist()
    assert one.values.tobytes() == other.values.tobytes()


def test_less_is_kept_where_the_pod_has_less_memory():
    assert affordable(2 << 30) > affordable(1 << 30) > affordable(512 << 20) > 0
    found = Gathering(pipeline(), 10_000, seed=1, most_bytes=300 * 8 * 3 * 4)
    found.take(messages())
    assert 150 <= len(found.samples()["short"]) <= 300


def test_the_limit_of_the_control_group_is_read(tmp_path):
    for said, limit in (("2147483648\n", 2 << 30), ("max\n", None), ("9223372036854771712\n", None)):
        (tmp_path / "memory.max").write_text(said)
        assert memory_limit((tmp_path / "none", tmp_path / "memory.max")) == limit
    assert memory_limit((tmp_path / "none",)) is None


def test_messages_that_cannot_be_read_are_counted_and_the_last_is_explained():
    found = Gathering(pipeline(), 1000, seed=1)
    found.take(Messages([b"{"], [b"pump"], np.array([-1]), np.array([0])))
    assert (found.readings, found.rejected) == (0, 1)
    reason, message = shortage(found, order(), "topic readings")
    assert reason == "UnreadableReadings"
    assert message.startswith("none of the 1 messages of topic readings can be read. The last one: ")


def test_no_readings_at_all_are_said():
    assert shortage(Gathering(pipeline(), 1000, seed=1), order(), "topic readings") == (
        "NoReadings",
        "topic readings has no readings yet; 200 windows are needed",
    )


def test_windows_that_never_fill_because_of_gaps_are_explained():
    narrow = pipeline(windows=[Window(name="short", size=8, max_gap="5s")])
    found = Gathering(narrow, 1000, seed=1)
    found.take(messages())
    reason, message = shortage(found, order(pipeline=narrow), "topic readings")
    assert reason == "GapsTooLong"
    assert "usually 10 s apart and windows break after 5s: raise maxGap of window short" in message


def test_readings_that_are_mostly_out_of_order_are_explained():
    found = Gathering(pipeline(), 1000, seed=1)
    found.take(messages(entities=1, readings=20, first=10))
    for _ in range(3):
        found.take(messages(entities=1, readings=10))
    assert shortage(found, order(training=training()), "topic readings")[0] == "OutOfOrder"


@pytest.mark.parametrize("percent", [5, 20, 50])
def test_the_newest_part_is_held_out_and_no_reading_is_on_two_sides(percent):
    window = Window(name="short", size=8)
    count = 2000
    times = (10 * MICROSECONDS * np.arange(count)).astype(np.int64)
    sample = Sample(np.zeros((count, 8, 1), np.float32), np.zeros(count, np.int64), times, complete=True)
    parts = split(sample, window, 10.0, percent)
    train, validation, held_out = (sample.at(find(sample)) for find in (parts.train, parts.validation, parts.held_out))
    span = 7 * 10 * MICROSECONDS
    assert train.times.max() < validation.times.min() - span
    assert validation.times.max() < held_out.times.min() - span
    assert len(held_out) / count == pytest.approx(percent / 100, abs=0.01)


def test_little_data_is_divided_although_windows_overlap():
    times = (10 * MICROSECONDS * np.arange(40)).astype(np.int64)
    sample = Sample(np.zeros((40, 8, 1), np.float32), np.zeros(40, np.int64), times, complete=True)
    parts = split(sample, Window(name="short", size=8), 10.0, 20)
    assert len(parts.train(sample)) + len(parts.validation(sample)) + len(parts.held_out(sample)) == 40
