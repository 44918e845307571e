"""Readings from the future: refused by their messages' own timestamps, asked for as rarely as can be, however batched."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from anomaly_api.alert import DeadLetterReason
from anomaly_api.source import Time
from anomaly_detector.core.columns import Batch
from anomaly_detector.core.decode.future_guard import FutureGuard

SECOND = 1_000_000
HOUR = 3600
Row = tuple[int, int, int]
"""Partition, event time and message timestamp in seconds; a negative timestamp: none."""


class Asked:
    """Timestamps that note which of them were looked at."""

    def __init__(self, seconds: list[int]) -> None:
        self.seconds = seconds
        self.rows: list[int] = []
        """One by one; and once, -1, for all at once."""

    def __getitem__(self, row: Any, /) -> Any:
        self.rows.append(row if isinstance(row, int) else -1)
        found = np.array(self.seconds)[row]
        return np.where(found >= 0, found * 1000, -1)


def refused(horizon: FutureGuard, rows: list[Row], read: int | None = None) -> tuple[list[int], Asked]:
    asked = Asked([row[2] for row in rows])
    times = np.array([row[1] * SECOND for row in rows], np.int64)
    partitions = np.array([row[0] for row in rows], np.int64)
    batch = Batch(np.arange(len(rows)), partitions, ["a"] * len(rows), times, np.zeros((len(rows), 1), np.float32))
    believed, rejects = horizon.within(batch, asked, -1 if read is None else read * 1000)
    assert {reject.reason for reject in rejects} <= {DeadLetterReason.FUTURE_TIME}
    assert sorted([*believed.rows.tolist(), *(reject.row for reject in rejects)]) == list(range(len(rows)))
    assert times[believed.rows].tolist() == believed.times.tolist()
    return [reject.row for reject in rejects], asked


def horizon(**settings: str) -> FutureGuard:
    return FutureGuard(Time(field="at", **settings))


def test_a_time_too_far_after_the_messages_own_is_refused_and_changes_nothing_for_the_next() -> None:
    mine = horizon()
    rows = [(0, 1000, 1000), (0, 1000 + HOUR, 1001), (0, 1002 + HOUR, 1001), (0, 9 * HOUR, 1003), (0, 1004, 1004)]
    assert refused(mine, rows)[0] == [2, 3]


def test_the_tolerance_is_the_specs() -> None:
    assert refused(horizon(max_ahead="1m"), [(0, 1060, 1000), (0, 1061, 1000)])[0] == [1]


def test_hardly_any_message_is_asked_for_its_timestamp() -> None:
    mine = horizon()
    day = [(0, at, at + 5) for at in range(0, 24 * HOUR, 10)]
    assert len(refused(mine, day)[1].rows) <= 25
    history = [(0, at, 30 * 24 * HOUR) for at in range(24 * HOUR, 48 * HOUR, 10)]
    assert len(refused(mine, history)[1].rows) == 1, "what is read long after it was written is never asked again"


def test_without_a_timestamp_of_the_message_or_a_time_in_the_reading_nothing_is_refused() -> None:
    assert refused(horizon(), [(0, 10, -1), (0, 10**9, -1), (0, 11, -1)])[0] == []
    assert refused(FutureGuard(Time()), [(0, 10**9, 10)])[0] == []


def test_where_no_message_has_a_timestamp_few_are_asked_one_by_one() -> None:
    rows = [(0, at, -1) for at in range(5000)]
    found, asked = refused(horizon(), [*rows, (0, 10**9, 5000), (0, 5001, 5001)])
    assert found == [5000]
    assert len(asked.rows) < 30
    assert asked.rows.count(-1) == 1


def test_one_partitions_clock_says_nothing_about_another() -> None:
    assert refused(horizon(), [(3, 10**9, 10**9), (0, 10**9, 1000)])[0] == [1]


def test_a_timestamp_that_is_the_event_time_is_refused_by_the_readers_clock() -> None:
    rows = [(0, at, at) for at in (1000, 10**9, 1001, 1000 + HOUR, 1002 + HOUR)]
    assert refused(FutureGuard(Time()), rows, read=1001)[0] == [1, 4]
    assert refused(FutureGuard(Time(max_ahead="1m")), rows, read=1001)[0] == [1, 3, 4]


def test_a_timestamp_from_the_future_vouches_for_nothing() -> None:
    rows = [(0, 10**9, 10**9), (0, 1000, 1000), (0, 9 * HOUR, -1)]
    assert refused(horizon(), rows, read=1001)[0] == [0, 2]


def test_what_is_read_long_after_it_was_written_is_compared_with_its_own_timestamp() -> None:
    assert refused(horizon(), [(0, 1000 + 2 * HOUR, 1000)], read=10**6)[0] == [0]


rows_of = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 40), st.just(-1) | st.integers(-1, 40)), max_size=90)


@given(rows=rows_of, size=st.integers(1, 9))
def test_what_is_refused_depends_neither_on_batches_nor_on_where_the_state_was_kept(rows: list[Row], size: int) -> None:
    whole = refused(horizon(max_ahead="5s"), rows)[0]
    mine, found = horizon(max_ahead="5s"), []
    for start in range(0, len(rows), size):
        found += [start + row for row in refused(mine, rows[start : start + size])[0]]
        state = {partition: mine.take(partition) for partition in (0, 1)}
        mine = horizon(max_ahead="5s")
        for partition, each in state.items():
            mine.put(partition, each)
    assert found == whole
    for row in whole:
        assert rows[row][1] > rows[row][2] + 5, "only what is ahead of its own message"
