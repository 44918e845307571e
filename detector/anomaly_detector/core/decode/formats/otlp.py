"""OpenTelemetry's metrics, OTLP protobuf: points of equal resource, attributes and time are one reading."""

from collections.abc import Iterator
from typing import Any, Final

from google.protobuf.message import DecodeError

from anomaly_detector.core.decode.flaw import Flaw
from anomaly_detector.core.decode.formats.port import MOST_READINGS, Document, malformed, too_many

_NO_VALUE: Final = 1
"""The flag of a point without a recorded value."""


def read_otlp(value: bytes) -> list[Document] | Flaw:
    """The readings of a message: `{metrics: {name: number}, attributes: {}, resource: {}, time: nanoseconds}`."""
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

    try:
        request = ExportMetricsServiceRequest.FromString(value)
    except (DecodeError, RecursionError) as error:
        return malformed("OTLP metrics", type(error).__name__)
    found: dict[Any, Document] = {}
    for resource in request.resource_metrics:
        about = _attributes(resource.resource.attributes)
        identity = repr(sorted(about.items(), key=lambda item: item[0]))
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                for name, point, number in _points(metric):
                    attributes = _attributes(point.attributes)
                    key = (identity, repr(sorted(attributes.items(), key=lambda item: item[0])), point.time_unix_nano)
                    reading = found.get(key)
                    if reading is None:
                        if len(found) >= MOST_READINGS:
                            return too_many(len(found) + 1)
                        reading = {"metrics": {}, "attributes": attributes, "resource": about, "time": point.time_unix_nano}
                        found[key] = reading
                    reading["metrics"][name] = number
    return list(found.values()) or malformed("OTLP metrics", "it has no point")


def _points(metric: Any) -> Iterator[tuple[str, Any, float | int]]:
    kind = metric.WhichOneof("data")
    if kind in ("gauge", "sum"):
        for point in getattr(metric, kind).data_points:
            which = point.WhichOneof("value")
            if which is not None and not point.flags & _NO_VALUE:
                yield metric.name, point, getattr(point, which)
    elif kind in ("histogram", "exponential_histogram", "summary"):
        for point in getattr(metric, kind).data_points:
            if not point.flags & _NO_VALUE:
                yield f"{metric.name}.count", point, point.count
                yield f"{metric.name}.sum", point, point.sum


def _attributes(pairs: Any) -> dict[str, Any]:
    """Attributes of simple values; what is nested is left out."""
    found = {}
    for pair in pairs:
        kind = pair.value.WhichOneof("value")
        if kind in ("string_value", "bool_value", "int_value", "double_value"):
            found[pair.key] = getattr(pair.value, kind)
    return found
