"""The trace context that a reading's headers carry (W3C Trace Context, level 1), checked before it is handed on."""

import re
from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from anomaly_detector.core.columns import Header

_PARENT: Final = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(-[!-~]*)?")
_STATE: Final = re.compile(r"[ -~\t]{1,512}")
"""Printable, and no longer than what everybody must hand on."""
_LONGEST: Final = 256


class Trace(Struct, frozen=True):
    """What a record says of the trace that its reading belongs to."""

    parent: str
    state: str | None = None


def trace_of(headers: Sequence[Header]) -> Trace | None:
    """The trace context in a message's headers; None where there is none, or one that is not valid.

    >>> trace_of([("traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")]).parent
    '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
    """
    parents = [value for name, value in headers if name.lower() == "traceparent"]
    if len(parents) != 1 or not _valid(parent := _text(parents[0])):
        return None
    state = ",".join(filter(None, (_text(value).strip() for name, value in headers if name.lower() == "tracestate")))
    return Trace(parent, state if _STATE.fullmatch(state) else None)


def _valid(parent: str) -> bool:
    """Of a version that is not known yet, what may follow is not ours to judge."""
    found = _PARENT.fullmatch(parent) if len(parent) <= _LONGEST else None
    if found is None:
        return False
    version, trace, span, more = found.groups()
    return version != "ff" and not (version == "00" and more) and trace.strip("0") != "" and span.strip("0") != ""


def _text(value: bytes | None) -> str:
    return (value or b"").decode("ascii", errors="replace")
