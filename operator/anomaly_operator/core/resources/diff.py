"""Whether a live object still is what we applied: what we say must be there; what others added is theirs.

Server-side apply with our manifest puts back exactly what this finds.
"""

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

_KEYS: Final = ("mountPath", "name", "containerPort", "port", "uid", "type")
"""By which of them the items of a list are told apart, the first that our item has."""
_SUFFIXES: Final = {
    "n": Decimal("1e-9"), "u": Decimal("1e-6"), "m": Decimal("1e-3"), "": Decimal(1),
    "k": Decimal(10) ** 3, "M": Decimal(10) ** 6, "G": Decimal(10) ** 9, "T": Decimal(10) ** 12, "P": Decimal(10) ** 15,
    "Ki": Decimal(2) ** 10, "Mi": Decimal(2) ** 20, "Gi": Decimal(2) ** 30, "Ti": Decimal(2) ** 40, "Pi": Decimal(2) ** 50,
}  # fmt: skip
_QUANTITY: Final = re.compile(r"(?P<number>[+-]?\d{1,20}(\.\d{0,20})?([eE][+-]?\d{1,2})?)(?P<suffix>[numkMGTP]?|[KMGTP]i)")


def differs(wanted: Any, live: Any) -> bool:
    """Whether anything in `wanted` is missing or different in `live`.

    >>> differs({"a": 1}, {"a": 1, "b": 2})
    False
    >>> differs([{"name": "x", "v": 1}], [{"name": "y"}, {"name": "x", "v": 2}])
    True
    """
    if wanted == live:  # most of it, at rest; nothing is faster
        return False
    if isinstance(wanted, Mapping):
        if not isinstance(live, Mapping):
            return bool(wanted)  # an empty map of ours may be left out by the API server
        return any(differs(value, live.get(key)) for key, value in wanted.items())
    if isinstance(wanted, list):
        return _list_differs(wanted, live if isinstance(live, list) else [])
    return bool(wanted != live) and not _same_quantity(wanted, live)


def _list_differs(wanted: Sequence[Any], live: Sequence[Any]) -> bool:
    if not wanted:
        return False
    key = next((key for key in _KEYS if isinstance(wanted[0], Mapping) and key in wanted[0]), None)
    if key is None:
        return len(wanted) != len(live) or any(differs(ours, theirs) for ours, theirs in zip(wanted, live, strict=True))
    found = {item.get(key): item for item in live if isinstance(item, Mapping)}
    return any(item[key] not in found or differs(item, found[item[key]]) for item in wanted)


def _same_quantity(wanted: Any, live: Any) -> bool:
    """The API server writes quantities its own way: 1000m comes back as 1."""
    ours, theirs = _quantity(wanted), _quantity(live)
    return ours is not None and ours == theirs


def _quantity(value: Any) -> Decimal | None:
    """The value of a quantity; None for what is none, however much it looks like one: a digest may read 12e4567890123456."""
    found = _QUANTITY.fullmatch(str(value))
    return Decimal(found["number"]) * _SUFFIXES[found["suffix"]] if found else None
