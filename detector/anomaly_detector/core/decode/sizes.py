"""How large and how deeply nested raw messages are, found out before anything decodes them."""

from collections.abc import Sequence
from itertools import repeat
from typing import Final

import numpy as np

from anomaly_detector.core.columns import whole_numbers

MAX_BYTES: Final = 256 * 1024
"""Of a message. Reading a larger one would hold up its partition."""
MAX_DEPTH: Final = 256
"""Brackets within brackets."""
_AT_ONCE: Final = 4096
_STEPS: Final = bytes({ord("["): 1, ord("{"): 1, ord("]"): 255, ord("}"): 255}.get(byte, 0) for byte in range(256))
"""By byte: what it adds to the depth; 255 is -1."""


def too_deep(value: bytes) -> bool:
    """Whether brackets are nested deeper than is read. Those in texts count, too: what is asked for here must be cheap.

    Without it, how deep a decoder gets would depend on how deep the stack is that calls it, and two passes over the same
    message could differ.
    """
    if value.count(b"[") + value.count(b"{") <= MAX_DEPTH:
        return False
    depth = 0
    for start in range(0, len(value), _AT_ONCE):  # what is nothing but brackets is found out at its beginning
        steps = np.frombuffer(value[start : start + _AT_ONCE].translate(_STEPS), np.int8)
        levels = np.cumsum(steps, dtype=np.int32)
        if depth + int(levels.max()) > MAX_DEPTH:
            return True
        depth += int(levels[-1])
    return False


def longest(values: Sequence[bytes | None]) -> int:
    """Bytes of the longest message."""
    try:
        return int(whole_numbers(map(len, values), len(values)).max(initial=0))  # type: ignore[arg-type]  # None raises, see below
    except TypeError:
        return max(map(len, filter(None, values)), default=0)


def perhaps_deep(values: Sequence[bytes | None]) -> bool:
    """Whether a message may be nested too deeply; that none is can be told by their brackets, without a step for each."""
    most = [max(map(bytes.count, filter(None, values), repeat(bracket))) for bracket in (b"[", b"{")]
    return sum(most) > MAX_DEPTH


def for_care(value: bytes) -> bool:
    """Whether a message is for the exact way, which looks at size and depth first."""
    size = len(value)
    return size > MAX_DEPTH and (size > MAX_BYTES or too_deep(value))
