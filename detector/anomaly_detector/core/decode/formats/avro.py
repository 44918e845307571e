"""Avro, binary (Avro 1.12), read with the schema that a message was written with.

A field whose schema names aliases is there under each of them, too: a spec that names a field as it was called before goes on
finding it. Logical types are read as the numbers that they are written as, but decimals: those become numbers of their value.

A schema is refused where data could make memory or time without bytes of a message that pay for it: where a type holds itself, or
is nested too deeply, or where an array has items of no bytes.
"""

import io
import json
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any, Final

import fastavro
from fastavro.schema import SchemaParseException, UnknownType

from anomaly_detector.core.decode.flaw import Flaw
from anomaly_detector.core.decode.formats.port import Document, Read, malformed
from anomaly_detector.core.decode.formats.schemas import HEADER, Compiled, Schema, Schemas, unreadable

_MOST_DEPTH: Final = 32
_PRIMITIVE: Final = ("null", "boolean", "int", "long", "float", "double", "bytes", "string")
_REFUSALS: Final = (SchemaParseException, UnknownType, ValueError, TypeError, KeyError, RecursionError, AttributeError)
_UNREADABLE: Final = (
    EOFError, ValueError, TypeError, KeyError, IndexError, OverflowError, RecursionError, MemoryError, UnicodeDecodeError,
    ArithmeticError, StopIteration,
)  # fmt: skip


class SchemaError(ValueError):
    """A schema that is no Avro, or that messages must not be read with; the message says why."""


def avro_framed(schemas: Schemas) -> Read:
    """Returns the reader of messages with Confluent's framing."""
    compiled = Compiled(schemas, _compiled)

    def read(value: bytes) -> list[Document] | Flaw:
        reader = compiled.reader(value)
        return reader if isinstance(reader, Flaw) else reader(value, HEADER)

    return read


def avro_plain(text: str) -> Read:
    """Returns the reader of messages that are all written with one schema. Raises SchemaError."""
    reader = _reader(text, ())
    return lambda value: reader(value, 0)


def _compiled(schema_id: int, schema: Schema) -> "Callable[[bytes, int], list[Document] | Flaw] | Flaw":
    if schema.kind != "AVRO":
        return unreadable(schema_id, f"it is {schema.kind}, spec.source.format says Avro")
    try:
        return _reader(schema.text, schema.references)
    except SchemaError as error:
        return unreadable(schema_id, str(error))


def _reader(text: str, references: tuple[tuple[str, str], ...]) -> Callable[[bytes, int], list[Document] | Flaw]:
    parsed, known = _parsed(text, references)
    if not isinstance(parsed, dict) or parsed.get("type") != "record":
        raise SchemaError("a reading is a record, the schema is of another type")
    _check(parsed, known, ())
    aliases = list(_aliases(parsed))
    decimals = _holds_decimals(parsed, known)
    read = fastavro.schemaless_reader

    def documents(value: bytes, begin: int) -> list[Document] | Flaw:
        stream = io.BytesIO(value)
        stream.seek(begin)
        try:
            found: Any = read(stream, parsed, None)
        except _UNREADABLE as error:
            return malformed("Avro of its schema", type(error).__name__)
        if stream.tell() != len(value):
            return malformed("Avro of its schema", f"{len(value) - stream.tell()} bytes are left over")
        for name, other in aliases:
            found.setdefault(other, found[name])
        return [_plain(found) if decimals else found]

    return documents


def _parsed(text: str, references: tuple[tuple[str, str], ...]) -> tuple[Any, dict[str, Any]]:
    """The schema without logical types, and the named types of it and of what it refers to."""
    known: dict[str, Any] = {}
    try:
        for _, referred in references:
            fastavro.parse_schema(_numbers(json.loads(referred)), named_schemas=known)
        return fastavro.parse_schema(_numbers(json.loads(text)), named_schemas=known), known
    except _REFUSALS as error:
        raise SchemaError(f"it is no Avro schema ({type(error).__name__})") from None


def _numbers(schema: Any) -> Any:
    """A schema in which dates, times and ids are what they are written as; decimals stay."""
    if isinstance(schema, list):
        return [_numbers(each) for each in schema]
    if isinstance(schema, dict):
        drop = schema.get("logicalType") not in (None, "decimal")
        return {key: _numbers(value) for key, value in schema.items() if not (drop and key == "logicalType")}
    return schema


def _check(schema: Any, known: dict[str, Any], within: tuple[str, ...]) -> None:
    """Raises SchemaError for what data could make grow without bytes that pay for it."""
    if len(within) > _MOST_DEPTH:
        raise SchemaError(f"it is nested more than {_MOST_DEPTH} levels deep")
    name = schema.get("name") if isinstance(schema, dict) else None
    if name is not None and name in within:
        raise SchemaError(f"type {name} holds itself")
    if isinstance(schema, dict) and schema["type"] == "array" and _is_nothing(schema["items"], known):
        raise SchemaError("an array has items of no bytes")
    for inner in _inner(schema, known):
        _check(inner, known, (*within, name or ""))


def _inner(schema: Any, known: dict[str, Any]) -> list[Any]:
    """The types that a type is made of."""
    if isinstance(schema, str):
        return [] if schema in _PRIMITIVE else [known[schema]]
    if isinstance(schema, list):
        return schema
    kind = schema["type"]
    if kind == "record":
        return [field["type"] for field in schema["fields"]]
    if isinstance(kind, (dict, list)):
        return [kind]
    return [schema[member] for member in ("items", "values") if member in schema]


def _is_nothing(schema: Any, known: dict[str, Any]) -> bool:
    """Whether a value of the type may take no byte."""
    if isinstance(schema, str):
        return schema == "null" or (schema not in _PRIMITIVE and _is_nothing(known[schema], known))
    if isinstance(schema, list):
        return False  # which branch it is takes a byte
    if schema.get("type") == "record":
        return all(_is_nothing(field["type"], known) for field in schema["fields"])
    return bool(schema.get("type") == "null" or (schema.get("type") == "fixed" and schema.get("size") == 0))


def _aliases(schema: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for field in schema["fields"]:
        for alias in field.get("aliases", ()):
            yield field["name"], alias


def _holds_decimals(schema: Any, known: dict[str, Any]) -> bool:
    text = json.dumps([schema, *known.values()], default=str)
    return '"decimal"' in text


def _plain(value: Any) -> Any:
    """The same with numbers in place of decimals."""
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, list) else value
