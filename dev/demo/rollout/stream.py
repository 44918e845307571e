"""Twenty pumps that go on for as long as the demo does. The stream can be held, and broken: what is learned then is wrong."""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import Final

from confluent_kafka import Producer

from dev.demo import pumps
from dev.demo.producer import SETTINGS, write_tick
from dev.demo.recording import Recording

TOPIC: Final = "rollout-readings"
PUMPS: Final = 20
HISTORY: Final = 6_000
_RATE: Final = 15.0
"""Ticks a second: 300 readings."""
_LIVE: Final = 60_000
"""Ticks that there are: more than an hour."""
_FLOW: Final = 3
_SPEED: Final = 5


class Stream:
    """Writes readings in a thread of its own. `broken` and `held` may be set at any time."""

    def __init__(self, bootstrap: str) -> None:
        self._producer = Producer({"bootstrap.servers": bootstrap, **SETTINGS})
        ticks = HISTORY + _LIVE
        self._whole = pumps.record(PUMPS, ticks, time.time() - ticks * pumps.STEP, 7)
        self._broken = _broken(self._whole)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._play, name="stream", daemon=True)
        self.broken = False
        self.held = False

    def __enter__(self) -> Stream:
        for tick in range(HISTORY):
            write_tick(self._producer, TOPIC, self._whole, tick)
        if self._producer.flush(60.0):
            raise RuntimeError("Kafka did not take the history within a minute: is the broker up (`make up`)?")
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()
        self._producer.flush(10.0)

    def _play(self) -> None:
        for tick in range(HISTORY, HISTORY + _LIVE):
            if self._stop.wait(1 / _RATE):
                return
            while self.held and not self._stop.wait(0.1):
                pass
            write_tick(self._producer, TOPIC, self._broken if self.broken else self._whole, tick)


def _broken(whole: Recording) -> Recording:
    """The same pumps with half the flow at a third more speed: no fault of one sensor, but another machine."""
    values = whole.values.copy()
    values[..., _FLOW] *= 0.5
    values[..., _SPEED] *= 1.3
    return whole.changed(values)
