"""Rows of `refusals.py` about formats and schema registries. No test."""

from tests.contract.refusals import URL, Wrong, _detector

REGISTRY = {"url": "https://registry.kafka:8081"}


def _format(field: str, sentence: str, **written: object) -> Wrong:
    kafka = {"bootstrapServers": "kafka:9092", "topic": "readings"}
    return _detector(f"spec.source.format{field}", sentence, source={"kafka": kafka, "format": written})


FORMAT_ROWS = [
    _format(
        "",
        "set at most one of: json, jsonSchema, avro, protobuf, csv, influxLine, openTelemetry, prometheusRemoteWrite",
        json={},
        influxLine={},
    ),
    _format(".avro", "set exactly one of: schemaRegistry, schema", avro={}),
    _format(".protobuf", "set exactly one of: schemaRegistry, schema", protobuf={}),
    _format(
        ".protobuf",
        "protobuf.message names a message type of protobuf.schema: set schema as well",
        protobuf={"schemaRegistry": REGISTRY, "message": "plant.Reading"},
    ),
    _format(".csv.delimiter", "write one character, such as a comma, a semicolon or |", csv={"columns": ["a"], "delimiter": "x"}),
    _format(".avro.schemaRegistry.url", URL, avro={"schemaRegistry": {"url": "registry:8081"}}),
    _format(
        ".avro.schemaRegistry",
        "schemaRegistry.tls is for a URL that begins with https://: change the URL, or leave tls out",
        avro={"schemaRegistry": {"url": "http://registry:8081", "tls": {}}},
    ),
]
