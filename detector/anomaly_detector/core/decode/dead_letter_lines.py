"""Dead letters as lines of JSON: what people correct with the tools that they have. It knows no broker.

    {"letter": {"partition": 1, "offset": 12, "keyCrc32": 1},
     "origin": {"topic": "readings", "partition": 3, "offset": 881, "time": "..."},
     "reason": "FeatureInvalid", "message": "...", "key": "pump-7", "value": "{...}", "headers": [["traceparent", "..."]]}

Bytes are text where they are UTF-8, and {"base64": "..."} where they are not. Null is none at all.
"""

import base64
import binascii
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from anomaly_detector.core.columns import Header
from anomaly_detector.core.decode.dead_letters import MESSAGE, PUT_BACK, REASON, Origin, origin, split


class Base64(msgspec.Struct, frozen=True):
    """Bytes that are no text."""

    base64: str


Written = str | Base64 | None


class Letter(msgspec.Struct, frozen=True, rename="camel"):
    """The record of the dead-letter topic."""

    partition: int
    offset: int
    key_crc32: int
    """Of the message's own key; -1 where it had none. Shows whether the key has been corrected."""


class Source(msgspec.Struct, frozen=True):
    """`Origin`, as it is written."""

    topic: str
    partition: int
    offset: int
    time: str = ""


class Line(msgspec.Struct, frozen=True):
    """A dead letter."""

    letter: Letter
    origin: Source
    key: Written
    value: Written
    headers: list[tuple[str, Written]] = []
    reason: str = ""
    message: str = ""
    more: dict[str, str] = {}
    """How much there was of what had to be cut."""

    @property
    def source(self) -> Origin:
        """Where the message was."""
        return Origin(*msgspec.structs.astuple(self.origin))

    @property
    def put_back(self) -> bool:
        """Whether it only says that a message was put back."""
        return self.reason == PUT_BACK


class LineError(Exception):
    """A line that is none; the message says why."""


def line(partition: int, offset: int, key: bytes | None, value: bytes | None, headers: Sequence[Header]) -> Line | None:
    """A record of the dead-letter topic. None: it is no dead letter of ours."""
    parts = split(headers)
    source = origin(parts[1]) if parts else None
    if parts is None or source is None:
        return None
    theirs, ours = parts
    return Line(
        letter=Letter(partition, offset, crc32(key)),
        origin=Source(*source),
        key=_write(key),
        value=_write(value),
        headers=[(name, _write(content)) for name, content in theirs],
        reason=ours[REASON],
        message=ours.get(MESSAGE, ""),
        more=_more(ours),
    )


def crc32(key: bytes | None) -> int:
    """-1: there is none."""
    return -1 if key is None else zlib.crc32(key)


def encode(written: Line) -> bytes:
    """Without its end."""
    return msgspec.json.encode(written)


def decode(text: bytes) -> Line:
    """Raises LineError."""
    try:
        return msgspec.json.decode(text, type=Line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise LineError(f"{error}; a line is what `list` prints, with another key or value") from error


def content(written: Written) -> bytes | None:
    """The bytes. Raises LineError."""
    if not isinstance(written, Base64):
        return None if written is None else written.encode()
    try:
        return base64.b64decode(written.base64, validate=True)
    except (binascii.Error, ValueError) as error:
        raise LineError(f"base64: {error}") from error


def headers_of(found: Line) -> list[Any]:
    """The message's own headers, as a client takes them. Raises LineError."""
    return [(name, content(written)) for name, written in found.headers]


def _write(found: bytes | None) -> Written:
    if found is None:
        return None
    try:
        return found.decode()
    except UnicodeDecodeError:
        return Base64(base64.b64encode(found).decode())


def _more(ours: Mapping[str, str]) -> dict[str, str]:
    return {name: text for name, text in ours.items() if name.startswith("original-")}
