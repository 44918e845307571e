"""What goes to standard output: tables for people, JSON, YAML and names for programs, and how times and numbers read."""

import json
import os
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final

FORMATS: Final = ("json", "yaml", "name")
_UNITS: Final = ((86400, "d"), (3600, "h"), (60, "m"))
COLOURS: Final = {"good": "32", "bad": "31", "wait": "33", "dim": "2", "bold": "1", "accent": "36"}


def coloured(text: str, colour: str | None, *, on: bool) -> str:
    """The text in a colour of `COLOURS`, where the terminal has any."""
    return f"\x1b[{COLOURS[colour]}m{text}\x1b[0m" if on and colour else text


def in_colour() -> bool:
    """Whether standard output shows colours (https://no-color.org)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def seconds_of(time: str | None) -> float | None:
    """Unix seconds of an RFC 3339 time; None of what is none."""
    try:
        return datetime.fromisoformat(time).timestamp() if time else None
    except ValueError:
        return None


def span(seconds: float) -> str:
    """A length of time as kubectl writes ages: 45s, 12m, 5h, 3d."""
    whole = max(int(seconds), 0)
    return next(
        (f"{whole // size}{unit}" for size, unit in _UNITS if whole >= 2 * size or (unit == "m" and whole >= 120)), f"{whole}s"
    )


def age(time: str | None, now: float) -> str:
    """How long ago a time is; `-` where there is none."""
    at = seconds_of(time)
    return "-" if at is None else span(now - at)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Columns as wide as their widest cell, three spaces between them."""
    lines = [head, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return "\n".join("   ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines)


def structured(value: Any, form: str) -> str:
    """JSON or YAML."""
    if form == "json":
        return json.dumps(value, indent=2, ensure_ascii=False)
    import yaml  # only where it is asked for

    return str(yaml.safe_dump(value, sort_keys=False, allow_unicode=True)).rstrip("\n")


def name_of(document: dict[str, Any]) -> str:
    """As kubectl's `-o name` writes it."""
    group = document["apiVersion"].partition("/")[0]
    return f"{document['kind'].lower()}.{group}/{document['metadata']['name']}"


def documents(found: Sequence[dict[str, Any]], form: str) -> str:
    """Several documents for programs: a List, or a name a line."""
    if form == "name":
        return "\n".join(map(name_of, found))
    return structured({"apiVersion": "v1", "kind": "List", "items": list(found)}, form)
