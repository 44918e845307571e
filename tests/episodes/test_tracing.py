"""Trace context: what is handed on, and that nothing else is."""

import pytest

from anomaly_detector.core.alerts.tracing import Trace, trace_of

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_a_valid_context_is_handed_on_as_it_is() -> None:
    headers = [("other", b"x"), ("traceparent", PARENT.encode()), ("tracestate", b"rojo=00f067aa0ba902b7,congo=t61rcWkgMzE")]
    assert trace_of(headers) == Trace(PARENT, "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE")


def test_a_version_of_the_future_may_say_more() -> None:
    assert trace_of([("traceparent", b"cc" + PARENT[2:].encode() + b"-what-comes")]) is not None


@pytest.mark.parametrize(
    "parent",
    [
        b"",
        None,
        b"\xff\xfe",
        PARENT.upper().encode(),
        b"ff" + PARENT[2:].encode(),
        PARENT.encode() + b"-more",
        PARENT[:-1].encode(),
        b"00-" + b"0" * 32 + b"-b7ad6b7169203331-01",
        b"00-0af7651916cd43dd8448eb211c80319c-" + b"0" * 16 + b"-01",
        PARENT.encode() + b"\n",
        b"cc" + PARENT[2:].encode() + b"-" + b"x" * 1000,
    ],
)
def test_an_invalid_context_is_none(parent: bytes | None) -> None:
    assert trace_of([("traceparent", parent), ("tracestate", b"a=b")]) is None


def test_without_a_parent_or_with_two_there_is_none() -> None:
    assert trace_of([("tracestate", b"a=b")]) is None
    assert trace_of([("traceparent", PARENT.encode())] * 2) is None


@pytest.mark.parametrize(
    ("states", "state"),
    [([b"a=b", b"c=d"], "a=b,c=d"), ([b""], None), ([b"x" * 513], None), ([b"a=\xff"], None), ([None], None)],
)
def test_a_state_that_is_not_sound_is_left_out(states: list[bytes | None], state: str | None) -> None:
    assert trace_of([("traceparent", PARENT.encode()), *(("tracestate", each) for each in states)]) == Trace(PARENT, state)
