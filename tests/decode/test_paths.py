"""Where values stand in messages: nested, under a literal name with dots, or at a JSON Pointer; found alike by both ways."""

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anomaly_api.schema import Empty
from anomaly_api.source import Entity, Feature, Pipeline, Time, TimeFormat, Window
from anomaly_detector.core.decode.exact import Explainer
from anomaly_detector.core.decode.json import Decoded, Decoder
from anomaly_detector.core.decode.paths import path
from anomaly_detector.field_monitor import FieldMonitor

WINDOWS = [Window(name="short", size=4)]


def pipeline(*fields: str, entity: str | None = None, time: str | None = None) -> Pipeline:
    features = [Feature(name=f"f{place}", field=field) for place, field in enumerate(fields)]
    who = Entity(field=entity) if entity else Entity(key=Empty())
    when = Time(field=time, format=TimeFormat.UNIX_SECONDS) if time else Time()
    return Pipeline(entity=who, time=when, features=features, windows=WINDOWS)


def decoded(asked: Pipeline, *documents: Any) -> Decoded:
    values = [json.dumps(document).encode() for document in documents]
    return Decoder(asked).decode(values, [b"pump-1"] * len(values), np.full(len(values), 1000))


def numbers(asked: Pipeline, *documents: Any) -> list[list[float | None]]:
    """The values of each reading; None: missing."""
    found = decoded(asked, *documents)
    assert not found.rejects, found.rejects
    return [[None if math.isnan(number) else number for number in row] for row in found.batch.values.tolist()]


def test_a_flat_field_with_dots_is_found_under_its_literal_name() -> None:
    asked = pipeline("rig.temperature", "rig.pressure")
    flat, nested = {"rig.temperature": 59.0, "rig.pressure": 4.0}, {"rig": {"temperature": 60.0, "pressure": 5.0}}
    assert numbers(asked, flat, nested, flat) == [[59.0, 4.0], [60.0, 5.0], [59.0, 4.0]]


def test_fields_with_and_without_dots_are_found_beside_each_other() -> None:
    asked = pipeline("temperature", "hydraulic.pressure", "a.x")
    assert numbers(asked, {"temperature": 1.0, "hydraulic.pressure": 2.0}) == [[1.0, 2.0, None]]
    assert numbers(asked, {"temperature": 1.0, "hydraulic.pressure": 2.0, "a": {"x": 3.0}}) == [[1.0, 2.0, 3.0]]


def test_a_nested_field_counts_where_there_are_both() -> None:
    assert numbers(pipeline("a.b"), {"a": {"b": 1.0}, "a.b": 2.0}) == [[1.0]]


def test_entity_and_time_may_have_dots_too() -> None:
    found = decoded(pipeline("v", entity="device.id", time="meta.at"), {"v": 1, "device.id": "x", "meta.at": 7})
    assert found.batch.entities == ["x"]
    assert found.batch.times.tolist() == [7_000_000]


def test_a_json_pointer_names_any_field() -> None:
    asked = pipeline("/a~1b/c.d", "/~0")
    assert numbers(asked, {"a/b": {"c.d": 1.0}, "~": 2.0}) == [[1.0, 2.0]]
    [reject] = decoded(asked, {"a/b": {"c.d": "much"}, "~": None}).rejects
    assert reject.message == "/a~1b/c.d: expected a number, found text (set text or values of the feature to read it)"


def test_what_is_wrong_with_a_flat_field_is_told_by_its_name() -> None:
    [reject] = decoded(pipeline("rig.temperature"), {"rig.temperature": "hot"}).rejects
    assert reject.message == "rig.temperature: expected a number, found text (set text or values of the feature to read it)"


def test_the_look_for_missing_fields_knows_the_same_places() -> None:
    monitor = FieldMonitor(pipeline("temperature", "hydraulic.pressure", "/a~1b"))
    monitor.look([b'{"temperature":1,"hydraulic.pressure":2,"a/b":3}'], 1000.0)
    assert monitor.evidence(1000.0).features == []
    monitor.look([b'{"temperature":1,"hydraulic_pressure":2,"a/b":3}'], 1002.0)
    [lacking] = monitor.evidence(1002.0).features
    assert (lacking.field, lacking.likely) == ("hydraulic.pressure", "hydraulic_pressure")


members = st.sampled_from(["a", "b", "a.b", "b.a", "a.b.c", "x"])
values = st.none() | st.integers(-9, 9) | st.text("n", max_size=2)
documents = st.recursive(values, lambda inner: st.dictionaries(members, inner, max_size=3), max_leaves=6)


@given(
    st.sampled_from([("a.b", "b.a", "x"), ("x", "/a.b", "b.a"), ("a.b", "a.b.c", "x", "/b"), ("a.b.c", "a.b.x", "a.x")]),
    st.lists(st.dictionaries(members, documents, max_size=4), max_size=5),
)
def test_both_ways_find_the_same(fields: tuple[str, ...], sent: list[dict[str, Any]]) -> None:
    asked = pipeline(*fields)
    found = decoded(asked, *sent)
    read = dict(zip(found.batch.rows.tolist(), found.batch.values.tolist(), strict=True))
    for row, document in enumerate(sent):
        looked_up = [path(feature.path).lookup(document) for feature in asked.features]
        known = [value if isinstance(value, int) else None for value in looked_up]
        if not any(value is not None for value in known):
            assert row not in read
        else:
            assert [None if math.isnan(number) else number for number in read[row]] == known


def test_flat_messages_take_a_fast_way(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[object] = []
    monkeypatch.setattr(Explainer, "read", lambda *arguments: read.append(arguments))
    flat = {"rig.temperature": 59.0, "rig.pressure": 4.0}
    nested = {"rig": {"temperature": 60.0, "pressure": 5.0}}
    decoder = Decoder(pipeline("rig.temperature", "rig.pressure"))
    for sent in ([flat] * 9, [flat, nested] * 5, [nested] * 9, [flat] * 9):  # whichever was met before
        values = [json.dumps(document).encode() for document in sent]
        found = decoder.decode(values, [b"pump-1"] * len(sent), np.full(len(sent), 1000))
        assert found.batch.values[:, 0].tolist() == [59.0 if document is flat else 60.0 for document in sent]
    assert read == []
