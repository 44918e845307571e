"""Readings that came and did not count: how many lately, of what kind, and what lateness would have kept those out of order.

`now` is in Unix seconds.
"""

from collections import Counter, deque
from typing import Final

from anomaly_api.evidence import LossEvidence
from anomaly_detector.core.preprocess.counts import ReadingCounts
from anomaly_detector.core.preprocess.delays import LATENESSES

RECENT_SECONDS: Final = 60
LASTING_SECONDS: Final = 600


class RecentLosses:
    """Counts of the last ten minutes by second. Written by one thread, read by others."""

    def __init__(self) -> None:
        self._seconds: deque[tuple[int, Counter[str], Counter[int]]] = deque()

    def add(self, now: float, readings: int, counts: ReadingCounts) -> None:
        """A batch of so many messages has been decided."""
        found = Counter(
            readings=readings,
            late=counts.late,
            duplicates=counts.duplicates,
            dropped_pending=counts.dropped_pending,
            released_early=counts.released_early,
        )
        self._note(int(now), found, Counter(counts.delays))

    def skip(self, now: float, messages: int) -> None:
        """So many messages were gone before they were read."""
        if messages:
            self._note(int(now), Counter(skipped=messages), Counter())

    def evidence(self, now: float, seconds: int) -> LossEvidence:
        """Of so many seconds."""
        counts, delays = Counter[str](), Counter[int]()
        for at, found, late in list(self._seconds):
            if at > now - seconds:
                counts.update(found)
                delays.update(late)
        return LossEvidence(**counts, delays={f"{LATENESSES[place]:g}": delays[place] for place in sorted(delays)})

    def _note(self, second: int, counts: Counter[str], delays: Counter[int]) -> None:
        if self._seconds and self._seconds[-1][0] == second:
            _, before, delays_before = self._seconds.pop()
            counts, delays = before + counts, delays_before + delays
        self._seconds.append((second, counts, delays))
        while self._seconds[0][0] <= second - LASTING_SECONDS:
            self._seconds.popleft()
