"""Where a value stands in a message, as the spec writes it. One syntax for entity, time and features.

temperature                 a member of the message
readings.0.value            of the first item of the list `readings`
sensors.temperature         a member of the object `sensors`; where the message has no `sensors` at all, the member whose
name is `sensors.temperature` (flattened objects are often written so)
/sensors/temp.1             a JSON Pointer (RFC 6901): names may hold anything, `~1` is a slash and `~0` a tilde
"""

from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct

MISSING: Final = object()


class Path(Struct, frozen=True):
    """A path, read once."""

    text: str
    """As the spec has it."""
    steps: tuple[str, ...]
    """Names, from the outermost object inwards."""
    literal: str | None = None
    """The member's name where the message has no member `steps[0]`; None: the path is not ambiguous."""

    @property
    def dotted(self) -> str:
        """The steps joined by dots: how decoders and people name the place."""
        return ".".join(self.steps)

    def lookup(self, document: Mapping[str, Any]) -> Any:
        """What stands there, or MISSING."""
        if self.literal is not None and self.steps[0] not in document:
            return document.get(self.literal, MISSING)
        value: Any = document
        try:
            for name in self.steps:
                value = value[int(name)] if type(value) is list and name.isdecimal() else value[name]
        except (KeyError, TypeError, IndexError):  # what is no object knows no names
            return MISSING
        return value

    @property
    def indexed(self) -> bool:
        """Whether it may lead into a list."""
        return any(step.isdecimal() for step in self.steps[1:])


def path(text: str) -> Path:
    """Reads a path.

    >>> path("/a~1b/c.d").steps, path("a.b").literal, path("a").literal
    (('a/b', 'c.d'), 'a.b', None)
    """
    if text.startswith("/"):
        return Path(text, tuple(step.replace("~1", "/").replace("~0", "~") for step in text[1:].split("/")))
    steps = tuple(text.split("."))
    return Path(text, steps, text if len(steps) > 1 else None)
