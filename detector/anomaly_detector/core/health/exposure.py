"""Counts how often the deciding revision alerts, in how much entity-time, and how high scores go: what thresholds are kept by.

    scores of an entity   . . # . . . . . # # . . . . . .     # above half the threshold
    peaks                     |<-  apart  ->|                 the highest of those that are near each other

It says what was counted; whether that is too much is the operator's to say. Memory: 8 bytes an entity and window, and
what is high now.
"""

from collections.abc import Iterable, Mapping
from typing import Final

import numpy as np
from msgspec import Struct

from anomaly_api.assignment import Revision
from anomaly_api.exposure import FLOOR, PeakCounts, WindowExposure, bucket
from anomaly_api.schema import seconds
from anomaly_api.source import Window
from anomaly_detector.core.alerts.builder import ScoredWindows
from anomaly_detector.core.columns import MICROSECONDS, Float32, Int64
from anomaly_detector.core.episodes.episode import Transition
from anomaly_detector.core.episodes.processor import Processed
from anomaly_detector.core.episodes.transitions import EpisodeTransition
from anomaly_detector.core.scoring import scale

_HOUR: Final = 3600 * MICROSECONDS
_HOURS_KEPT: Final = 48


class _Excursion(Struct):
    """What is high now, of one entity."""

    peak: float
    time: int


class ExposureCounter:
    """Counts for one revision whose model decides. Written by one thread."""

    def __init__(self, revision: Revision) -> None:
        self.revision = revision.name
        thresholds = {each.window: each for each in revision.thresholds}
        self._windows = {
            window.name: _WindowCounter(window, thresholds[window.name].value)
            for window in revision.pipeline.windows
            if window.name in thresholds
        }
        self._thresholds = thresholds

    def observe(self, scored: Mapping[str, ScoredWindows], walked: Processed) -> None:
        """A portion of a batch was decided."""
        for name, each in scored.items():
            counter = self._windows.get(name)
            if counter is None:
                continue
            mine = each.scores.by_model & ~np.isnan(each.scores.values)
            slots, times, values = each.window.slots, each.window.times, each.scores.values
            if not mine.all():
                slots, times, values = slots[mine], times[mine], values[mine]
            counter.time(slots, times)
            high = values > FLOOR
            if high.any():
                counter.peaks(slots[high], times[high], scale.raw(values[high], self._thresholds[name]))
        for record in walked.records:
            if isinstance(record, EpisodeTransition) and record.turn is Transition.OPENED and record.suppressed_by is None:
                self._windows[record.window].opened(record.time)

    def evidence(self) -> list[WindowExposure]:
        """What was counted so far."""
        return [counter.evidence(name) for name, counter in self._windows.items()]


class _WindowCounter:
    """One kind of window."""

    def __init__(self, window: Window, threshold: float) -> None:
        self._least = FLOOR * threshold
        self._apart = max(1, -(-window.size // window.every))
        """Windows that share readings."""
        self._gap = round(seconds(window.max_gap) * window.every * MICROSECONDS)
        self._last = np.zeros(0, np.int64)
        """[slots] Event time of the last window, microseconds; 0: there was none."""
        self._covered = self._steps = 0
        self._newest_hour, self._hours, self._episodes, self._squares = -1, 0, 0, 0
        self._by_hour: dict[int, int] = {}
        self._high: dict[int, _Excursion] = {}
        self._peaks: dict[int, int] = {}

    def time(self, slots: Int64, times: Int64) -> None:
        """Windows [n] were scored, entity by entity, each entity's in order."""
        if not len(slots):
            return
        highest = int(slots.max())
        if highest >= len(self._last):
            self._last = np.concatenate([self._last, np.zeros(max(highest + 1, 2 * len(self._last)) - len(self._last), np.int64)])
        first = np.concatenate([[True], slots[1:] != slots[:-1]])
        before = np.concatenate([[0], times[:-1]])
        before[first] = self._last[slots[first]]
        steps = times - before
        steps = steps[(before > 0) & (steps > 0) & (steps <= self._gap)]
        self._covered += int(steps.sum())
        self._steps += len(steps)
        self._last[slots] = times  # of an entity the last one stays
        hour = int(times.max()) // _HOUR
        if hour > self._newest_hour:
            self._newest_hour, self._hours = hour, self._hours + 1

    def peaks(self, slots: Int64, times: Int64, values: Float32) -> None:
        """Scores [n], in the model's own unit, that are high."""
        apart = self._span
        for slot, time, value in zip(slots.tolist(), times.tolist(), values.tolist(), strict=True):
            known = self._high.get(slot)
            if known is None or time - known.time >= apart:
                if known is not None:
                    self._count(known.peak)
                self._high[slot] = _Excursion(value, time)
            elif value > known.peak:
                known.peak, known.time = value, time

    def opened(self, time: int) -> None:
        """An episode was announced."""
        hour = time // _HOUR
        before = self._by_hour.get(hour, 0)
        self._by_hour[hour] = before + 1
        self._episodes += 1
        self._squares += 2 * before + 1
        if len(self._by_hour) > _HOURS_KEPT:
            del self._by_hour[min(self._by_hour)]

    def evidence(self, name: str) -> WindowExposure:
        """What was counted; excursions that are over are counted first."""
        self._settle([slot for slot, known in self._high.items() if int(self._last[slot]) - known.time >= self._span])
        return WindowExposure(
            window=name,
            episodes=self._episodes,
            squares=self._squares,
            hours=self._hours,
            entity_seconds=round(self._covered / MICROSECONDS, 1),
            peaks=PeakCounts.of(self._peaks),
        )

    @property
    def _span(self) -> int:
        """Event time of windows that share readings, microseconds."""
        return self._apart * self._covered // max(self._steps, 1)

    def _settle(self, slots: Iterable[int]) -> None:
        for slot in slots:
            self._count(self._high.pop(slot).peak)

    def _count(self, peak: float) -> None:
        if peak > self._least:
            found = bucket(peak)
            self._peaks[found] = self._peaks.get(found, 0) + 1
