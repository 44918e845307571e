"""Whatever producers send: the laws of `dev/verify/fuzz/laws.py`, with known troublesome messages and mixtures."""

import json
import struct
from functools import cache

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from anomaly_detector.core.decode.json import Decoder
from anomaly_detector.core.decode.sizes import MAX_DEPTH
from anomaly_detector.core.pipeline import DetectionPipeline
from anomaly_detector.core.scoring.artifact import unpack
from anomaly_detector.core.scoring.onnx import Model
from anomaly_detector.core.scoring.revisions import LoadedRevision
from dev.verify.fuzz import laws
from dev.verify.fuzz.laws import GOOD, PIPELINES, Sent
from dev.verify.fuzz.trouble import CHANGES, WHOLE
from tests.effort import examples
from tests.scoring.graphs import archive, distance_graph

PLACES = range(len(PIPELINES))
KEYS = [None, b"", b"k", b"\xff", b"\xed\xa0\x80", b"x" * 600, b"x" * 1_000_000, b"\x00", "é".encode() * 512, b"\xe2\x80\xae"]
STAMPS = [-1, 0, 1, -(2**63), 2**63 - 1, 253_402_300_799_999, 253_402_300_800_000, 1_767_225_600_000]
HEADERS = st.lists(st.tuples(st.text(max_size=9), st.none() | st.binary(max_size=9)), max_size=3).map(tuple)


def surrounded(place: int, *bad: Sent) -> None:
    """The laws, for messages among good ones, which are read as they are alone."""
    good = [Sent(GOOD[place], timestamp_ms=1_767_225_600_000 + step) for step in range(3)]
    sent = [good[0], *bad, good[1], *bad, good[2]]
    laws.check(place, sent)
    alone, among = laws.messages(good), laws.messages(sent)
    decoder = Decoder(PIPELINES[place])
    expected = decoder.decode(alone.values, alone.keys, alone.timestamps_ms).batch
    found = decoder.decode(among.values, among.keys, among.timestamps_ms).batch
    mine = np.isin(found.rows, [0, 1 + len(bad), 2 + 2 * len(bad)])
    assert found.values[mine].tobytes() == expected.values.tobytes()
    assert found.times[mine].tolist() == expected.times.tolist()


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("value", WHOLE, ids=lambda value: repr(value[:20] if value else value) + str(len(value or b"")))
def test_a_message_that_is_trouble_harms_nobody(place: int, value: bytes | None) -> None:
    surrounded(place, Sent(value))


def test_numbers_times_and_names_that_are_trouble_harm_nobody() -> None:
    for place in PLACES:
        mine = [Sent(value) for at, value in CHANGES if at == place]
        for begin in range(0, len(mine), 16):
            surrounded(place, *mine[begin : begin + 16])


def test_keys_and_timestamps_that_are_trouble_harm_nobody() -> None:
    for place in PLACES:
        for key in KEYS:
            surrounded(place, Sent(GOOD[place], key), Sent(b"{", key))
        for stamp in STAMPS:
            surrounded(place, Sent(GOOD[place], timestamp_ms=stamp), Sent(b"{", timestamp_ms=stamp))


def test_how_deep_a_message_may_be_nested_does_not_depend_on_how_deep_the_stack_is() -> None:
    value = b'{"a":1,"z":' + b"[" * (MAX_DEPTH - 1) + b"]" * (MAX_DEPTH - 1) + b"}"

    def reads(frames: int, value: bytes) -> bool:
        if frames:
            return reads(frames - 1, value)
        columns = laws.messages([Sent(value)])
        return bool(len(Decoder(PIPELINES[0]).decode(columns.values, columns.keys, columns.timestamps_ms).batch))

    assert [reads(frames, value) for frames in (0, 300)] == [True, True]
    assert [reads(frames, value.replace(b"[]", b"[[]]")) for frames in (0, 300)] == [False, False]


def mutated(base: bytes, cuts: list[tuple[float, bytes]]) -> bytes:
    for share, junk in cuts:
        at = int(share * len(base))
        base = base[:at] + junk + base[at + len(junk) // 2 :]
    return base


junk = st.binary(max_size=6) | st.sampled_from([b"NaN", b"\\ud800", b"{}", b"[", b'"', b"null", b"1e999", b"\xff", b","])
values = (
    st.sampled_from([value for value in WHOLE if value is None or len(value) < 2000])
    | st.binary(max_size=60)
    | st.builds(mutated, st.sampled_from(GOOD), st.lists(st.tuples(st.floats(0, 1), junk), max_size=3))
    | st.sampled_from(CHANGES).map(lambda change: change[1])
)
sent = st.builds(
    Sent, values, st.sampled_from(KEYS[:6]) | st.binary(max_size=3), st.sampled_from(STAMPS) | st.integers(-2, 10**12), HEADERS
)


@examples(50)
@given(st.sampled_from(PLACES), st.lists(sent, max_size=8))
@example(0, [Sent(GOOD[0], timestamp_ms=2**62), Sent(b"{", timestamp_ms=2**62)])
@example(2, [Sent(GOOD[2], timestamp_ms=2**63 - 1)])
def test_any_mixture_of_messages_keeps_the_laws(place: int, found: list[Sent]) -> None:
    laws.check(place, found)


@cache
def streams_of_a_model(place: int, *, divide_by_zero: bool) -> tuple[DetectionPipeline, DetectionPipeline]:
    """Two alike; the graph's error of large numbers is infinite, and with `divide_by_zero` it is no number of zeros."""
    asked = laws.alarmed(PIPELINES[place]).revision
    [window], features = PIPELINES[place].windows, len(PIPELINES[place].features)
    graph = distance_graph(window, features, divide_by_zero=divide_by_zero)
    digest, packed = archive(PIPELINES[place], {window.name: graph})
    model = Model(unpack(packed, digest), PIPELINES[place])
    loaded = LoadedRevision(asked.model_copy(update={"model": digest}), model)
    return DetectionPipeline("/laws", loaded), DetectionPipeline("/laws", loaded)


numbers = st.sampled_from([b"0", b"1", b"1.5", b"-2e19", b"1e30", b"3.4e38", b"-3.4e38", b"1e-40", b"null"])


@given(st.lists(st.tuples(st.sampled_from([b"k", b"l"]), numbers), max_size=12), st.booleans())
def test_a_model_decides_alike_however_a_stream_of_any_numbers_is_cut(
    found: list[tuple[bytes, bytes]], divide_by_zero: bool
) -> None:
    sent = [Sent(b'{"a":%s}' % number, key, timestamp_ms=1_767_225_600_000 + step) for step, (key, number) in enumerate(found)]
    laws.check_stream(0, sent, streams_of_a_model(0, divide_by_zero=divide_by_zero))


@given(st.floats() | st.floats(width=32))
def test_a_number_is_read_alike_by_both_ways(number: float) -> None:
    text = json.dumps({"a": number}).encode()
    with_constant = text[:-1] + b',"z":"\\ud800"}'  # what the fast way refuses and the exact one reads
    columns = laws.messages([Sent(text), Sent(with_constant)])
    found = Decoder(PIPELINES[0]).decode(columns.values, columns.keys, columns.timestamps_ms)
    assert len(found.batch) in (0, 2)
    if len(found.batch):
        assert found.batch.values[:, 0].tolist() == [struct.unpack("f", struct.pack("f", number))[0]] * 2
