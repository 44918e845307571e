"""Reasons to end a stay in the group of which its clients do not tell: they can be dead and not know it. It knows no clock.

A client of librdkafka's (2.16) can lose all its brokers for good: one that starts may say for a moment that there are none, so
those that were known are dropped, and looking for them anew is called off (`rd_kafka_rebootstrap_tmr_stop` stops what
`rd_kafka_rebootstrap` takes to be under way from then on). It polls on, and neither hears anything nor complains. Whether
brokers answer is known from other clients.
"""

from typing import Final

PATIENCE_SECONDS: Final = 30.0
_LONGEST_SECONDS: Final = 600.0


class StallWatchdog:
    """About one stay after the other. `now` is any clock that only rises, in seconds."""

    def __init__(self) -> None:
        self._heard = self._answered = 0.0
        """When the group was last known to keep us, and when brokers were last known not to answer."""
        self._patience = PATIENCE_SECONDS
        """Twice as long after each stay that ended for this and changed nothing: it may be no client's fault."""

    def begin(self, now: float) -> None:
        """A stay begins."""
        self._heard = self._answered = now

    def decided(self) -> None:
        """Readings have been decided: all is well."""
        self._patience = PATIENCE_SECONDS

    def unheard(self, now: float, *, joined: bool, missing: bool, answered: bool) -> bool:
        """Whether we wait in vain to be taken in: an answer was lost, or the client is not going to ask.

        `joined` is what the client says; `missing`: the group is known not to have us.
        """
        if (joined and not missing) or not answered:
            self._heard = now
        return now - self._heard > PATIENCE_SECONDS

    def stands_still(self, now: float, seconds: float, *, answered: bool) -> bool:
        """Whether we wait in vain for what is there to be read; `seconds`: for how long already. True once for each stay."""
        if not answered:
            self._answered = now
        if min(seconds, now - self._answered) <= self._patience:
            return False
        self._patience = min(2 * self._patience, _LONGEST_SECONDS)
        return True
