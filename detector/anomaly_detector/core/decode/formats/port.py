"""The interface of a format: the bytes of a message in, its readings as plain documents out, or what is wrong with it."""

from collections.abc import Callable
from typing import Any, Final

from anomaly_api.alert import DeadLetterReason
from anomaly_detector.core.decode.flaw import Flaw

Document = dict[str, Any]
"""Fields by name; values are numbers, text, true and false, None, lists and further documents."""
Read = Callable[[bytes], list[Document] | Flaw]
"""What a format is: it raises nothing, whatever the bytes are, and takes time and memory in proportion to them."""

MOST_READINGS: Final = 10_000
"""Readings of one message; more are refused: a message of a megabyte could hold half a million."""


def malformed(format_name: str, what: str) -> Flaw:
    """A message that is not written in its format. `what` says what is wrong, without the content."""
    return Flaw(DeadLetterReason.MALFORMED, f"the message is not {format_name}: {what}")


def too_many(found: int) -> Flaw:
    """A message with too many readings."""
    return Flaw(DeadLetterReason.TOO_LARGE, f"the message has {found} readings; it may have {MOST_READINGS}")
