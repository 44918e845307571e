"""What a message is of, as the spec says: its key in four notations, a field, several fields, or always the same."""

import json
import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from anomaly_api.source import Entity, KeyFormat
from anomaly_detector.core.decode.paths import MISSING, path

MAX_ENTITY: Final = 512
"""Characters of an entity's name."""
_PARTS: Final = re.compile(r"\{([^{}]+)\}")


class Template:
    """A name that is put together: `{tags.host}/{tags.interface}`."""

    def __init__(self, text: str) -> None:
        self.fields = _PARTS.findall(text)
        self._between = _PARTS.split(text)[::2]
        self._lookups = [path(field).lookup for field in self.fields]

    def put(self, found: Sequence[Any]) -> str:
        """The name for what stands in the fields; empty where something is no name."""
        names = [text_of(each) for each in found]
        if not all(names):
            return ""
        return "".join(between + name for between, name in zip(self._between, [*names, ""], strict=True))

    def name(self, document: Mapping[str, Any]) -> str | None:
        """None: a field is not there, which `missing` names."""
        found = [lookup(document) for lookup in self._lookups]
        return None if any(each is MISSING for each in found) else self.put(found)

    def missing(self, document: Mapping[str, Any]) -> str:
        """The first field that is not there."""
        return next((field for field, lookup in zip(self.fields, self._lookups, strict=True) if lookup(document) is MISSING), "")


def text_of(found: Any) -> str:
    """A name of a value: text or a whole number; empty where it is none."""
    return found if isinstance(found, str) else whole(found)


def whole(found: Any) -> str:
    """A whole number as text; one beyond any sensible id counts as empty, and is rejected as such."""
    is_number = isinstance(found, int) and not isinstance(found, bool)
    return str(found) if is_number and abs(found) < 10**MAX_ENTITY else ""


def sound(name: str) -> bool:
    """Whether it names an entity: JSON can escape half of a surrogate pair, which UTF-8 cannot write."""
    if not 0 < len(name) <= MAX_ENTITY:
        return False
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def key_reader(entity: Entity) -> Callable[[bytes | None], str]:
    """From a key to its text; empty where it is none."""
    return {KeyFormat.TEXT: _text, KeyFormat.INTEGER: _integer, KeyFormat.UUID: _uuid, KeyFormat.JSON: _json}[entity.key_format]


class Names(dict[bytes | None, str]):
    """Names of entities, by the keys of their messages. A key that is no name is not kept: there may be any number of them."""

    def __init__(self, read: Callable[[bytes | None], str]) -> None:
        super().__init__()
        self._read = read

    def __missing__(self, key: bytes | None) -> str:
        name = self._read(key)
        if 0 < len(name) <= MAX_ENTITY:
            self[key] = name
        return name


KEYS: Final = {
    KeyFormat.TEXT: "UTF-8 text",
    KeyFormat.INTEGER: "a whole number of 4 or 8 bytes",
    KeyFormat.UUID: "a UUID of 16 bytes",
    KeyFormat.JSON: "a JSON value",
}


def _text(key: bytes | None) -> str:
    try:
        return key.decode() if key else ""
    except UnicodeDecodeError:
        return ""


def _integer(key: bytes | None) -> str:
    return str(int.from_bytes(key, "big", signed=True)) if key is not None and len(key) in (4, 8) else ""


def _uuid(key: bytes | None) -> str:
    return str(uuid.UUID(bytes=key)) if key is not None and len(key) == 16 else ""


def _json(key: bytes | None) -> str:
    """Text and whole numbers as they are; of anything else its canonical form."""
    if not key or len(key) > 8 * MAX_ENTITY:
        return ""
    try:
        found = json.loads(key.decode())
    except (ValueError, RecursionError):
        return ""
    name = text_of(found)
    return name or ("" if found == "" else json.dumps(found, sort_keys=True, separators=(",", ":"), ensure_ascii=False))
