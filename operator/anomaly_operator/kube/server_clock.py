"""The API server's clock, known from the Date header of its answers: this machine's may be an hour behind."""

from email.utils import parsedate_to_datetime
from typing import Final

_TOLERATED: Final = 3.0
"""Seconds: a Date has whole seconds, and an answer takes its time."""


class ServerClock:
    """The difference between two clocks."""

    def __init__(self) -> None:
        self._ahead = 0.0

    def heard(self, date: str | None, here: float) -> None:
        """Take over the Date of an answer that came when this machine's clock said `here`; one that makes no sense is ignored."""
        try:
            ahead = parsedate_to_datetime(date).timestamp() - here if date else 0.0
        except ValueError:
            return
        self._ahead = ahead if abs(ahead) > _TOLERATED else 0.0

    def now(self, here: float) -> float:
        """The API server's time when this machine's clock says `here`."""
        return here + self._ahead
