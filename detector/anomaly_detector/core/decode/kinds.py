"""Kinds of JSON values in words for people, and the fields that a message has."""

from collections.abc import Mapping
from typing import Any, Final

KINDS: Final = {
    "str": "text",
    "bool": "true or false",
    "null": "null",
    "array": "a list",
    "object": "an object",
    "int": "a number",
    "float": "a number",
}
"""By msgspec's names of them."""


def kind_of(found: Any) -> str:
    """Returns the kind of a decoded value."""
    if found is None:
        return "null"
    if isinstance(found, bool):
        return "true or false"
    if isinstance(found, str):
        return "text"
    return "a list" if isinstance(found, list) else "an object" if isinstance(found, dict) else "a number"


def surroundings(document: Mapping[str, Any]) -> str:
    """Names of fields at hand; a renamed field is found by them."""
    names = [name[:40] for name in list(document)[:8]]
    return f"the message has {', '.join(names)}" if names else "the message is an empty object"
