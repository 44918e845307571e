"""Readings whose schemas are in a real registry, read by a scoring pod from a real broker."""

from __future__ import annotations

import json
import os
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from anomaly_api.assignment import Assignment, Runtime
from anomaly_api.evidence import SourceState
from anomaly_api.formats import Avro, Format, Protobuf, SchemaRegistry
from anomaly_api.security import AuthorityReference, PasswordReference, Tls
from dev.environment import schema_registry
from dev.environment.kafka.authority import Authority
from tests.formats.test_readers import avro_message, proto_message
from tests.stream.pods import PIPELINE, Topics, pod, revision, runtime

pytestmark = pytest.mark.integration

AVRO = {
    "type": "record",
    "name": "Reading",
    "fields": [
        {"name": "at", "type": "long"},
        {"name": "temperature", "type": "double"},
        {"name": "pressure", "type": ["null", "double"]},
    ],
}
PROTO = """syntax = "proto3";
package plant;
import "plant/sensors.proto";
message Reading { int64 at = 1; double temperature = 2; optional double pressure = 3; Sensors more = 4; }
"""
SENSORS = 'syntax = "proto3"; package plant; message Sensors { double vibration = 1; }'


@pytest.fixture(scope="module")
def registry() -> Iterator[schema_registry.SchemaRegistry]:
    with schema_registry.running(f"tests-{os.getpid()}-registry") as running:
        yield running


def registered(registry: schema_registry.SchemaRegistry, subject: str, **schema: Any) -> int:
    request = urllib.request.Request(
        f"{registry.url}/subjects/{urllib.parse.quote(subject, safe='')}/versions",
        json.dumps(schema).encode(),
        {"Content-Type": "application/vnd.schemaregistry.v1+json"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        found: int = json.loads(answer.read())["id"]
    return found


def reading(topics: Topics, written: Format, registry: SchemaRegistry) -> tuple[Runtime, Assignment]:
    asked = runtime(topics).model_copy(update={"schema_registry": registry})
    stable = revision()
    return asked, Assignment(stable=stable.model_copy(update={"pipeline": PIPELINE.model_copy(update={"format": written})}))


def test_avro_and_its_later_schemas_are_read_and_unknown_ids_are_dead_letters(
    topics: Topics, tmp_path: Path, registry: schema_registry.SchemaRegistry
) -> None:
    topics.create()
    old = registered(registry, f"{topics.name}-value", schema=json.dumps(AVRO))
    wider = {**AVRO, "fields": [*AVRO["fields"], {"name": "operator", "type": "string", "default": ""}]}  # type: ignore[misc]
    new = registered(registry, f"{topics.name}-value", schema=json.dumps(wider))
    with pod(tmp_path / "pod", *reading(topics, Format(avro=Avro()), SchemaRegistry(url=registry.url))) as running:
        for at in range(1000, 1020):
            topics.send(avro_message({"at": at, "temperature": 20.0, "pressure": 3.0}, old, AVRO))
        topics.send(avro_message({"at": 1020, "temperature": 20.0, "pressure": 3.0}, 4_000_000, AVRO))
        topics.send(b'{"at": 1020, "temperature": 20.0}')
        for at in range(1021, 1040):
            topics.send(avro_message({"at": at, "temperature": 20.0, "pressure": None, "operator": "x"}, new, wider))
        topics.producer.flush(30)
        evidence = running.until(lambda found: found.readings == 41)
        assert evidence.dead_letters == {"SchemaUnknown": 2}
        assert evidence.windows == 39 - 12


def test_protobuf_is_read_with_what_its_schema_imports(
    topics: Topics, tmp_path: Path, registry: schema_registry.SchemaRegistry
) -> None:
    topics.create()
    registered(registry, "plant/sensors.proto", schemaType="PROTOBUF", schema=SENSORS)
    imported = [{"name": "plant/sensors.proto", "subject": "plant/sensors.proto", "version": 1}]
    found = registered(registry, f"{topics.name}-value", schemaType="PROTOBUF", schema=PROTO, references=imported)
    whole = PROTO.replace('import "plant/sensors.proto";', SENSORS.split(";", 2)[2])
    with pod(tmp_path / "pod", *reading(topics, Format(protobuf=Protobuf()), SchemaRegistry(url=registry.url))) as running:
        for at in range(1000, 1020):
            fields = {"at": at, "temperature": 20.0, "pressure": 3.0, "more": {"vibration": 1.0}}
            topics.send(proto_message(fields, found, whole, indexes=b"\0"))
        topics.producer.flush(30)
        evidence = running.until(lambda each: each.readings == 20)
        assert (evidence.dead_letters, evidence.windows) == ({}, 20 - 12)


def test_a_registry_that_does_not_answer_or_refuses_is_told_and_its_readings_wait(
    topics: Topics, tmp_path: Path, registry: schema_registry.SchemaRegistry
) -> None:
    topics.create()
    found = registered(registry, f"{topics.name}-value", schema=json.dumps(AVRO))
    authority = Authority(tmp_path / "authority")
    pair = authority.server("IP:127.0.0.1")
    (tmp_path / "tls.crt").write_text(pair.certificate)
    (tmp_path / "tls.key").write_text(pair.key)
    secrets = tmp_path / "secrets"
    (secrets / "registry").mkdir(parents=True)
    (secrets / "registry/ca.crt").write_text(authority.certificate)
    (secrets / "registry/username").write_text("reader\n")
    (secrets / "registry/password").write_text("wrong")
    with schema_registry.guarded(registry.url, tmp_path / "tls.crt", tmp_path / "tls.key", "reader", "s3cret") as url:
        asked = SchemaRegistry(
            url=url,
            tls=Tls(ca_secret_ref=AuthorityReference(name="ca")),
            basic_auth_secret_ref=PasswordReference(name="reader"),
        )
        orders = reading(topics, Format(avro=Avro()), asked)
        with pod(tmp_path / "pod", *orders, ANOMALY_SECRET_FOLDER=str(secrets)) as running:
            for at in range(1000, 1020):
                topics.send(avro_message({"at": at, "temperature": 20.0, "pressure": 3.0}, found, AVRO))
            topics.producer.flush(30)
            refused = running.until(lambda each: each.source.state is SourceState.NOT_AUTHORIZED)
            assert "refuses the detector (401)" in refused.source.message
            assert refused.readings == 0
            registry.pause()
            (secrets / "registry/password").write_text("s3cret")
            away = running.until(lambda each: each.source.state is SourceState.SCHEMA_REGISTRY_UNREACHABLE)
            assert url in away.source.message
            registry.resume()
            back = running.until(lambda each: each.readings == 20 and each.source.state is SourceState.READING)
            assert back.dead_letters == {}
        assert "s3cret" not in running.log.read_text()
