"""How far behind a pod says it is, against a topic whose messages and times are known."""

from __future__ import annotations

from bisect import bisect_right

from hypothesis import given
from hypothesis import strategies as st

from anomaly_detector.core.health.lag import Lag, LagTracker, Sight

LONG_AGO = 1_000.0
NOW = 10_000.0


def test_nothing_unread_is_not_behind_however_old_the_last_message_is() -> None:
    assert LagTracker().look(0, Sight(7, 7, LONG_AGO), NOW) == Lag(0, 0.0)


def test_the_age_counts_from_the_last_message_that_was_read() -> None:
    assert LagTracker().look(0, Sight(7, 10, NOW - 90.0), NOW) == Lag(3, 90.0)


def test_a_message_after_a_silence_is_not_as_old_as_the_silence() -> None:
    backlog = LagTracker()
    backlog.look(0, Sight(7, 7, LONG_AGO), NOW)
    assert backlog.look(0, Sight(7, 8, LONG_AGO), NOW + 1) == Lag(1, 1.0)


def test_without_timestamps_the_age_is_the_time_since_the_topic_ended_here() -> None:
    backlog = LagTracker()
    for second in range(10):  # ten messages a second arrive, five are read
        behind = backlog.look(0, Sight(5 * second, 10 * second), NOW + second)
    assert behind == Lag(45, 5.0), "at the ninth second number 45 is next; it came between the fourth and the fifth"


def test_a_backlog_of_unknown_age_ages_from_the_first_look() -> None:
    backlog = LagTracker()
    assert backlog.look(0, Sight(0, 500), NOW) == Lag(500, 0.0)
    assert backlog.look(0, Sight(0, 500), NOW + 30) == Lag(500, 30.0)


def test_a_timestamp_of_the_future_tells_nothing() -> None:
    backlog = LagTracker()
    backlog.look(0, Sight(1, 5, NOW + 999), NOW)
    assert backlog.look(0, Sight(1, 5, NOW + 999), NOW + 3).messages == 4


def test_partitions_are_told_apart_and_one_that_went_away_begins_anew() -> None:
    backlog = LagTracker()
    backlog.look(0, Sight(0, 5), NOW)
    assert backlog.look(1, Sight(0, 5), NOW + 9) == Lag(5, 0.0)
    backlog.forget(0)
    assert backlog.look(0, Sight(0, 5), NOW + 9) == Lag(5, 0.0)


@given(
    gaps=st.lists(st.floats(0.01, 5.0), min_size=5, max_size=80),
    pace=st.floats(0.1, 2.0),
    stamped=st.booleans(),
)
def test_the_age_is_never_too_small_and_too_great_by_one_look_at_most(gaps: list[float], pace: float, stamped: bool) -> None:
    written = [NOW + sum(gaps[:count]) for count in range(len(gaps))]
    backlog = LagTracker()
    backlog.look(0, Sight(0, 0), NOW - 1)
    for second in range(60):
        now = NOW + second
        end = bisect_right(written, now)
        position = min(end, int(second * pace))
        stamp = written[position - 1] if position and stamped else None
        found = backlog.look(0, Sight(position, end, stamp), now)
        assert found.messages == end - position
        age = now - written[position] if position < end else 0.0
        assert age - 1e-6 <= found.seconds <= age + 1.0 + 1e-6
