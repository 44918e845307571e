"""Protocol Buffers with Confluent's framing: the schema's text is compiled by protoc, once an id, in this process.

After the schema's id stands which message type of the file it is, as zigzag numbers: their count, then an index a level; a
single zero is the first type. A field that has not been set is missing where the schema can tell (`optional`, messages), else it
has its default.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor, FileDescriptor
from google.protobuf.message import DecodeError, Message

from anomaly_detector.core.decode.flaw import Flaw
from anomaly_detector.core.decode.formats.port import Document, Read, malformed
from anomaly_detector.core.decode.formats.schemas import HEADER, Compiled, Schema, Schemas, first, unreadable

_MOST_DEPTH: Final = 32
_FILE: Final = "reading.proto"
_Fields = Callable[[Any], Document]


class SchemaError(ValueError):
    """A schema that protoc refuses."""


def protobuf_framed(schemas: Schemas) -> Read:
    """Returns the reader of messages with Confluent's framing."""
    compiled = Compiled(schemas, _compiled)

    def read(value: bytes) -> list[Document] | Flaw:
        file = compiled.reader(value)
        return file if isinstance(file, Flaw) else file.read(value)

    return read


def protobuf_plain(text: str, message: str | None) -> Read:
    """Returns the reader of messages that are all of one type of a .proto file. Raises SchemaError."""
    return _plain(_pool(compiled(text)), message)


def _plain(file: FileDescriptor, message: str | None) -> Read:
    kind: Descriptor | None = None
    kinds = file.message_types_by_name
    for name in (message or next(iter(kinds), "")).split("."):
        kind = kinds.get(name)
        if kind is None:
            raise SchemaError(f"it has no message type {message or '(none at all)'}")
        kinds = kind.nested_types_by_name
    assert kind is not None, "a name has a part"
    return _documents(kind)


def _compiled(schema_id: int, schema: Schema) -> "_File | Flaw":
    if schema.kind != "PROTOBUF":
        return unreadable(schema_id, f"it is {schema.kind}, spec.source.format says Protobuf")
    try:
        return _File(schema_id, compiled(schema.text, schema.references))
    except SchemaError as error:
        return unreadable(schema_id, str(error))


def compiled(text: str, references: tuple[tuple[str, str], ...] = ()) -> descriptor_pb2.FileDescriptorSet:
    """What protoc makes of a .proto file, with all that it imports. Raises SchemaError."""
    import grpc_tools
    from grpc_tools import protoc  # 20 MB, for those who need it

    with tempfile.TemporaryDirectory() as folder:
        for name, imported in first(references).items():
            path = (Path(folder) / name).resolve()
            if not path.is_relative_to(Path(folder).resolve()):
                raise SchemaError("the name of an import leads out of its folder")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(imported)
        (Path(folder) / _FILE).write_text(text)
        out = Path(folder) / "compiled"
        known = Path(grpc_tools.__file__).parent / "_proto"
        arguments = ["protoc", f"-I{folder}", f"-I{known}", "--include_imports", f"--descriptor_set_out={out}", _FILE]
        if protoc.main(arguments) != 0:
            raise SchemaError("protoc refuses it")
        return descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes())


class _File:
    """The message types of a .proto file."""

    def __init__(self, schema_id: int, found: descriptor_pb2.FileDescriptorSet) -> None:
        self._id = schema_id
        self._file = _pool(found)
        self._order = [each.name for each in found.file[-1].message_type]
        self._types: dict[bytes, Read | Flaw] = {}

    def read(self, value: bytes) -> list[Document] | Flaw:
        found = _indexes(value, HEADER)
        if found is None:
            return malformed("Protobuf of its schema", "which message type it is cannot be read")
        indexes, begin = found
        which = value[HEADER:begin]
        documents = self._types.get(which)
        if documents is None:
            if len(self._types) > 1000:
                self._types.clear()
            documents = self._types[which] = self._reader(indexes)
        return documents if isinstance(documents, Flaw) else documents(value[begin:])

    def _reader(self, indexes: list[int]) -> Read | Flaw:
        try:
            kind: Descriptor = self._file.message_types_by_name[self._order[indexes[0]]]
            for index in indexes[1:]:
                kind = kind.nested_types[index]
        except IndexError:
            return unreadable(self._id, f"it has no message type {indexes}")
        return _documents(kind)


def _pool(found: descriptor_pb2.FileDescriptorSet) -> FileDescriptor:
    """The file, and what it imports, in a pool of their own."""
    pool = descriptor_pool.DescriptorPool()
    for file in found.file:
        pool.Add(file)
    return pool.FindFileByName(_FILE)


def _documents(kind: Descriptor) -> Read:
    """The reader of messages of one type."""
    make: Callable[[bytes], Message] = message_factory.GetMessageClass(kind).FromString
    fields = reader_of(kind)

    def documents(value: bytes) -> list[Document] | Flaw:
        try:
            return [fields(make(value))]
        except (DecodeError, UnicodeDecodeError, RecursionError) as error:
            return malformed("Protobuf of its schema", type(error).__name__)

    return documents


def _indexes(value: bytes, place: int) -> tuple[list[int], int] | None:
    """The indexes of the message type, and where the message begins; None where they cannot be read."""
    numbers: list[int] = []
    count = None
    while count is None or len(numbers) < count:
        number = shift = 0
        while True:
            if place >= len(value) or shift > 28:
                return None
            byte = value[place]
            place += 1
            number |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        plain = (number >> 1) ^ -(number & 1)
        if plain < 0:
            return None
        if count is None:
            if plain == 0:
                return [0], place
            if plain > _MOST_DEPTH:
                return None
            count = plain
        else:
            numbers.append(plain)
    return numbers, place


def reader_of(kind: Descriptor, depth: int = 0) -> _Fields:
    """Returns what turns a message of this type into a document; repeated fields become lists."""
    plain: list[str] = []
    special: list[tuple[str, bool, Callable[[Any], Any]]] = []
    for field in kind.fields:
        value = _value_of(field, depth)
        if value is not None:
            special.append((field.name, field.has_presence and not field.is_repeated, value))
        elif field.has_presence:
            special.append((field.name, True, _same))
        else:
            plain.append(field.name)

    def fields(message: Any) -> Document:
        found: Document = {name: getattr(message, name) for name in plain}
        for name, optional, value in special:
            if not optional or message.HasField(name):
                found[name] = value(getattr(message, name))
        return found

    return fields


def _value_of(field: FieldDescriptor, depth: int) -> Callable[[Any], Any] | None:
    """What makes a plain value of a field's; None where it is one."""
    if field.message_type is not None:
        if depth >= _MOST_DEPTH:
            return lambda _: None
        if field.message_type.GetOptions().map_entry:
            entry = field.message_type.fields_by_name["value"]
            value = _value_of(entry, depth + 1) or _same
            return lambda found: {str(key): value(each) for key, each in found.items()}
        inner = _lazily(field.message_type, depth + 1)
        return (lambda found: [inner(each) for each in found]) if field.is_repeated else inner
    if field.enum_type is not None:
        names = {each.number: each.name for each in field.enum_type.values}
        if field.is_repeated:
            return lambda found: [names.get(each, each) for each in found]
        return lambda number: names.get(number, number)
    return list if field.is_repeated else None


def _lazily(kind: Descriptor, depth: int) -> _Fields:
    """The reader of a type that may hold itself: it is made when a message has one."""
    made: list[_Fields] = []

    def read(message: Any) -> Document:
        if not made:
            made.append(reader_of(kind, depth))
        return made[0](message)

    return read


def _same(value: Any) -> Any:
    return value
