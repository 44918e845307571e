"""The last results of pure functions, kept by the identity of what they were given: what has not changed is not computed again.

Documents in the cache and what is made of them are never changed in place, so the same objects mean the same content. They are
kept with their result, and so their identity is nobody else's. Of each slot, such as a detector, one result is kept: what is
replaced is forgotten.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, Final, Generic, ParamSpec, TypeVar

_Values = ParamSpec("_Values")
_Result = TypeVar("_Result")
_MOST: Final = 32_768


class ByIdentity(Generic[_Values, _Result]):
    """A function, and its last result of each slot. Of slots those asked for last are kept."""

    def __init__(self, slot: Callable[_Values, Hashable], compute: Callable[_Values, _Result], most: int = _MOST) -> None:
        self._slot, self._compute, self._most = slot, compute, most
        self._known: OrderedDict[Hashable, tuple[tuple[Any, ...], _Result]] = OrderedDict()

    def __call__(self, *values: _Values.args, **named: _Values.kwargs) -> _Result:
        """The result; computed where the slot was not asked about these very objects the last time."""
        place = self._slot(*values, **named)
        found = self._known.get(place)
        if found is not None and all(known is given for known, given in zip(found[0], values, strict=True)):
            self._known.move_to_end(place)
            return found[1]
        result = self._compute(*values, **named)
        self._known[place] = (values, result)
        if len(self._known) > self._most:
            self._known.popitem(last=False)
        return result
