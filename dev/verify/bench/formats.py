"""`python -m dev.verify.bench.formats`: the same readings in each format through the whole pipeline, side by side. No broker.

Formats take turns batch by batch, so that whatever else the machine does falls on all of them alike; processor time of the thread
is compared. The statistical scorer decides, as it costs the same for all.
"""

from __future__ import annotations

import argparse
import io
import json
import struct
import time
from collections.abc import Callable
from statistics import median
from typing import Any, Final

import cramjam
import fastavro
import numpy as np
from google.protobuf import message_factory
from google.protobuf.descriptor_pool import DescriptorPool
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from anomaly_api.alerting import AlertPolicy
from anomaly_api.assignment import Revision
from anomaly_api.calibration import ThresholdSource, WindowThreshold
from anomaly_api.formats import Avro, Csv, Envelope, Format, Protobuf
from anomaly_api.policy import Fallback
from anomaly_api.schema import Empty
from anomaly_api.source import Entity, Feature, Pipeline, Time, TimeFormat
from anomaly_detector.core.columns import Messages
from anomaly_detector.core.decode.formats.protobuf import compiled
from anomaly_detector.core.decode.formats.remote_write import request_class
from anomaly_detector.core.decode.formats.schemas import SHARED, Schema
from anomaly_detector.core.pipeline import DetectionPipeline
from anomaly_detector.core.scoring.revisions import LoadedRevision
from dev.demo.pumps import FEATURES
from dev.verify.bench.readings import PIPELINE

_BATCH: Final = 6_000
_AVRO: Final = {
    "type": "record",
    "name": "Reading",
    "fields": [{"name": "at", "type": "double"}, *({"name": name, "type": "double"} for name in FEATURES)],
}
_PROTO: Final = 'syntax = "proto3"; message Reading { double at = 1; %s }' % " ".join(  # noqa: UP031 - braces
    f"double {name} = {place};" for place, name in enumerate(FEATURES, 2)
)
_Row = dict[str, float]


def _json(row: _Row) -> bytes:
    return json.dumps(row).encode()


def _avro(row: _Row) -> bytes:
    out = io.BytesIO(struct.pack(">bI", 0, 1))
    out.seek(5)
    fastavro.schemaless_writer(out, _PARSED, row)
    return out.getvalue()


def _protobuf(row: _Row) -> bytes:
    return struct.pack(">bI", 0, 2) + b"\0" + bytes(_MESSAGE(**row).SerializeToString())


def _csv(row: _Row) -> bytes:
    return ",".join(map(repr, row.values())).encode()


def _influx(row: _Row) -> bytes:
    fields = ",".join(f"{name}={value!r}" for name, value in row.items() if name != "at")
    return f"pumps,site=a {fields} {int(row['at'] * 1e9)}".encode()


def _otlp(row: _Row) -> bytes:
    request = ExportMetricsServiceRequest()
    metrics = request.resource_metrics.add().scope_metrics.add().metrics
    for name, value in row.items():
        if name != "at":
            metrics.add(name=name).gauge.data_points.add(time_unix_nano=int(row["at"] * 1e9), as_double=value)
    return request.SerializeToString()


def _remote_write(row: _Row) -> bytes:
    request = request_class()()
    for name, value in row.items():
        if name != "at":
            series = request.timeseries.add()
            series.labels.add(name="__name__", value=name)
            series.samples.add(value=value, timestamp=int(row["at"] * 1e3))
    return bytes(cramjam.snappy.compress_raw(request.SerializeToString()))


def _event(row: _Row) -> bytes:
    return json.dumps({"specversion": "1.0", "id": "1", "source": "/pumps", "type": "reading", "data": row}).encode()


_SECONDS: Final = ("at", TimeFormat.UNIX_SECONDS, "")
_NANOS: Final = ("time", TimeFormat.UNIX_NANOS, "")
_KINDS: Final[dict[str, tuple[Callable[[_Row], bytes], Format | None, Envelope | None, tuple[str, TimeFormat, str]]]] = {
    "json": (_json, None, None, _SECONDS),
    "avro": (_avro, Format(avro=Avro()), None, _SECONDS),
    "protobuf": (_protobuf, Format(protobuf=Protobuf()), None, _SECONDS),
    "csv": (_csv, Format(csv=Csv(columns=["at", *FEATURES])), None, _SECONDS),
    "influxLine": (_influx, Format(influx_line=Empty()), None, _NANOS),
    "openTelemetry": (_otlp, Format(open_telemetry=Empty()), None, (*_NANOS[:2], "metrics.")),
    "prometheusRemoteWrite": (
        _remote_write, Format(prometheus_remote_write=Empty()), None, ("time", TimeFormat.UNIX_MILLIS, "metrics."),
    ),
    "json in CloudEvents": (_event, None, Envelope.CLOUD_EVENTS, _SECONDS),
}  # fmt: skip
_PARSED: Any = fastavro.parse_schema(dict(_AVRO))
_MESSAGE: Any = None


def main(batches: int, entities: int) -> None:
    global _MESSAGE
    SHARED.add(1, Schema("AVRO", json.dumps(_AVRO)))
    SHARED.add(2, Schema("PROTOBUF", _PROTO))
    pool = DescriptorPool()
    for file in compiled(_PROTO).file:
        pool.Add(file)
    _MESSAGE = message_factory.GetMessageClass(pool.FindMessageTypeByName("Reading"))
    pipelines = {name: _pipeline(*kind[1:]) for name, kind in _KINDS.items()}
    spent: dict[str, list[float]] = {name: [] for name in _KINDS}
    dice = np.random.default_rng(1)
    for turn in range(batches + 2):
        rows = _rows(turn, entities, dice)
        keys = [f"pump-{place % entities}".encode() for place in range(_BATCH)]
        for name, (write, *_) in _KINDS.items():
            messages = Messages([write(row) for row in rows], keys, np.full(_BATCH, -1, np.int64), np.zeros(_BATCH, np.int64))
            begin = time.thread_time()
            outcome = pipelines[name].process(messages)
            spent[name].append(time.thread_time() - begin)
            assert not outcome.rejects, f"{name}: {outcome.rejects[:1]}"
    usual = median(spent["json"][2:])
    for name, times in spent.items():
        taken = median(times[2:])
        print(f"{name:24} {_BATCH / taken:>9,.0f} readings/s  {usual / taken:6.2f} of JSON's rate")


def _rows(turn: int, entities: int, dice: np.random.Generator) -> list[_Row]:
    values = dice.normal(50.0, 1.0, (_BATCH, len(FEATURES))).tolist()
    first = turn * (_BATCH // entities)
    return [
        {"at": 1_700_000_000.0 + first + place // entities, **dict(zip(FEATURES, row, strict=True))}
        for place, row in enumerate(values)
    ]


def _pipeline(written: Format | None, envelope: Envelope | None, when: tuple[str, TimeFormat, str]) -> DetectionPipeline:
    field, time_format, prefix = when
    pipeline = Pipeline(
        entity=Entity(key=Empty()),
        time=Time(field=field, format=time_format),
        features=[Feature(name=name, field=f"{prefix}{name}") for name in FEATURES],
        windows=PIPELINE.windows,
        format=written,
        envelope=envelope,
    )
    [window] = pipeline.windows
    kept = WindowThreshold(window=window.name, value=8.0, source=ThresholdSource.FALLBACK, asked="8")
    revision = Revision(pipeline=pipeline, thresholds=[kept], fallback=Fallback(), alerts=AlertPolicy())
    return DetectionPipeline("bench", LoadedRevision(revision, None))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--batches", type=int, default=20)
    parser.add_argument("--entities", type=int, default=100)
    asked = parser.parse_args()
    main(asked.batches, asked.entities)
