"""A producer of transactions that knows whether a connection of its has broken.

librdkafka has neither an event nor an error for every connection that closes, only lines of its log (`log.connection.close`, its
issue 437; issue 875 asks for events). Why it matters is in `exactly_once.py`. Nothing else of its log is read, nor anywhere else:
when librdkafka tells of connections, or brokers give each transaction an epoch (KIP-890), this module goes.
"""

import logging
from collections.abc import Callable, Mapping
from typing import Any, Final

from confluent_kafka import KafkaError, Producer

log: Final = logging.getLogger(__name__)
_CRITICAL: Final = 2
"""As syslog has it, like the next two: what librdkafka logs elsewhere, unless somebody asks for more."""
_INFO: Final = 6
"""From here on it says that a connection which was in use is closed."""
_DEBUG: Final = 7
_GIVEN_UP: Final = "REQTMOUT"
"""What it calls requests that were not answered in time: their connection is closed, of which it says nothing else."""
_FAILED: Final = "FAIL"
_IN_USE: Final = ("in state UP", "in state REAUTH", "in state AUTH_")


class Transactional(Producer):
    """Its client makes other connections by itself, and asks again there what it had asked and heard no answer to."""

    def __init__(self, settings: Mapping[str, Any], on_error: Callable[[KafkaError], None]) -> None:
        """`settings` are librdkafka's. Raises KafkaException where they make no sense to it."""
        more = "debug" in settings or str(settings.get("log_level", _CRITICAL)) > str(_CRITICAL)
        self._ear = _Ear(more)
        heard = {"error_cb": on_error, "log_level": _DEBUG if more else _INFO, "log.connection.close": True}
        super().__init__(dict(settings) | heard, logger=self._ear)

    @property
    def broken(self) -> bool:
        """Whether a connection that was in use has broken, or was given up, since the client began.

        It is said for sure only of the first: of others that are alike librdkafka says nothing for half a minute.
        """
        self.poll(0)
        return self._ear.broken


class _Ear(logging.Logger):
    """Listens to librdkafka's log: only some closed connections are reported as errors."""

    def __init__(self, more: bool) -> None:  # noqa: FBT001 - nobody else makes one
        """`more`: whether to hand on all of it, not only what is critical."""
        super().__init__("librdkafka")
        self._more = more
        self.broken = False

    def log(self, level: int, msg: object, *args: object, **_: object) -> None:
        """`args` are a facility, the client's name, and what happened."""
        facility, *_rest, what = args
        failed = facility == _FAILED and level >= logging.INFO and any(state in str(what) for state in _IN_USE)
        self.broken = self.broken or failed or facility == _GIVEN_UP
        if self._more or level >= logging.CRITICAL:
            log.log(max(level, logging.INFO), msg, *args)
