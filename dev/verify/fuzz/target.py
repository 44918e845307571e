"""The process that fuzzes, in an environment that has atheris. Arguments are libFuzzer's; a broken law ends it with the input."""

from __future__ import annotations

import sys
from typing import Final

import atheris

with atheris.instrument_imports(include=["anomaly_detector", "dev.verify.fuzz"]):
    from dev.verify.fuzz import laws
    from dev.verify.fuzz.laws import GOOD, PIPELINES, Sent

_MOST: Final = 6
"""Messages at once."""


def sent(found: bytes) -> tuple[int, list[Sent]]:
    """A pipeline and messages from the fuzzer's bytes: a line each, the first byte of a line says what becomes of it."""
    place, lines = (found[0] & 127 if found else 0) % len(PIPELINES), found[1:].split(b"\n")[:_MOST]
    return place, [_message(place, line) for line in lines]


def _message(place: int, line: bytes) -> Sent:
    """The low bits choose: a null value, a key of its own, a time of its own, a good message with the line as its key."""
    how, rest = (line[0], line[1:]) if line else (0, b"")
    if how & 7 == 1:
        return Sent(None, rest)
    if how & 7 == 2:
        return Sent(GOOD[place], rest)
    if how & 7 == 3:
        key, _, value = rest.partition(b"\t")
        return Sent(value, key)
    if how & 7 == 4:
        return Sent(rest[8:], None, int.from_bytes(rest[:8], "big", signed=True))
    return Sent(line)


def test_one(found: bytes) -> None:
    """The laws, for one input; those of the whole stream, which take most of the time, where its first bit asks for them."""
    place, messages = sent(found)
    laws.check_decoding(place, messages)
    laws.check_letters(place, messages)
    if found[:1] >= b"\x80":
        laws.check_stream(place, messages)


def main() -> None:
    """Until libFuzzer's time is over."""
    atheris.Setup(sys.argv, test_one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
