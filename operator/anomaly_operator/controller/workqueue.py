"""Detectors that want attention: each once, however often it is asked for; again later; after failures more and more slowly.

add ──> waiting ──> worker ──┬── done: asked for meanwhile? ──> waiting
└── failed: after a pause ──> waiting
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from prometheus_client import Gauge

from anomaly_operator.controller import telemetry

Key = tuple[str, str]
Call = Callable[[Key], None]
_FIRST_PAUSE: Final = 0.2
_LONGEST_PAUSE: Final = 60.0

logger = logging.getLogger(__name__)


class Queue:
    """A deduplicating queue of detectors, or of models. `waiting` is told how many wait."""

    def __init__(self, waiting: Gauge | None = telemetry.QUEUED) -> None:
        self._gauge = waiting
        self._waiting: dict[Key, None] = {}
        self._busy: set[Key] = set()
        self._again: set[Key] = set()
        self._failures: dict[Key, int] = {}
        self._timers: dict[Key, dict[Call, asyncio.TimerHandle]] = {}
        self._wake = asyncio.Event()

    def add(self, key: Key) -> None:
        """Ask for attention now."""
        if key in self._busy:
            self._again.add(key)
            return
        self._waiting[key] = None
        self._measure()
        self._wake.set()

    def add_after(self, key: Key, seconds: float, call: Call | None = None) -> None:
        """Ask for attention (or `call`) later. Of several deadlines of one call the earliest stays.

        Were it replaced, whatever happens more often than the pause would put it off for ever.
        """
        call = call or self.add
        loop = asyncio.get_running_loop()
        timers = self._timers.setdefault(key, {})
        known = timers.get(call)
        if known is not None:
            if known.when() <= loop.time() + seconds:
                return
            known.cancel()
        timers[call] = loop.call_later(seconds, self._due, key, call)

    def cancel(self, key: Key) -> None:
        """Forget what was asked for later, and that it failed."""
        for timer in self._timers.pop(key, {}).values():
            timer.cancel()
        self._failures.pop(key, None)

    async def work(self, handle: Callable[[Key], Awaitable[None]], recoverable: tuple[type[Exception], ...]) -> None:
        """Handle one after the other, until cancelled. Of `recoverable` failures the pause grows, others too but with a trace."""
        while True:
            while not self._waiting:
                self._wake.clear()
                await self._wake.wait()
            key = next(iter(self._waiting))
            del self._waiting[key]
            self._measure()
            await self._handle(key, handle, recoverable)

    async def _handle(self, key: Key, handle: Callable[[Key], Awaitable[None]], recoverable: tuple[type[Exception], ...]) -> None:
        self._busy.add(key)
        try:
            await handle(key)
        except recoverable as error:
            self._failed(key, repr(error))
        except Exception:  # an outer loop: one detector's bug must not stop the others
            logger.exception("%s/%s could not be reconciled", *key)
            self._failed(key, "a bug of the operator")
        else:
            self._failures.pop(key, None)
            telemetry.RECONCILES.labels("done").inc()
        finally:
            self._busy.discard(key)
            if key in self._again:
                self._again.discard(key)
                self.add(key)

    def _measure(self) -> None:
        if self._gauge is not None:
            self._gauge.set(len(self._waiting))

    def _failed(self, key: Key, why: str) -> None:
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        pause = min(_FIRST_PAUSE * 2 ** (failures - 1), _LONGEST_PAUSE)
        telemetry.RECONCILES.labels("failed").inc()
        logger.warning("%s/%s is reconciled again in %.1f s: %s", *key, pause, why)
        self.add_after(key, pause)

    def _due(self, key: Key, call: Call) -> None:
        timers = self._timers.get(key, {})
        timers.pop(call, None)
        if not timers:
            self._timers.pop(key, None)
        call(key)
