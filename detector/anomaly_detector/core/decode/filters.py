"""Whether a message is a reading at all, by the spec's `source.filter`. Compiled once; a message is looked at, never changed."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

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
