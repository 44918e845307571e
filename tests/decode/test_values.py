"""Values, times and names as people write them: each notation by a row of a table, alike by both ways of reading."""

import json
import math
import struct
from typing import Any

import numpy as np
import pytest

from anomaly_api.schema import Empty
from anomaly_api.source import Entity, Feature, KeyFormat, Pipeline, Time, TimeFormat, Window
from anomaly_detector.core.decode.json import Decoded, Decoder

WINDOWS = [Window(name="short", size=4)]


def decoded(
    document: dict[str, Any], *, key: bytes | None = b"k", stamp: int = 1_767_225_600_000, exact: bool = False, **parts: Any
) -> Decoded:
    """`exact`: a constant that JSON does not know sends a message the exact way."""
    asked = {"entity": Entity(key=Empty()), "time": Time(), "features": [Feature(name="a"), Feature(name="z")]} | parts
    text = json.dumps(document | {"z": 1} | ({"constant": math.nan} if exact else {})).encode()
    return Decoder(Pipeline(windows=WINDOWS, **asked)).decode([text], [key], np.array([stamp]))


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize(
    ("feature", "written", "number"),
    [
        ({"text": {}}, "1.5", 1.5),
        ({"text": {}}, " -1.5e3 ", -1500.0),
        ({"text": {}}, 2, 2.0),
        ({"text": {}}, "1,5", None),
        ({"text": {}}, "1.5 bar", None),
        ({"text": {}}, "", None),
        ({"text": {}}, "NaN", None),
        ({"text": {}}, "1_000", None),
        ({"text": {}}, True, None),
        ({"text": {"unit": "°C"}}, "181.2 °C", 181.2),
        ({"text": {"unit": "°C"}}, "181.2", 181.2),
        ({"text": {"unit": "°C"}}, "181.2 °F", None),
        ({"text": {"unit": "$"}}, "$ 12.50", 12.5),
        ({"text": {"decimal": "Comma"}}, "18,12", 18.12),
        ({"text": {"decimal": "Comma", "thousands": "Dot"}}, "1.018,12", 1018.12),
        ({"text": {"thousands": "Comma"}}, "-1,234,567.5", -1234567.5),
        ({"text": {"thousands": "Comma"}}, "12,34", None),
        ({"text": {"thousands": "Space"}}, "1 234", 1234.0),
        ({"text": {"thousands": "Space"}}, "1\u202f234", 1234.0),
        ({"text": {"thousands": "Apostrophe"}}, "1'234", 1234.0),
        ({"text": {}, "missing_values": [-9999]}, "-9999.0", None),
        ({"missing_values": [-9999, 1e20]}, -9999, None),
        ({"missing_values": [-9999]}, -9998, -9998.0),
        ({"values": {"RUNNING": 1, "STOPPED": 0}}, "RUNNING", 1.0),
        ({"values": {"RUNNING": 1}}, "BROKEN", None),
        ({"values": {"true": 5, "false": 7}}, False, 7.0),
        ({"values": {"RUNNING": 1}}, True, None),
        ({"values": {"3": 30}}, 3, 30.0),
        ({"values": {"3": 30}}, 4, 4.0),
        ({"values": {"OFF": 0}, "text": {}}, "2.5", 2.5),
        ({"values": {"OFF": 0}, "text": {}}, "OFF", 0.0),
    ],
)
def test_a_value_is_read_as_the_spec_says_or_missing(feature: Any, written: Any, number: float | None, exact: bool) -> None:
    asked = [Feature(name="a", **feature), Feature(name="z")]
    [[found, _]] = decoded({"a": written}, exact=exact, features=asked).batch.values.tolist()
    assert math.isnan(found) if number is None else found == np.float32(number)


BERLIN = {"format": TimeFormat.PATTERN, "pattern": "%d.%m.%Y %H:%M:%S", "zone": "Europe/Berlin"}
AT = 1_785_492_000  # 2026-07-31T10:00:00Z


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize(
    ("time", "written", "seconds"),
    [
        ({"format": TimeFormat.UNIX_MICROS}, 1_785_492_000_250_000, AT + 0.25),
        ({"format": TimeFormat.UNIX_NANOS}, 1_785_492_000_250_000_000, AT + 0.25),
        ({"format": TimeFormat.UNIX_SECONDS}, "1785492000.25", AT + 0.25),
        ({"format": TimeFormat.UNIX_SECONDS}, 1_785_492_000_250, None),
        ({"format": TimeFormat.UNIX_MILLIS}, 1_785_492_000, None),
        ({"format": TimeFormat.UNIX_MILLIS}, 5_000, 5.0),
        ({"format": TimeFormat.RFC2822}, "Fri, 31 Jul 2026 12:00:00 +0200", AT),
        ({"format": TimeFormat.RFC2822}, "31 Jul 2026", None),
        (BERLIN, "31.07.2026 12:00:00", AT),
        (BERLIN, "31.01.2026 11:00:00", 1_769_853_600),
        (BERLIN, "31.13.2026 11:00:00", None),
        ({"format": TimeFormat.PATTERN, "pattern": "%Y%m%dT%H%M%S.%f%z"}, "20260731T120000.250000999+0200", AT + 0.25),
        ({"zone": "Europe/Berlin"}, "2026-07-31T12:00:00", AT),
        ({"zone": "Europe/Berlin"}, "2026-07-31T10:00:00Z", AT),
    ],
)
def test_a_time_is_read_as_the_spec_says(time: Any, written: Any, seconds: float | None, exact: bool) -> None:
    found = decoded({"a": 1, "t": written}, exact=exact, time=Time(field="t", **time))
    assert found.batch.times.tolist() == ([] if seconds is None else [round(seconds * 1_000_000)])


@pytest.mark.parametrize(("own", "hour"), [("00:29", 0), ("00:31", 0), ("01:29", 1), ("01:31", 1)])
def test_a_time_in_the_repeated_hour_is_the_one_that_is_nearer_to_the_messages_own(own: str, hour: int) -> None:
    stamp = int(np.datetime64(f"2026-10-25T{own}:00", "ms").astype(int))
    found = decoded({"a": 1, "t": "25.10.2026 02:30:00"}, stamp=stamp, time=Time(field="t", **BERLIN))
    assert found.batch.times.tolist() == [int(np.datetime64(f"2026-10-25T0{hour}:30:00", "us").astype(int))]


def test_a_time_that_clocks_skip_is_read_as_if_they_had_not_gone_forward_yet() -> None:
    found = decoded({"a": 1, "t": "29.03.2026 02:30:00"}, time=Time(field="t", **BERLIN))
    assert found.batch.times.tolist() == [int(np.datetime64("2026-03-29T01:30:00", "us").astype(int))]


@pytest.mark.parametrize(
    ("written", "key", "name"),
    [
        (KeyFormat.INTEGER, struct.pack(">i", -7), "-7"),
        (KeyFormat.INTEGER, struct.pack(">q", 2**40), str(2**40)),
        (KeyFormat.INTEGER, b"123", None),
        (KeyFormat.UUID, bytes(range(16)), "00010203-0405-0607-0809-0a0b0c0d0e0f"),
        (KeyFormat.UUID, b"x", None),
        (KeyFormat.JSON, b'{"b": 1, "a": "x"}', '{"a":"x","b":1}'),
        (KeyFormat.JSON, b'"pump-1"', "pump-1"),
        (KeyFormat.JSON, b"17", "17"),
        (KeyFormat.JSON, b'""', None),
        (KeyFormat.JSON, b"{", None),
        (KeyFormat.JSON, b"[" * 4000, None),
    ],
)
def test_a_key_names_its_entity_in_any_notation(written: KeyFormat, key: bytes, name: str | None) -> None:
    found = decoded({"a": 1}, key=key, entity=Entity(key=Empty(), key_format=written))
    assert found.batch.entities == ([] if name is None else [name])
    assert name is not None or f"entity.keyFormat: {written.value}" in found.rejects[0].message


@pytest.mark.parametrize("exact", [False, True])
def test_a_name_is_put_together_from_several_fields(exact: bool) -> None:
    entity = Entity(template="{tags.host}/{if}")
    assert decoded({"a": 1, "tags": {"host": "x"}, "if": 2}, exact=exact, entity=entity).batch.entities == ["x/2"]
    assert decoded({"a": 1, "tags": {"host": "x"}}, entity=entity).rejects[0].message.startswith("if: this part")
    assert decoded({"a": 1, "tags": {"host": ""}, "if": 2}, exact=exact, entity=entity).rejects[0].reason == "EntityInvalid"


@pytest.mark.parametrize(
    ("condition", "passing", "failing"),
    [
        ({"equals": "x"}, ["x"], ["y", None, 1]),
        ({"equals": "3"}, ["3", 3, 3.0], [3.5, "3.0"]),
        ({"one_of": ["true", "null"]}, [True, None], [False, 1, "x"]),
        ({"none_of": ["bad"]}, ["good", 1], ["bad"]),
        ({"exists": True}, [None, 0, "x", [1]], []),
        ({"exists": False}, [], [None, 0]),
        ({"equals": "x"}, [], [["x"], {"x": 1}, 10**400, 1e300]),
    ],
)
def test_a_filter_lets_readings_pass(condition: Any, passing: list[Any], failing: list[Any]) -> None:
    from anomaly_api.input import Condition

    asked = [Condition(field="f", **condition)]
    assert all(len(decoded({"a": 1, "f": value}, filter=asked).batch) for value in passing)
    assert all(decoded({"a": 1, "f": value}, filter=asked).skips for value in failing)
