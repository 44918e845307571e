"""Messages to readings: what is read, what is refused and why, and that nothing a producer sends does more harm than that."""

import json
import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anomaly_api.alert import DeadLetterReason, NotReading
from anomaly_api.schema import Empty
from anomaly_api.source import Entity, Feature, Pipeline, Time, TimeFormat, Window
from anomaly_detector.core.decode.json import Decoded, Decoder
from anomaly_detector.core.decode.sizes import MAX_BYTES

ISO = "2026-01-01T10:00:05.25Z"
MICROS = 1_767_261_605_250_000
GOOD = {"device": {"id": "pump-1"}, "at": ISO, "sensors": {"temperature": 20.5}, "pressure": 3}
REASON = DeadLetterReason


def pipeline(**changes: Any) -> Pipeline:
    fields: dict[str, Any] = {
        "entity": Entity(field="device.id"),
        "time": Time(field="at"),
        "features": [Feature(name="temperature", field="sensors.temperature"), Feature(name="pressure")],
        "windows": [Window(name="short")],
    }
    return Pipeline(**(fields | changes))


def decode(*values: bytes | None, keys: list[bytes | None] | None = None, stamp: int = 1000, **changes: Any) -> Decoded:
    stamps = np.full(len(values), stamp, np.int64)
    return Decoder(pipeline(**changes)).decode(list(values), keys or [None] * len(values), stamps)


def message(**changes: Any) -> bytes:
    return json.dumps(GOOD | changes).encode()


def reason(value: bytes | None, **changes: Any) -> DeadLetterReason:
    decoded = decode(message(), value, message(), **changes)
    assert decoded.batch.rows.tolist() == [0, 2], "its neighbours are read all the same"
    [reject] = decoded.rejects
    assert reject.row == 1
    assert reject.message
    return reject.reason


def test_a_reading_is_found_along_nested_paths() -> None:
    batch = decode(message()).batch
    assert batch.entities == ["pump-1"]
    assert batch.times.tolist() == [MICROS]
    assert batch.values.tolist() == [[20.5, 3.0]]
    assert batch.values.dtype == np.float32


def test_an_entity_may_be_the_key_a_whole_number_or_constant() -> None:
    assert decode(message(), keys=[b"k\xc3\xa4"], entity=Entity(key=Empty())).batch.entities == ["kä"]
    assert decode(message(device={"id": 17})).batch.entities == ["17"]
    assert decode(message(), entity=Entity(constant="plant")).batch.entities == ["plant"]


@pytest.mark.parametrize(
    ("written", "format_"),
    [
        ("2026-01-01T10:00:05.25", TimeFormat.ISO8601),
        ("2026-01-01T11:00:05.250+01:00", TimeFormat.ISO8601),
        ("20260101T100005.250Z", TimeFormat.ISO8601),
        (1_767_261_605.25, TimeFormat.UNIX_SECONDS),
        (1_767_261_605_250, TimeFormat.UNIX_MILLIS),
    ],
)
def test_a_time_is_read_to_the_microsecond(written: str | float, format_: TimeFormat) -> None:
    assert decode(message(at=written), time=Time(field="at", format=format_)).batch.times.tolist() == [MICROS]


def test_without_a_time_field_the_message_has_the_time() -> None:
    assert decode(message(), stamp=1_767_261_605_250, time=Time()).batch.times.tolist() == [MICROS]
    assert decode(message(), stamp=-1, time=Time()).rejects[0].reason is REASON.TIME_MISSING


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"", REASON.EMPTY),
        (b"temperature=20", REASON.NOT_JSON),
        (message() + message(), REASON.NOT_JSON),
        (b'{"device": "\xff\xfe"}', REASON.NOT_JSON),
        (message().decode().encode("utf-16"), REASON.NOT_JSON),
        (b'{"x":' * 50_000, REASON.NOT_JSON),
        (b"[" * 200_000, REASON.NOT_JSON),
        (b"[1, 2]", REASON.NOT_AN_OBJECT),
        (b"null", REASON.NOT_AN_OBJECT),
        (b"12", REASON.NOT_AN_OBJECT),
        (message(note="x" * MAX_BYTES), REASON.TOO_LARGE),
        (message(device={}), REASON.ENTITY_MISSING),
        (message(device="pump-1"), REASON.ENTITY_MISSING),
        (message(device={"id": ""}), REASON.ENTITY_INVALID),
        (message(device={"id": None}), REASON.ENTITY_INVALID),
        (message(device={"id": True}), REASON.ENTITY_INVALID),
        (message(device={"id": 1.5}), REASON.ENTITY_INVALID),
        (message(device={"id": "x" * 1000}), REASON.ENTITY_INVALID),
        (message(device={"id": 10**4000}), REASON.ENTITY_INVALID),
        (message(device={"id": "\ud800"}), REASON.ENTITY_INVALID),
        (json.dumps({key: value for key, value in GOOD.items() if key != "at"}).encode(), REASON.TIME_MISSING),
        (message(at="yesterday"), REASON.TIME_INVALID),
        (message(at="2026-02-30T10:00:00Z"), REASON.TIME_INVALID),
        (message(at=1_767_261_605), REASON.TIME_INVALID),
        (message(at=None), REASON.TIME_INVALID),
        (message(sensors={}, pressure=None), REASON.FEATURE_MISSING),
        (message(sensors=20.5, pressure=None), REASON.FEATURE_MISSING),
        (message(sensors={"temperature": None}, pressure=None), REASON.FEATURE_MISSING),
        (message(sensors={"temperature": "20.5"}, pressure=None), REASON.FEATURE_INVALID),
        (message(sensors={"temperature": True}, pressure=None), REASON.FEATURE_INVALID),
        (message(sensors={"temperature": [20.5]}, pressure="x"), REASON.FEATURE_INVALID),
        (message(sensors={"temperature": float("-inf")}, pressure=None), REASON.FEATURE_INVALID),
        (message(pressure=1e300, sensors={}), REASON.FEATURE_INVALID),
        (message(pressure=None).replace(b"20.5", b"1e999"), REASON.FEATURE_INVALID),
        (message(pressure=None).replace(b"20.5", b"9" * 100_000), REASON.FEATURE_INVALID),
    ],
)
def test_what_cannot_be_read_has_a_reason(value: bytes | None, expected: DeadLetterReason) -> None:
    assert reason(value) is expected


@pytest.mark.parametrize("written", ["now", True, 1e300, -1e300, float("nan")])
def test_a_number_that_is_no_time_is_refused(written: Any) -> None:
    stamps = np.zeros(1, np.int64)
    for format_ in (TimeFormat.UNIX_SECONDS, TimeFormat.UNIX_MILLIS):
        decoder = Decoder(pipeline(time=Time(field="at", format=format_)))
        [reject] = decoder.decode([message(at=written)], [None], stamps).rejects
        assert reject.reason is REASON.TIME_INVALID


@pytest.mark.parametrize(
    ("key", "expected"),
    [(None, REASON.ENTITY_MISSING), (b"", REASON.ENTITY_MISSING), (b"\xff", REASON.ENTITY_INVALID)],
)
def test_a_key_that_names_nothing_is_refused(key: bytes | None, expected: DeadLetterReason) -> None:
    decoded = decode(message(), message(), keys=[key, b"a"], entity=Entity(key=Empty()))
    assert decoded.batch.entities == ["a"]
    assert decoded.rejects[0].reason is expected


def test_a_key_names_its_entity_however_many_entities_there_were_before() -> None:
    decoder = Decoder(pipeline(entity=Entity(key=Empty())))
    keys: list[bytes | None] = [f"pump-{number}".encode() for number in range(10_000)]
    for _ in range(3):
        for part in (keys[:100], [*keys[:3], None, b"\xff", keys[3]], keys, keys[::-1]):
            decoded = decoder.decode([message()] * len(part), part, np.zeros(len(part), np.int64))
            named = [key for key in part if key not in (None, b"\xff")]
            assert decoded.batch.entities == [key.decode() for key in named if key]
            assert len(decoded.rejects) == len(part) - len(named)


def test_a_flaw_names_the_field_and_never_the_value() -> None:
    [reject] = decode(message(sensors={"temperature": "secret"}, pressure=None)).rejects
    assert "sensors.temperature" in reject.message
    assert "text" in reject.message
    assert "secret" not in reject.message


def test_a_renamed_field_is_named_beside_what_is_there() -> None:
    [reject] = decode(message(press=None), features=[Feature(name="press")]).rejects
    assert reject.message == "press: the feature has no value; the message has device, at, sensors, pressure, press"
    [reject] = decode(message(press=None), features=[Feature(name="press"), Feature(name="temp")]).rejects
    assert reject.message.startswith("none of the features has a value (press, temp); the message has device, at, sensors")


@pytest.mark.parametrize(
    "value",
    [
        message(sensors={}),
        message(sensors={"temp": 20.5}),
        message(sensors={"temperature": None}),
        message(sensors=None),
        message(sensors=20.5),
        json.dumps({key: value for key, value in GOOD.items() if key != "sensors"}).encode(),
    ],
)
def test_a_reading_may_lack_a_value_as_long_as_it_has_one_of_another_feature(value: bytes) -> None:
    batch = decode(message(), value, message()).batch
    assert batch.rows.tolist() == [0, 1, 2]
    assert np.isnan(batch.values).tolist() == [[False, False], [True, False], [False, False]]
    assert batch.values[1, 1] == 3.0


@pytest.mark.parametrize(
    "written",
    [
        *(b'"20.5"', b"true", b"[20.5]", b'{"a":1}', b"NaN", b"nan", b"-Infinity", b"inf", b"N/A", b"None", b'""', b'"NaN"'),
        *(b"1e300", b"1e999", b"9" * 5000),
    ],
)
def test_one_value_that_is_none_makes_its_feature_missing_and_nothing_else(written: bytes) -> None:
    batch = decode(message(), message().replace(b"20.5", written), message()).batch
    assert np.isnan(batch.values).tolist() == [[False, False], [True, False], [False, False]]


def test_a_constant_elsewhere_in_the_message_makes_no_difference() -> None:
    assert decode(message(note=float("nan")), message(note="nan").replace(b'"nan"', b"nan")).batch.rows.tolist() == [0, 1]


@pytest.mark.parametrize(
    "value", [None, b"{}", b'{"type":"heartbeat"}', message(sensors=20.5).replace(b'"pressure": 3', b'"x": 1')]
)
def test_what_is_no_reading_is_left_alone(value: bytes | None) -> None:
    decoded = decode(message(), value, message())
    assert (decoded.batch.rows.tolist(), decoded.rejects) == ([0, 2], [])
    assert decoded.skips == [(1, NotReading.TOMBSTONE if value is None else NotReading.NO_FEATURE)]


def test_a_byte_order_mark_and_json_in_a_json_text_are_read() -> None:
    assert decode(b"\xef\xbb\xbf" + message(), json.dumps(message().decode()).encode()).batch.rows.tolist() == [0, 1]


def test_the_frame_of_a_schema_registry_is_told() -> None:
    [reject] = decode(b"\0\0\0\0\7" + message()).rejects
    assert "schema registry" in reject.message
    assert "schema id 7" in reject.message


def test_whole_numbers_and_exponents_are_numbers() -> None:
    batch = decode(message(pressure=3), message(pressure=-0.0), message().replace(b"20.5", b"2e1")).batch
    assert batch.values[:, 1].tolist() == [3.0, 0.0, 3.0]
    assert batch.values[2, 0] == 20.0


def test_one_field_may_serve_twice() -> None:
    same = [Feature(name="a", field="pressure"), Feature(name="b", field="pressure")]
    assert decode(message(), features=same).batch.values.tolist() == [[3.0, 3.0]]
    assert decode(message(), features=same, entity=Entity(field="pressure")).batch.entities == ["3"]


def test_of_a_place_that_would_have_to_be_a_number_and_an_object_one_is_always_missing() -> None:
    both = [Feature(name="a", field="pressure"), Feature(name="b", field="pressure.bar")]
    assert np.isnan(decode(message(), message(), features=both).batch.values).tolist() == [[False, True]] * 2


def test_partitions_stay_with_their_readings() -> None:
    values = [message(), b"no", message()]
    batch = Decoder(pipeline()).decode(values, [None] * 3, np.zeros(3, np.int64), np.array([4, 5, 6])).batch
    assert batch.partitions.tolist() == [4, 6]


def test_bad_messages_cost_in_proportion_to_their_number() -> None:
    decoder = Decoder(pipeline())

    def cost(count: int) -> float:
        values: list[bytes | None] = [b'{"device":'] * count
        begin = time.process_time()
        assert len(decoder.decode(values, [None] * count, np.zeros(count, np.int64)).rejects) == count
        return time.process_time() - begin

    cost(100)
    small = min(cost(1_000) for _ in range(5))
    assert min(cost(16_000) for _ in range(3)) < 16 * small * 4


names = st.sampled_from(["device", "id", "at", "sensors", "pressure"])
json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner),
    max_leaves=8,
)
payloads = (
    st.none()
    | st.binary(max_size=40)
    | json_like.map(lambda found: json.dumps(found).encode())
    | st.just(message())
    | st.builds(lambda cut, junk: message()[:cut] + junk, st.integers(0, 120), st.binary(max_size=4))
    | st.builds(lambda number: message(pressure=number), st.floats())
)


@given(st.lists(payloads, max_size=12))
def test_every_message_is_either_read_or_refused_and_alone_as_among_others(values: list[bytes | None]) -> None:
    together = decode(*values)
    refused = [reject.row for reject in together.rejects]
    skipped = [row for row, _ in together.skips]
    assert sorted(together.batch.rows.tolist() + refused + skipped) == list(range(len(values)))
    assert not np.isinf(together.batch.values).any()
    assert not np.isnan(together.batch.values).all(axis=1).any(), "a reading has at least one value"
    for row, value in enumerate(values):
        alone = decode(value)
        if row in skipped:
            assert [reason for _, reason in alone.skips] == [reason for at, reason in together.skips if at == row]
        elif row in refused:
            assert alone.rejects[0].reason is together.rejects[refused.index(row)].reason
        else:
            place = together.batch.rows.tolist().index(row)
            assert np.array_equal(alone.batch.values[0], together.batch.values[place], equal_nan=True)
            assert alone.batch.entities[0] == together.batch.entities[place]
