"""The reader of each format, and of what is inside of envelopes, chosen by the spec. A pod imports what it reads."""

from anomaly_api.alert import DeadLetterReason
from anomaly_api.formats import Format
from anomaly_api.source import Pipeline
from anomaly_detector.core.decode.exact import Explainer
from anomaly_detector.core.decode.flaw import Flaw
from anomaly_detector.core.decode.formats.port import Document, Read
from anomaly_detector.core.decode.formats.schemas import HEADER, SHARED, Schemas, frame


def documents_of(pipeline: Pipeline, schemas: Schemas = SHARED) -> Read:
    """Returns the reader of a message's documents: that of its format, within its envelope."""
    read = _format(pipeline, schemas)
    if pipeline.envelope is None:
        return read
    from anomaly_detector.core.decode.formats.envelopes import opened  # here and below: a pod imports what it reads

    return opened(pipeline.envelope, read)


def _format(pipeline: Pipeline, schemas: Schemas) -> Read:
    written = pipeline.format or Format()
    if written.avro is not None:
        return _avro(written.avro.schema_, schemas)
    if written.protobuf is not None:
        return _protobuf(written.protobuf.schema_, written.protobuf.message, schemas)
    if written.csv is not None:
        from anomaly_detector.core.decode.formats.csv import csv_reader

        return csv_reader(written.csv)
    if written.influx_line is not None:
        from anomaly_detector.core.decode.formats.influx import read_influx

        return read_influx
    if written.open_telemetry is not None:
        from anomaly_detector.core.decode.formats.otlp import read_otlp

        return read_otlp
    if written.prometheus_remote_write is not None:
        from anomaly_detector.core.decode.formats.remote_write import read_remote_write

        return read_remote_write
    as_json = _json_reader(pipeline)
    return as_json if written.json_schema is None else _framed(as_json)


def _avro(schema: str | None, schemas: Schemas) -> Read:
    from anomaly_detector.core.decode.formats import avro

    if schema is None:
        return avro.avro_framed(schemas)
    try:
        return avro.avro_plain(schema)
    except avro.SchemaError as error:
        return _always(Flaw(DeadLetterReason.SCHEMA_UNKNOWN, f"spec.source.format.avro.schema cannot be used: {error}"))


def _protobuf(schema: str | None, message: str | None, schemas: Schemas) -> Read:
    from anomaly_detector.core.decode.formats import protobuf

    if schema is None:
        return protobuf.protobuf_framed(schemas)
    try:
        return protobuf.protobuf_plain(schema, message)
    except protobuf.SchemaError as error:
        return _always(Flaw(DeadLetterReason.SCHEMA_UNKNOWN, f"spec.source.format.protobuf.schema cannot be used: {error}"))


def _always(flaw: Flaw) -> Read:
    return lambda _: flaw


def _json_reader(pipeline: Pipeline) -> Read:
    """Reads JSON as messages are read that have nothing around them."""
    parse = Explainer(pipeline).document

    def read(value: bytes) -> list[Document] | Flaw:
        found = parse(value)
        return found if isinstance(found, Flaw) else [found]

    return read


def _framed(read: Read) -> Read:
    """Reads what is behind Confluent's framing."""

    def behind(value: bytes) -> list[Document] | Flaw:
        found = frame(value)
        return found if isinstance(found, Flaw) else read(value[HEADER:])

    return behind
