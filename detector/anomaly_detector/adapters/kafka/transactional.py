"""A producer of transactions that knows whether a connection of its has broken."""

import logging
from collections.abc import Callable, Mapping
from typing import Any, Final

from confluent_kafka import KafkaError, Producer

log: Final = logging.getLogger(__name__)
_INFO: Final = 6
"""As syslog has it: the level from which on librdkafka says that a connection which was in use is closed."""
_DEBUG: Final = 7
_IN_USE: Final = ("in state UP", "in state REAUTH")


class Transactional(Producer):
    """Its client makes other connections by itself, and asks again there what it had asked and heard no answer to."""

    def __init__(self, settings: Mapping[str, Any], on_error: Callable[[KafkaError], None]) -> None:
        """`settings` are librdkafka's. Raises KafkaException where they make no sense to it."""
        self._ear = _Ear("debug" in settings)
        heard = {"error_cb": on_error, "log_level": _DEBUG if self._ear.verbose else _INFO, "log.connection.close": True}
        super().__init__(dict(settings) | heard, logger=self._ear)

    @property
    def broken(self) -> bool:
        """Whether a connection has broken that was in use since the client began.

        It is said for sure only of the first: of others that are alike librdkafka says nothing for half a minute.
        """
        self.poll(0)
        return self._ear.broken


class _Ear(logging.Logger):
    """What librdkafka logs: a connection that was closed is told as an error in some cases only."""

    def __init__(self, verbose: bool) -> None:  # noqa: FBT001 - nobody else makes one
        """`verbose`: whether to hand on all of it, not only what is critical."""
        super().__init__("librdkafka")
        self.verbose = verbose
        self.broken = False

    def log(self, level: int, msg: object, *args: object, **_: object) -> None:
        """`args` are a facility, the client's name, and what happened."""
        facility, *_rest, what = args
        self.broken = self.broken or (facility == "FAIL" and any(state in str(what) for state in _IN_USE))
        if self.verbose or level >= logging.CRITICAL:
            log.log(level, msg, *args)
