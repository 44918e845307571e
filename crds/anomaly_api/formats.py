"""How the readings of a message are written: JSON, Avro, Protobuf, CSV, line protocols; schema registries; envelopes."""

from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field

from anomaly_api.schema import Contract, Empty, at_most_one, exactly_one, matching, rule
from anomaly_api.security import HttpUrl, PasswordReference, SecretFile, Tls

REGISTRY_CA_FILE: Final = "registry/ca.crt"
REGISTRY_CERTIFICATE_FILE: Final = "registry/tls.crt"
REGISTRY_KEY_FILE: Final = "registry/tls.key"
REGISTRY_USERNAME_FILE: Final = "registry/username"
REGISTRY_PASSWORD_FILE: Final = "registry/password"  # noqa: S105 - a path


@rule(
    "self.url.startsWith('https://') || !has(self.tls)",
    "schemaRegistry.tls is for a URL that begins with https://: change the URL, or leave tls out",
)
class SchemaRegistry(Contract):
    """A schema registry with Confluent's API: Confluent's own, Karapace, Apicurio (`/apis/ccompat/v7`), Redpanda's."""

    url: HttpUrl
    """URL of the registry as the pods reach it, such as https://registry.kafka:8081."""
    tls: Tls | None = None
    """Authorities that sign the registry's certificate, and a certificate of the detector. Unset: those that the image comes
    with, for a URL that begins with https://."""
    basic_auth_secret_ref: PasswordReference | None = None
    """Secret with a user name and a password for the registry. Unset: it is asked without."""


_SchemaText = Annotated[str, Field(min_length=2, max_length=65536)]


@exactly_one("schemaRegistry", "schema")
class Avro(Contract):
    """Avro, binary. Timestamps are numbers in the schema's unit, decimals numbers, enums text."""

    schema_registry: SchemaRegistry | None = None
    """Registry of the schemas that messages were written with; each message begins with the id of its own. A field is found by
    its name or by one of its aliases. While the registry cannot be reached, reading waits, and the condition SourceReachable
    says so; an id that it does not know makes the message a dead letter."""
    schema_: Annotated[_SchemaText | None, Field(alias="schema")] = None
    """The one schema of all messages, as JSON, where there is no registry: messages have no framing then."""


@exactly_one("schemaRegistry", "schema")
@rule("!has(self.message) || has(self.schema)", "protobuf.message names a message type of protobuf.schema: set schema as well")
class Protobuf(Contract):
    """Protocol Buffers. Fields are found by their names in the schema, enums are text."""

    schema_registry: SchemaRegistry | None = None
    """Registry of the schemas that messages were written with; each message begins with the id of its own, and says which
    message type it is. While the registry cannot be reached, reading waits, and the condition SourceReachable says so; an id
    that it does not know makes the message a dead letter."""
    schema_: Annotated[_SchemaText | None, Field(alias="schema")] = None
    """The one schema of all messages, as the text of a .proto file, where there is no registry: messages have no framing
    then. It may import Google's well-known types."""
    message: Annotated[str, Field(min_length=1, max_length=253)] | None = None
    """Name of the message type in `schema`, nested ones with dots. Unset: the first of the file."""


_Delimiter = Annotated[
    str, Field(max_length=1), matching("write one character, such as a comma, a semicolon or |", "^[,;:|#~^ \\t]$")
]


class Csv(Contract):
    """Text in columns; a message may have several lines, each of which is a reading."""

    columns: Annotated[list[Annotated[str, Field(min_length=1, max_length=63)]], Field(min_length=1, max_length=256)]
    """Names of the columns, in their order: the fields of a reading."""
    delimiter: _Delimiter = ","
    """Character between two columns. Default: a comma."""


@at_most_one("json", "jsonSchema", "avro", "protobuf", "csv", "influxLine", "openTelemetry", "prometheusRemoteWrite")
class Format(Contract):
    """How the readings of a message are written. Unset: JSON."""

    json_: Annotated[Empty | None, Field(alias="json")] = None
    """One JSON object a message. It counts where none of the others is set."""
    json_schema: Empty | None = None
    """One JSON object a message behind the five bytes of Confluent's framing, as JSON Schema serializers write it. The schema is
    not needed to read it."""
    avro: Avro | None = None
    """Avro, binary, with a schema registry or one schema for all."""
    protobuf: Protobuf | None = None
    """Protocol Buffers, with a schema registry."""
    csv: Csv | None = None
    """Lines of text in columns, each of which is a reading; the spec names the columns."""
    influx_line: Empty | None = None
    """InfluxDB's line protocol: tags and fields are the fields of a reading, `measurement` is the measurement, `time` the
    time in nanoseconds, where the line has one."""
    open_telemetry: Empty | None = None
    """OpenTelemetry's metrics as OTLP protobuf. Points of one resource, of equal attributes and time are one reading: fields
    `metrics` (by the metric's name), `attributes`, `resource`, and `time` in nanoseconds. Sums and gauges are numbers, of
    histograms there are `<name>.count` and `<name>.sum`."""
    prometheus_remote_write: Empty | None = None
    """Prometheus' remote write (version 1, snappy). Samples of equal labels (but the name) and time are one reading: fields
    `metrics` (by the metric's name), `labels`, and `time` in milliseconds."""

    @property
    def schema_registry(self) -> SchemaRegistry | None:
        """Where schemas are looked up; None: nowhere."""
        framed = self.avro or self.protobuf
        return framed.schema_registry if framed is not None else None

    @property
    def is_json(self) -> bool:
        """Whether a message is a JSON object and nothing else."""
        return all(getattr(self, name) is None for name in type(self).model_fields if name != "json_")

    @property
    def notation(self) -> "Format":
        """The format without where its registry is, which is no part of what a message means."""
        if self.avro is not None:
            return self.model_copy(update={"avro": self.avro.model_copy(update={"schema_registry": None})})
        if self.protobuf is not None:
            return self.model_copy(update={"protobuf": self.protobuf.model_copy(update={"schema_registry": None})})
        return self


class Envelope(StrEnum):
    """What stands around the readings of a message."""

    CLOUD_EVENTS = "CloudEvents"
    DEBEZIUM = "Debezium"


def registry_files(registry: SchemaRegistry | None) -> list[SecretFile]:
    """Every key of a Secret that the pods need to ask the registry, in a fixed order."""
    found: list[SecretFile] = []
    if registry is None:
        return found
    if registry.tls is not None and registry.tls.ca_secret_ref is not None:
        found.append(SecretFile(REGISTRY_CA_FILE, registry.tls.ca_secret_ref.name, registry.tls.ca_secret_ref.key))
    if registry.tls is not None and registry.tls.client_secret_ref is not None:
        client = registry.tls.client_secret_ref
        found.append(SecretFile(REGISTRY_CERTIFICATE_FILE, client.name, client.certificate_key))
        found.append(SecretFile(REGISTRY_KEY_FILE, client.name, client.private_key_key))
    if registry.basic_auth_secret_ref is not None:
        user = registry.basic_auth_secret_ref
        found.append(SecretFile(REGISTRY_USERNAME_FILE, user.name, user.username_key))
        found.append(SecretFile(REGISTRY_PASSWORD_FILE, user.name, user.password_key))
    return found
