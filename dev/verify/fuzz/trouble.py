"""Messages that are known to be trouble: what the property tests and the fuzzer begin with. What is found is added here."""

from __future__ import annotations

import json
from typing import Any

from anomaly_detector.core.decode.sizes import MAX_BYTES
from dev.verify.fuzz.laws import GOOD

NUMBERS = [
    *(b"NaN", b"Infinity", b"-Infinity", b"1e999", b"-1e999", b"-0", b"-0.0", b"5e-324", b"1e-400", b"3.4028235677973366e38"),
    *(b"3.4028235e38", b"1e300", b"9" * 19, b"9" * 40, b"9" * 400, b"9" * 5000, b"-" + b"9" * 400, b"0." + b"3" * 5000),
    *(b"18446744073709551616", b"-9223372036854775809", b"true", b"null", b'"1.5"', b'"NaN"', b"[1]", b'{"b":1}', b"01", b"+1"),
    *(b".5", b"1.", b"0x10", b"1_000", b"\xef\xbc\x91", b"-", b"nan", b"-inf", b"N/A", b"undefined", b'"1.018,5"', b'"-9999"'),
    *(b"-9999", b'"' + b"9" * 400 + b'"', b'"1e999"', b'"RUNNING"', b'[{"n":"a","v":1},{"n":"a","v":2},3,{"n":1}]'),
]
TIMES = [
    *(b"-1", b"0", b"1e18", b"-62135596800", b"253402300800", b"253402300799.999999", b"1767225600000", b"1767225600000000000"),
    *(b'"0000-01-01T00:00:00Z"', b'"9999-12-31T23:59:59.999999Z"', b'"10000-01-01T00:00:00Z"', b'"2026-01-01T24:00:00Z"'),
    *(b'"0001-01-01T00:00:00+23:59"', b'"9999-12-31T23:59:59-23:59"', b'"2026-06-30T23:59:60Z"', b'"2026-01-01"', b'"20260101"'),
    *(b'"2026-W01-1"', b'"2026-01-01T00:00:00+99:00"', b'" 2026-01-01T00:00:00Z"', b'"\\ud800"', b'""'),
]
NAMES = [
    *(b'""', b'"\\u0000"', b'"\\ud800"', b'"\\ud83d\\ude00"', b'"\\n\\t"', b'"' + b"x" * 600 + b'"', b'"\xff"', b"-0", b"1e3"),
    *(
        b'"\\u202e\\u0007"',
        b'"' + "é".encode() * 512 + b'"',
        b'"' + "é".encode() * 513 + b'"',
        b"123456789012345678901234567890123",
    ),
]
WHOLE: list[bytes | None] = [
    *(None, b"", b"{}", b"[]", b"null", b"0", b'""', b"\x00", b"\xff", b" ", b"{", b"}", b'{"a":1}x', b'{"a":1}{"a":1}'),
    *(b"\xef\xbb\xbf" + GOOD[0], GOOD[0].decode().encode("utf-16"), GOOD[0].decode().encode("utf-16-le"), GOOD[0] + b"\x00"),
    *(b'{"a":1,"a":2}', b'{"a":1,"a":"x"}', b'{"a":"x","a":1}', b'{"\\u0061":1}', b'{"a":1,"b":"\xff"}', b'{"a":1,"\xff":2}'),
    *(b"[" * 100_000, b'{"a":' * 100_000, b"[" * 255 + b"]" * 255, b'{"a":1,"z":' + b"[" * 255 + b"]" * 255 + b"}"),
    *(b'{"a":1,"z":' + b"[" * 256 + b"]" * 256 + b"}", b'{"a":1,"z":"' + b"[" * 300 + b'"}', b'{"a":1,"z":' + b"[" * 900 + b"}"),
    *(b'{"a":1,"z":"' + b"y" * MAX_BYTES + b'"}', b'{"a":1,"z":"' + b"y" * (MAX_BYTES - 14) + b'"}', b"x" * 1_100_000),
    *(b'{"a":NaN,"z":"NaN nan inf"}', b'{"a":nan,"z":"\\"nan"}', b'{"a":1,"z":"' + b"\\" * 999 + b"nan}", b'"{\\"a\\":1}"'),
    *(b"{" + b",".join(b'"f%d":%d' % (at, at) for at in range(10_000)) + b"}", b'{"a":' + b"nan," * 2_000 + b"1}"),
    *(b'{"a":1,"z":"\\ud800"}', b'{"a":1,"z":1e999}', b'{"a":1,"z":NaN}', b'{"a":1,"z":' + b"9" * 5000 + b"}"),
]


def put(place: int, into: str, written: bytes) -> bytes:
    """A good message with something else in a place, unquoted as it is."""
    document: dict[str, Any] = json.loads(GOOD[place])
    *nodes, last = into.split(".")
    inner = document
    for node in nodes:
        inner = inner.setdefault(node, {})
    inner[last] = "@"
    return json.dumps(document).encode().replace(b'"@"', written)


CHANGES = [
    (place, put(place, into, written))
    for place, (numbers, times, names) in enumerate(
        [
            (["a"], [], []),
            (["s.a", "c"], ["t"], ["d.id"]),
            (["s.b"], ["t"], ["id"]),
            (["b"], ["at.t"], []),
            (["s.a"], [], ["s.a"]),
            (["a", "b", "c"], ["t"], ["h", "i"]),
            (["l"], ["t"], ["type"]),
        ]
    )
    for where, what in ((numbers, NUMBERS), (times, TIMES + NUMBERS), (names, NAMES + NUMBERS))
    for into in where
    for written in what
]
