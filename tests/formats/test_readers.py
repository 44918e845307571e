"""Each format reads what its own writer writes, and refuses anything else with a sentence; it never raises."""

import decimal
import io
import json
import math
import struct
from collections.abc import Callable
from typing import Any

import cramjam
import fastavro
import pytest
from google.protobuf import message_factory
from google.protobuf.descriptor_pool import DescriptorPool
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from anomaly_api.alert import DeadLetterReason
from anomaly_api.formats import Csv, Envelope
from anomaly_detector.core.decode.flaw import Flaw
from anomaly_detector.core.decode.formats import protobuf, remote_write
from anomaly_detector.core.decode.formats.avro import SchemaError, avro_framed, avro_plain
from anomaly_detector.core.decode.formats.csv import csv_reader
from anomaly_detector.core.decode.formats.envelopes import opened
from anomaly_detector.core.decode.formats.influx import read_influx
from anomaly_detector.core.decode.formats.otlp import read_otlp
from anomaly_detector.core.decode.formats.port import Document, Read
from anomaly_detector.core.decode.formats.protobuf import protobuf_framed
from anomaly_detector.core.decode.formats.remote_write import read_remote_write
from anomaly_detector.core.decode.formats.schemas import Schema, Schemas
from tests.effort import examples

AVRO = {
    "type": "record",
    "name": "Reading",
    "namespace": "plant",
    "fields": [
        {"name": "machine", "type": "string"},
        {"name": "temperature", "type": ["null", "double"], "default": None},
        {"name": "pressure", "type": "float", "aliases": ["druck"]},
        {"name": "power", "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 3}},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "sensors", "type": {"type": "map", "values": "double"}},
    ],
}
PROTO = """syntax = "proto3";
package plant;
import "google/protobuf/timestamp.proto";
message Other { int32 nothing = 1; }
message Reading {
  string machine = 1;
  optional double temperature = 2;
  float pressure = 3;
  Sensors sensors = 4;
  repeated double history = 5;
  map<string, double> tags = 6;
  enum State { STOPPED = 0; RUNNING = 1; }
  State state = 7;
  google.protobuf.Timestamp at = 8;
  message Sensors { double vibration = 1; }
}
"""


def avro_message(document: Document, schema_id: int = 7, schema: Any = AVRO) -> bytes:
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(json.loads(json.dumps(schema))), document)
    return struct.pack(">bI", 0, schema_id) + out.getvalue()


def proto_message(fields: Document, schema_id: int = 8, text: str = PROTO, indexes: bytes = b"\x02\x02") -> bytes:
    pool = DescriptorPool()
    for file in protobuf.compiled(text).file:
        pool.Add(file)  # type: ignore[no-untyped-call]
    kind = message_factory.GetMessageClass(pool.FindMessageTypeByName("plant.Reading"))
    return struct.pack(">bI", 0, schema_id) + indexes + kind(**fields).SerializeToString()


def registry() -> Schemas:
    found = Schemas()
    found.add(7, Schema("AVRO", json.dumps(AVRO)))
    found.add(8, Schema("PROTOBUF", PROTO))
    return found


def otlp_message() -> bytes:
    request = ExportMetricsServiceRequest()
    resource = request.resource_metrics.add()
    resource.resource.attributes.add(key="host.name").value.string_value = "web-1"
    metrics = resource.scope_metrics.add().metrics
    for name, number in (("system.cpu.utilization", 0.5), ("system.memory.usage", 7.0)):
        point = metrics.add(name=name).gauge.data_points.add(time_unix_nano=1_700_000_000_000_000_000, as_double=number)
        point.attributes.add(key="state").value.string_value = "user"
    metrics.add(name="http.duration").histogram.data_points.add(time_unix_nano=1_700_000_000_000_000_000, count=3, sum=0.5)
    return request.SerializeToString()


def remote_write_message() -> bytes:
    request = remote_write.request_class()()
    for name, number in (("node_load1", 0.5), ("node_load5", math.nan)):
        series = request.timeseries.add()
        series.labels.add(name="__name__", value=name)
        series.labels.add(name="instance", value="web-1")
        series.samples.add(value=number, timestamp=1_700_000_000_000)
    return bytes(cramjam.snappy.compress_raw(request.SerializeToString()))


def row(**fields: Any) -> Document:
    return {
        "machine": "m1",
        "temperature": 61.5,
        "pressure": 2.0,
        "power": decimal.Decimal(0),
        "at": 17,
        "sensors": {"x": 1.0},
        **fields,
    }


def test_avro_is_read_with_its_writers_schema_by_names_and_aliases() -> None:
    [found] = avro_framed(registry())(avro_message(row(power=decimal.Decimal("1.250"))))
    assert found == {
        "machine": "m1", "temperature": 61.5, "pressure": 2.0, "druck": 2.0, "power": 1.25, "at": 17, "sensors": {"x": 1.0},
    }  # fmt: skip


def test_a_field_that_was_added_widened_or_renamed_with_an_alias_is_read_from_old_and_new_messages() -> None:
    old = {"type": "record", "name": "R", "fields": [{"name": "t", "type": "int"}]}
    fields = [{"name": "temperature", "aliases": ["t"], "type": "double"}, {"name": "new", "type": "double", "default": 0}]
    new = {**old, "fields": fields}
    schemas = registry()
    schemas.add(1, Schema("AVRO", json.dumps(old)))
    schemas.add(2, Schema("AVRO", json.dumps(new)))
    read = avro_framed(schemas)
    before = read(avro_message({"t": 3}, 1, old))
    after = read(avro_message({"temperature": 3.5, "new": 1.0}, 2, new))
    assert [document["t"] for document in (*before, *after)] == [3, 3.5]


def test_protobuf_is_read_by_the_names_of_its_schema() -> None:
    fields = {"machine": "m1", "pressure": 2.0, "sensors": {"vibration": 0.5}, "history": [1.0], "tags": {"a": 2.0}, "state": 1}
    [found] = protobuf_framed(registry())(proto_message(fields))
    assert found == {**fields, "state": "RUNNING"}  # temperature and at were not set
    [found] = protobuf_framed(registry())(proto_message({"temperature": 0.0, "at": {"seconds": 5}}))
    assert found["temperature"] == 0.0
    assert found["at"]["seconds"] == 5


def test_csv_has_a_reading_a_line() -> None:
    read = csv_reader(Csv(columns=["machine", "temperature", "pressure"], delimiter=";"))
    assert read(b'm1;61.5;2\r\n"m;2";;-1e3\n') == [
        {"machine": "m1", "temperature": 61.5, "pressure": 2},
        {"machine": "m;2", "temperature": None, "pressure": -1000.0},
    ]
    flaw = read(b"m1;61.5\n")
    assert flaw == Flaw(DeadLetterReason.MALFORMED, "the message is not CSV: line 1 has 2 columns, spec.source.format.csv has 3")


def test_line_protocol_has_a_reading_a_point() -> None:
    line = rb'weather\ now,site=north\,1,id=7 temperature=82,count=3i,on=t,text="a \"b\", c=d" 1465839830100400200'
    assert read_influx(b"# comment\n" + line + b"\n\ncpu load=1.5\n") == [
        {
            "measurement": "weather now", "site": "north,1", "id": "7", "temperature": 82.0, "count": 3, "on": True,
            "text": 'a "b", c=d', "time": 1465839830100400200,
        },
        {"measurement": "cpu", "load": 1.5},
    ]  # fmt: skip


def test_points_of_one_resource_attributes_and_time_are_one_reading_of_open_telemetry() -> None:
    found = read_otlp(otlp_message())
    assert isinstance(found, list)
    about = {"resource": {"host.name": "web-1"}, "time": 1_700_000_000_000_000_000}
    cpu = {"system.cpu.utilization": 0.5, "system.memory.usage": 7.0}
    assert found == [
        {"metrics": cpu, "attributes": {"state": "user"}, **about},
        {"metrics": {"http.duration.count": 3, "http.duration.sum": 0.5}, "attributes": {}, **about},
    ]


def test_samples_of_equal_labels_and_time_are_one_reading_of_remote_write_and_stale_ones_are_missing() -> None:
    metrics = {"node_load1": 0.5, "node_load5": None}
    assert read_remote_write(remote_write_message()) == [
        {"metrics": metrics, "labels": {"instance": "web-1"}, "time": 1_700_000_000_000}
    ]


def test_what_is_inside_a_cloud_event_or_a_change_is_the_reading() -> None:
    def as_json(value: bytes) -> list[Document] | Flaw:
        return [json.loads(value)]

    def through(envelope: Envelope, document: Document) -> list[Document] | Flaw:
        return opened(envelope, as_json)(json.dumps(document).encode())

    event = {"specversion": "1.0", "subject": "m1", "data": {"temperature": 1.5}}
    inside = [{"temperature": 1.5, "cloudevent": {"specversion": "1.0", "subject": "m1"}}]
    assert through(Envelope.CLOUD_EVENTS, event) == inside
    assert through(Envelope.CLOUD_EVENTS, {**event, "data": None, "data_base64": "eyJ0ZW1wZXJhdHVyZSI6MS41fQ=="}) == inside
    assert through(Envelope.CLOUD_EVENTS, {"temperature": 1.5}) == [{"temperature": 1.5}]
    change = {"before": None, "after": {"temperature": 1.5}, "op": "u", "ts_ms": 7}
    row = [{"temperature": 1.5, "change": {"op": "u", "ts_ms": 7}}]
    assert through(Envelope.DEBEZIUM, change) == row
    assert through(Envelope.DEBEZIUM, {"schema": {}, "payload": change}) == row
    assert through(Envelope.DEBEZIUM, {**change, "op": "d", "after": None}) == []
    assert isinstance(through(Envelope.DEBEZIUM, {"temperature": 1.5}), Flaw)


NODE = {"type": "record", "name": "Node", "fields": [{"name": "next", "type": ["null", "Node"]}]}
NOTHINGS = {"type": "record", "name": "R", "fields": [{"name": "a", "type": {"type": "array", "items": "null"}}]}


@pytest.mark.parametrize(
    ("schema", "why"),
    [(NODE, "type Node holds itself"), (NOTHINGS, "an array has items of no bytes"), ("string", "a reading is a record")],
)
def test_a_schema_with_which_a_small_message_could_fill_the_memory_is_refused(schema: Any, why: str) -> None:
    with pytest.raises(SchemaError, match=why):
        avro_plain(json.dumps(schema))


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (b'{"temperature": 1}', "does not begin with a zero byte"),
        (b"\0\0\0\0", "does not begin with a zero byte"),
        (b"\0\0\0\0\x63abc", "there is no schema 99"),
        (b"\0\0\0\0\x08abc", "it is PROTOBUF, spec.source.format says Avro"),
        (avro_message(row())[:-3], "the message is not Avro of its schema"),
        (avro_message(row()) + b"x", "1 bytes are left over"),
    ],
)
def test_a_message_without_framing_of_an_unknown_schema_or_cut_short_is_told(value: bytes, why: str) -> None:
    found = avro_framed(registry())(value)
    assert isinstance(found, Flaw)
    assert why in found.message


READERS: list[tuple[Read, bytes]] = [
    (avro_framed(registry()), avro_message(row())),
    (protobuf_framed(registry()), proto_message({"machine": "m1", "sensors": {"vibration": 1.0}, "tags": {"a": 1.0}})),
    (csv_reader(Csv(columns=["a", "b"])), b'x,"1"\n'),
    (read_influx, b'cpu,host=a load=1.5,b="x" 17'),
    (read_otlp, otlp_message()),
    (read_remote_write, remote_write_message()),
]


@pytest.mark.parametrize("place", range(len(READERS)))
@examples(60)
@given(data=st.data())
def test_no_bytes_make_a_reader_raise(place: int, data: st.DataObject) -> None:
    read, sound = READERS[place]
    assert isinstance(read(sound), list)
    for value in (data.draw(st.binary(max_size=64)), _mutated(sound, data.draw)):
        found = read(value)
        assert isinstance(found, (list, Flaw))
        if isinstance(found, list):
            assert all(isinstance(document, dict) for document in found)


def _mutated(sound: bytes, draw: Callable[[Any], Any]) -> bytes:
    value = bytearray(sound)
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, len(value) - 1))
        value[place] = draw(st.integers(0, 255))
    return bytes(value[: draw(st.integers(0, len(value)))]) if draw(st.booleans()) else bytes(value)


def test_avro_of_a_plain_schema_needs_no_registry() -> None:
    [found] = avro_plain(json.dumps(AVRO))(avro_message(row())[5:])
    assert found["temperature"] == 61.5
