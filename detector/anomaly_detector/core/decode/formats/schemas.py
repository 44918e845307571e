"""Schemas by id, of one registry: what an adapter has fetched, compiled when a message first needs it.

An id never changes its schema, so what is known of it is a cache and no state: whoever reads a message again reads the same.
"""

from collections.abc import Callable, Iterable, Sequence
from threading import Lock
from typing import Final, Generic, NamedTuple, TypeVar

from anomaly_api.alert import DeadLetterReason
from anomaly_detector.core.decode.flaw import Flaw

HEADER: Final = 5
"""Bytes of Confluent's framing: a zero, and the schema's id, big-endian."""
_MAGIC: Final = 0
_NO_FRAMING: Final = Flaw(
    DeadLetterReason.SCHEMA_UNKNOWN,
    "the message does not begin with a zero byte and a schema's id, as serializers of a schema registry write it",
)


class Schema(NamedTuple):
    """A schema as the registry has it."""

    kind: str
    """AVRO, PROTOBUF or JSON."""
    text: str
    references: tuple[tuple[str, str], ...] = ()
    """Name, as the schema imports it, and text of each schema that it refers to, those that others need first."""


class Schemas:
    """What is known of a registry's ids. One thread adds, another reads."""

    def __init__(self) -> None:
        self._known: dict[int, Schema | Flaw] = {}
        self._lock = Lock()

    def add(self, schema_id: int, found: Schema | Flaw) -> None:
        """Notes what the registry says of an id: a schema, or why there is none."""
        with self._lock:
            self._known[schema_id] = found

    def get(self, schema_id: int) -> Schema | Flaw:
        """The schema of an id. One that nobody has asked for is unknown: `missing` says which must be asked for."""
        with self._lock:
            return self._known.get(schema_id) or unknown(schema_id, "nobody has asked the registry for it")

    def missing(self, values: Iterable[bytes | None]) -> set[int]:
        """Ids in these messages of which nothing is known yet."""
        ids = {value[1:HEADER] for value in values if value is not None and len(value) >= HEADER and value[0] == _MAGIC}
        return {found for found in (int.from_bytes(each) for each in ids) if found not in self._known}


Reader = TypeVar("Reader")
SHARED: Final = Schemas()
"""Of the registry that this process reads: a detector has one."""


def unknown(schema_id: int, why: str) -> Flaw:
    """A message whose schema there is not."""
    return Flaw(DeadLetterReason.SCHEMA_UNKNOWN, f"there is no schema {schema_id}: {why}")


def unreadable(schema_id: int, why: str) -> Flaw:
    """A message whose schema cannot be used."""
    return Flaw(DeadLetterReason.SCHEMA_UNKNOWN, f"schema {schema_id} cannot be used: {why}")


def frame(value: bytes) -> int | Flaw:
    r"""The id of a message's schema.

    >>> frame(b"\0\0\0\0\7{}")
    7
    """
    if len(value) < HEADER or value[0] != _MAGIC:
        return _NO_FRAMING
    return int.from_bytes(value[1:HEADER])


class Compiled(Generic[Reader]):
    """Readers of messages by their schema's id: each is compiled once, whether that succeeds or not."""

    def __init__(self, schemas: Schemas, compile_: Callable[[int, Schema], Reader | Flaw]) -> None:
        self._schemas, self._compile = schemas, compile_
        self._made: dict[bytes, Reader | Flaw] = {}

    def reader(self, value: bytes) -> Reader | Flaw:
        """The reader for a message, or what is wrong with its framing or schema."""
        header = value[:HEADER]
        return self._made.get(header) or self._first(header)

    def _first(self, header: bytes) -> Reader | Flaw:
        schema_id = frame(header)
        if isinstance(schema_id, Flaw):
            return schema_id
        schema = self._schemas.get(schema_id)
        if isinstance(schema, Flaw):
            return schema
        made = self._made[header] = self._compile(schema_id, schema)
        return made


def first(schemas: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Texts by name, of references that are named twice the first."""
    found: dict[str, str] = {}
    for name, text in schemas:
        found.setdefault(name, text)
    return found
