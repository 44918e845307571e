"""Rows of `refusals.py` about formats and schema registries. No test."""

from tests.contract.refusals import KEY, URL, Wrong, _detector

REGISTRY = {"url": "https://registry.kafka:8081"}


def _format(field: str, sentence: str, **written: object) -> Wrong:
    kafka = {"bootstrapServers": "kafka:9092", "topic": "readings"}
    return _detector(f"spec.source.format{field}", sentence, source={"kafka": kafka, "format": written})


def _of_registry(written: str) -> list[Wrong]:
    def row(field: str, sentence: str, **registry: object) -> Wrong:
        return _format(f".{written}.schemaRegistry{field}", sentence, **{written: {"schemaRegistry": {**REGISTRY, **registry}}})

    user = {"name": "reader"}
    return [
        row(".url", URL, url="registry:8081"),
        row(
            "",
            "schemaRegistry.tls is for a URL that begins with https://: change the URL, or leave tls out",
            url="http://registry:8081",
            tls={},
        ),
        row(".tls.caSecretRef.key", KEY, tls={"caSecretRef": {"name": "ca", "key": "a b"}}),
        row(".tls.clientSecretRef.certificateKey", KEY, tls={"clientSecretRef": {"name": "tls", "certificateKey": "a b"}}),
        row(".tls.clientSecretRef.privateKeyKey", KEY, tls={"clientSecretRef": {"name": "tls", "privateKeyKey": "a b"}}),
        row(".basicAuthSecretRef.usernameKey", KEY, basicAuthSecretRef={**user, "usernameKey": "a b"}),
        row(".basicAuthSecretRef.passwordKey", KEY, basicAuthSecretRef={**user, "passwordKey": "a b"}),
    ]


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
    *_of_registry("avro"),
    *_of_registry("protobuf"),
]
