"""Whether a message is a reading at all, by the spec's `source.filter`. Compiled once; a message is looked at, never changed."""

import json
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import Any

import msgspec

from anomaly_api.input import Condition
from anomaly_detector.core.decode.paths import MISSING, path

Holds = Callable[[Any], bool]
"""Of what stands in a field, or MISSING."""


def conditions(filter_: Sequence[Condition] | None) -> Callable[[Mapping[str, Any]], bool] | None:
    """Whether all hold of a decoded message. None: there are none."""
    if not filter_:
        return None
    compiled = [(path(each.field).lookup, holds(each)) for each in filter_]

    def passes(document: Mapping[str, Any]) -> bool:
        return all(held(lookup(document)) for lookup, held in compiled)

    return passes


class Sieve:
    """The fast way to see which messages pass, where conditions are about members of the message itself: one Struct of them."""

    def __init__(self, filter_: Sequence[Condition]) -> None:
        names = list(dict.fromkeys(path(each.field).steps[0] for each in filter_))
        fields = [(f"a{place}", Any, msgspec.UNSET) for place in range(len(names))]
        renamed = {f"a{place}": name for place, name in enumerate(names)}
        self.decode = msgspec.json.Decoder(msgspec.defstruct("Sifted", fields, rename=renamed, gc=False)).decode
        self._conditions = [(attrgetter(f"a{names.index(path(each.field).steps[0])}"), holds(each)) for each in filter_]

    def passes(self, records: Sequence[Any]) -> list[bool]:
        """[n] Of records that were decoded."""
        found = [True] * len(records)
        for read, held in self._conditions:
            for place, value in enumerate(map(read, records)):
                if found[place] and not held(MISSING if value is msgspec.UNSET else value):
                    found[place] = False
        return found


def sieve(filter_: Sequence[Condition] | None) -> Sieve | None:
    """None: there is no filter, or it looks deeper into messages."""
    return Sieve(filter_) if filter_ and all(len(path(each.field).steps) == 1 for each in filter_) else None


def holds(condition: Condition) -> Holds:
    """What must hold of the field's value."""
    if condition.exists is not None:
        wanted = condition.exists
        return lambda found: (found is not MISSING) is wanted
    if condition.none_of is not None:
        none = frozenset(condition.none_of)
        return lambda found: found is MISSING or written(found) not in none
    some = frozenset(condition.one_of or [condition.equals or ""])
    return lambda found: found is not MISSING and written(found) in some


def written(found: Any) -> str | None:
    """A value as a condition writes it: text itself, numbers at their shortest, true, false, null; None: it is neither."""
    if isinstance(found, str):
        return found
    if found is None or isinstance(found, (bool, int)):
        return json.dumps(found) if abs(found or 0) < 10**18 else None
    if isinstance(found, float):
        return str(int(found)) if found.is_integer() and abs(found) < 1e15 else repr(found)
    return None
