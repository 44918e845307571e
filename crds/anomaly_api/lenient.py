"""Reads a status that a newer version may have written: what this version cannot read is left out, and never an error.

An operator that was rolled back finds such statuses. A spec is another matter: to act on half of it would be wrong.
"""

import copy
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import ValidationError

from anomaly_api.schema import Contract

ContractType = TypeVar("ContractType", bound=Contract)


def read_leniently(model: type[ContractType], document: Mapping[str, Any]) -> tuple[ContractType, dict[str, Any]]:
    """The status as far as it can be read, and the fields at its top, as they are, of which something could not.

    Unknown fields are ignored as everywhere. A value of another type, or one that an enumeration does not have, is left out;
    where that field is required, so is the object or the item of a list that it belongs to.
    """
    readable = copy.deepcopy(dict(document))
    unread: dict[str, Any] = {}
    while True:
        try:
            return model.model_validate(readable), unread
        except ValidationError as error:
            wrong = {_present(readable, each["loc"]) for each in error.errors()}
            # From the end, so that the places of items that are before it in a list stay what they are.
            for place in sorted(wrong, key=_order, reverse=True):
                if not any(place[:depth] in wrong for depth in range(1, len(place))):
                    unread[str(place[0])] = document[str(place[0])]
                    _leave_out(readable, place)


_Place = tuple[int | str, ...]


def _present(document: Any, place: _Place) -> _Place:
    """The place, or what it belongs to where it is not there because it is required."""
    for depth, step in enumerate(place):
        try:
            document = document[step]
        except (KeyError, IndexError, TypeError):
            return place[:depth]
    return place


def _order(place: _Place) -> list[tuple[int, str]]:
    return [(step, "") if isinstance(step, int) else (0, step) for step in place]


def _leave_out(document: Any, place: _Place) -> None:
    *above, last = place
    for step in above:
        document = document[step]
    del document[last]
