"""Prometheus' remote write, version 1 (packed `prometheus.WriteRequest`): samples of equal labels and time are one reading."""

from functools import cache
from typing import Any, Final

import cramjam
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

from anomaly_detector.core.decode.flaw import Flaw
from anomaly_detector.core.decode.formats.port import MOST_READINGS, Document, malformed, too_many

_NAME: Final = "__name__"
_MOST_BYTES: Final = 32 * 1024 * 1024
_PACKAGE: Final = "anomaly.prometheus"
_FIELDS: Final = {
    "WriteRequest": [("timeseries", 1, "TimeSeries", True)],
    "TimeSeries": [("labels", 1, "Label", True), ("samples", 2, "Sample", True)],
    "Label": [("name", 1, "string", False), ("value", 2, "string", False)],
    "Sample": [("value", 1, "double", False), ("timestamp", 2, "int64", False)],
}
"""What is needed of https://prometheus.io/docs/specs/prw/remote_write_spec/."""


def read_remote_write(value: bytes) -> list[Document] | Flaw:
    """The readings of a message: `{metrics: {name: number}, labels: {}, time: milliseconds}`; stale markers are missing."""
    try:
        if _unpacked_size(value) > _MOST_BYTES:
            return malformed("remote write", f"unpacked it has more than {_MOST_BYTES} bytes")
        request = request_class().FromString(bytes(cramjam.snappy.decompress_raw(value)))
    except (DecodeError, RecursionError, ValueError, cramjam.DecompressionError) as error:
        return malformed("remote write", type(error).__name__)
    found: dict[Any, Document] = {}
    for series in request.timeseries:
        labels = {label.name: label.value for label in series.labels}
        name = labels.pop(_NAME, "")
        identity = tuple(sorted(labels.items()))
        for sample in series.samples:
            reading = found.get((identity, sample.timestamp))
            if reading is None:
                if len(found) >= MOST_READINGS:
                    return too_many(len(found) + 1)
                reading = found[identity, sample.timestamp] = {"metrics": {}, "labels": labels, "time": sample.timestamp}
            reading["metrics"][name] = sample.value if sample.value == sample.value else None
    return list(found.values()) or malformed("remote write", "it has no sample")


def _unpacked_size(value: bytes) -> int:
    """What the first bytes of packed data say of its size. Raises ValueError."""
    size = 0
    for place, byte in enumerate(value[:5]):
        size |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return size
    raise ValueError("no size")


@cache
def request_class() -> Any:
    """The class of WriteRequest."""
    kinds = descriptor_pb2.FieldDescriptorProto
    simple = {"string": kinds.TYPE_STRING, "double": kinds.TYPE_DOUBLE, "int64": kinds.TYPE_INT64}
    file = descriptor_pb2.FileDescriptorProto(name="remote_write.proto", package=_PACKAGE, syntax="proto3")
    for name, fields in _FIELDS.items():
        message = file.message_type.add(name=name)
        for field, number, kind, repeated in fields:
            label = kinds.LABEL_REPEATED if repeated else kinds.LABEL_OPTIONAL
            if kind in simple:
                message.field.add(name=field, number=number, type=simple[kind], label=label)
            else:
                whole = f".{_PACKAGE}.{kind}"
                message.field.add(name=field, number=number, type=kinds.TYPE_MESSAGE, type_name=whole, label=label)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.WriteRequest"))
