"""Reads protobuf's wire format without a schema: fields by number. Nothing is copied, and no length is believed.

Images of detectors have no `onnx`, and a parser for graphs that nobody knows should be small enough to be read.
"""

from collections.abc import Iterator
from typing import Final

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_LONGEST_VARINT: Final = 10

Value = int | memoryview
"""A number, or the bytes of a text, a message or packed numbers."""


class TruncatedError(ValueError):
    """The bytes end in the middle of a field, or are no protobuf at all."""


def fields(content: memoryview) -> Iterator[tuple[int, Value]]:
    r"""Number and value of each field of a message, in order. Raises TruncatedError.

    >>> list(fields(memoryview(b"\x08\x96\x01")))
    [(1, 150)]
    """
    at, end = 0, len(content)
    while at < end:
        key, at = _varint(content, at)
        number, kind = key >> 3, key & 7
        if not number:
            raise TruncatedError(f"there is no field 0, at byte {at}")
        if kind == _VARINT:
            value, at = _varint(content, at)
            yield number, value
            continue
        if kind == _BYTES:
            length, at = _varint(content, at)
        elif kind in (_FIXED64, _FIXED32):
            length = 8 if kind == _FIXED64 else 4
        else:
            raise TruncatedError(f"field {number} is of wire type {kind}, which protobuf no longer has")
        if at + length > end:
            raise TruncatedError(f"field {number} is to have {length:,} bytes, and {end - at:,} are left")
        yield number, content[at : at + length]
        at += length


def numbers(value: Value) -> list[int]:
    """The integers of a repeated field that may be packed. Raises TruncatedError."""
    if isinstance(value, int):
        return [value]
    found, at = [], 0
    while at < len(value):
        each, at = _varint(value, at)
        found.append(each)
    return found


def text(value: Value) -> str:
    """A string field; what is no UTF-8 is replaced."""
    return bytes(value).decode("utf-8", "replace") if isinstance(value, memoryview) else ""


def message(value: Value) -> memoryview:
    """A message field. Raises TruncatedError where it is a number."""
    if isinstance(value, memoryview):
        return value
    raise TruncatedError("a message was expected where a number is")


def _varint(content: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for place in range(_LONGEST_VARINT):
        if at + place >= len(content):
            raise TruncatedError("it ends in the middle of a number")
        byte = content[at + place]
        value |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return value, at + place + 1
    raise TruncatedError("a number is longer than protobuf allows")
