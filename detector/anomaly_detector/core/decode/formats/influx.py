"""InfluxDB's line protocol, version 2: `measurement,tag=a field=1.5,count=2i,on=t,text="b" 1672531200000000000`."""

import re
from typing import Any, Final

from anomaly_detector.core.decode.flaw import Flaw
from anomaly_detector.core.decode.formats.port import MOST_READINGS, Document, malformed, too_many

MEASUREMENT: Final = "measurement"
TIME: Final = "time"
_KEY: Final = r"(?:[^,= \\\n]|\\.)+"
_TEXT: Final = r'"(?:[^"\\]|\\.)*"'
_LINE: Final = re.compile(
    rf"(?P<measurement>(?:[^, \\\n]|\\.)+)(?P<tags>(?:,{_KEY}={_KEY})*) +"
    rf"(?P<fields>{_KEY}=(?:{_TEXT}|[^,\" \n]+)(?:,{_KEY}=(?:{_TEXT}|[^,\" \n]+))*)(?: +(?P<time>-?[0-9]{{1,19}}))? *\r?",
    re.DOTALL,
)
_TAG: Final = re.compile(rf",({_KEY})=({_KEY})")
_FIELD: Final = re.compile(rf"({_KEY})=({_TEXT}|[^,\" \n]+),?", re.DOTALL)
_ESCAPED: Final = re.compile(r"\\([,= \"\\])")
_CONSTANTS: Final = {
    **dict.fromkeys(("t", "T", "true", "True", "TRUE"), True),
    **dict.fromkeys(("f", "F", "false", "False", "FALSE"), False),
}


def read_influx(value: bytes) -> list[Document] | Flaw:
    """The points of a message, one a line. Lines that begin with # are comments."""
    try:
        text = value.decode()
    except UnicodeDecodeError as error:
        return malformed("line protocol", f"not UTF-8 text (byte {error.start})")
    found: list[Document] = []
    place = 0
    while place < len(text):
        if text[place] in "\r\n ":
            place += 1
            continue
        if text[place] == "#":
            end = text.find("\n", place)
            place = len(text) if end < 0 else end
            continue
        match = _LINE.match(text, place)
        if match is None or (match.end() < len(text) and text[match.end()] != "\n"):
            return malformed("line protocol", f"point {len(found) + 1} is not `measurement,tag=value field=value time`")
        point = _point(match)
        if isinstance(point, str):
            return malformed("line protocol", f"point {len(found) + 1}: {point}")
        found.append(point)
        if len(found) > MOST_READINGS:
            return too_many(len(found))
        place = match.end()
    return found or malformed("line protocol", "it has no point")


def _point(match: re.Match[str]) -> Document | str:
    point: Document = {_plain(name): _plain(value) for name, value in _TAG.findall(match["tags"])}
    for name, written in _FIELD.findall(match["fields"]):
        number = _value(written)
        if number is None:
            return f"the value of field {_plain(name)[:40]} is neither a number, nor text in quotes, nor true or false"
        point[_plain(name)] = number
    point[MEASUREMENT] = _plain(match["measurement"])
    if match["time"] is not None:
        point[TIME] = int(match["time"])
    return point


def _value(written: str) -> Any:
    if written[0] == '"':
        return _plain(written[1:-1])
    if written in _CONSTANTS:
        return _CONSTANTS[written]
    try:
        if written[-1] in "iu":
            return int(written[:-1]) if len(written) < 24 and "_" not in written else None
        return float(written) if written[-1].isdigit() or written[-1] == "." else None
    except ValueError:
        return None


def _plain(text: str) -> str:
    return _ESCAPED.sub(r"\1", text) if "\\" in text else text
