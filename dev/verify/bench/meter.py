"""Counts readings and time, from when the stream flows. Also runs in the environment of another library: nothing but Python."""

from __future__ import annotations

import time


class Meter:
    """The first twentieth is not counted: connecting, first fetches and caches have passed by then."""

    def __init__(self, readings: int, seconds: float) -> None:
        self._skipped, self._most = readings // 20, readings
        self._seconds = seconds
        self._count = self._first = 0
        self._began = self._until = self._cpu = self._now = 0.0
        self.more = True

    def add(self, readings: int) -> None:
        """Call after each batch."""
        if not readings:
            return
        self._count += readings
        self._now = now = time.perf_counter()
        if not self._until:
            self._until = now + self._seconds
        if not self._began and (self._count >= self._skipped or now > self._until - 0.8 * self._seconds):
            self._began, self._first, self._cpu = now, self._count, time.process_time()
        self.more = self._count < self._most and now < self._until

    def result(self) -> dict[str, float]:
        """Readings a second, and the process's time on a CPU for each in microseconds."""
        counted = max(1, self._count - self._first)
        return {
            "rate": counted / max(1e-9, self._now - self._began),
            "cpuMicroseconds": (time.process_time() - self._cpu) / counted * 1e6,
        }
