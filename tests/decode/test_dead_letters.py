"""The record of a message that could not be read: its own bytes and headers, ours last, and what is left of it when cut."""

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from anomaly_api.alert import DeadLetterReason
from anomaly_detector.core.columns import Messages
from anomaly_detector.core.decode.dead_letters import dead_letters, shortened, weight
from anomaly_detector.core.decode.json import Reject
from anomaly_detector.core.state.records import Read, Record

_OURS = ["reason", "message", "topic", "partition", "offset", "time"]


def letter(value: bytes | None = b"{", key: bytes | None = b"k", headers: Any = (), stamp: int = 1_767_261_605_250) -> Record:
    messages = Messages([b"good", value], [None, key], np.array([0, stamp]), np.array([3, 3]), lambda row: headers if row else ())
    [found] = dead_letters(
        Read(messages, np.array([8, 9])), [Reject(1, DeadLetterReason.NOT_JSON, "cut off")], "readings", "dead"
    )
    return found


def test_a_dead_letter_is_the_message_as_it_came_and_says_where_it_came_from() -> None:
    found = letter(b"{", b"pump-1", [("trace", b"1"), ("topic", b"theirs"), ("none", None)])
    assert (found.topic, found.key, found.value) == ("dead", b"pump-1", b"{")
    assert found.headers[:3] == (("trace", b"1"), ("topic", b"theirs"), ("none", None))
    assert dict(found.headers[3:]) == {
        "reason": b"NotJson",
        "message": b"cut off",
        "stage": b"Parse",
        "topic": b"readings",
        "partition": b"3",
        "offset": b"9",
        "time": b"2026-01-01T10:00:05.250Z",
    }


def test_a_message_without_a_time_or_with_one_that_no_calendar_has_is_no_obstacle() -> None:
    for stamp in (-1, -(2**63), 2**62, 2**63 - 1):
        assert dict(letter(stamp=stamp).headers)["time"] == b""
    assert dict(letter(stamp=0).headers)["time"] == b"1970-01-01T00:00:00.000Z"


def test_rows_of_a_part_of_a_batch_keep_their_headers() -> None:
    messages = Messages(
        [b"a", b"b", b"c"], [None] * 3, np.zeros(3, np.int64), np.zeros(3, np.int64), lambda row: [("n", b"%d" % row)]
    )
    part = Read(messages, np.arange(3)).select(np.array([False, True, True]))
    again = part.select(np.array([False, True]))
    assert (again.messages.values, again.messages.headers(0)) == ([b"c"], [("n", b"2")])


@given(
    value=st.none() | st.integers(0, 300_000).map(bytes),
    key=st.none() | st.integers(0, 300_000).map(bytes),
    headers=st.lists(st.tuples(st.text(max_size=9), st.none() | st.integers(0, 70_000).map(bytes)), max_size=3),
)
def test_a_letter_that_is_cut_gets_smaller_each_time_until_only_our_headers_are_left(value: Any, key: Any, headers: Any) -> None:
    record: Record | None = letter(value, key, headers)
    cuts = 0
    while record is not None:
        assert [name for name, _ in record.headers if name in _OURS][-6:] == _OURS
        assert (record.key is None, record.value is None) == (key is None, value is None), "a tombstone stays one"
        last, record = record, shortened(record)
        if record is not None:
            cuts += 1
            assert weight(record) < weight(last)
            assert (value or b"").startswith(record.value or b"")
            said = dict(record.headers)
            assert int(said.get("original-size") or len(record.value or b"")) == len(value or b"")
            assert int(said.get("original-key-size") or len(record.key or b"")) == len(key or b"")
            assert int(said.get("original-headers") or 0) == len(headers)
    assert cuts <= 3
    assert weight(last) < 1000
