"""Counts of windows that stable revision and candidate both scored. It decides nothing, and keeps one time of each entity."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from anomaly_api.comparison import BINS_A_DOUBLING, HIGHEST_BIN, LOWEST_BIN, PairedEvidence
from anomaly_detector.core.columns import MICROSECONDS, NEVER, Float32, Int64
from anomaly_detector.core.entities.table import grown

_BINS: Final = HIGHEST_BIN - LOWEST_BIN + 1


class Pairs:
    """Of one kind of window. It is attached to the table of entities, for the time of each entity's last pair."""

    def __init__(self, window: str, gap: int) -> None:
        """`gap`: microseconds of event time after which windows begin anew: time beyond it is no time of both."""
        self.window, self._gap = window, gap
        self.both = self.only_stable = self.only_candidate = self.neither = 0
        self.stable_episodes = self.candidate_episodes = 0
        self._seconds = 0.0
        self._stable, self._candidate = np.zeros(_BINS, np.int64), np.zeros(_BINS, np.int64)
        self._last = np.empty(0, np.int64)
        """[capacity] Event time of each entity's last pair."""

    def add(self, slots: Int64, times: Int64, stable: tuple[Float32, float], candidate: tuple[Float32, float]) -> None:
        """The same [n] windows by both: scores, and the score that opens an episode. Windows of an entity follow each other.

        One that only one of them could score counts nowhere.
        """
        (ours, above_ours), (theirs, above_theirs) = stable, candidate
        paired = ~(np.isnan(ours) | np.isnan(theirs))
        if not paired.all():
            slots, times, ours, theirs = slots[paired], times[paired], ours[paired], theirs[paired]
        if not len(slots):
            return
        first, second = ours > above_ours, theirs > above_theirs
        both = int(np.count_nonzero(first & second))
        only_stable, only_candidate = int(np.count_nonzero(first)) - both, int(np.count_nonzero(second)) - both
        self.both += both
        self.only_stable += only_stable
        self.only_candidate += only_candidate
        self.neither += len(slots) - both - only_stable - only_candidate
        self._stable += _histogram(ours)
        self._candidate += _histogram(theirs)
        self._pass(slots, times)

    def evidence(self) -> PairedEvidence:
        """What the operator is told."""
        return PairedEvidence(
            window=self.window,
            both=self.both,
            only_stable=self.only_stable,
            only_candidate=self.only_candidate,
            neither=self.neither,
            stable_episodes=self.stable_episodes,
            candidate_episodes=self.candidate_episodes,
            entity_seconds=round(self._seconds, 3),
            stable_scores=_filled(self._stable),
            candidate_scores=_filled(self._candidate),
        )

    @property
    def row_bytes(self) -> int:
        """Bytes of one entity."""
        return self._last.itemsize

    def resize(self, capacity: int) -> None:
        """Room for so many entities."""
        before = len(self._last)
        self._last = grown(self._last, capacity)
        self._last[before:] = NEVER

    def clear(self, slots: Int64) -> None:
        """Forgets these entities."""
        self._last[slots] = NEVER

    def _pass(self, slots: Int64, times: Int64) -> None:
        """Event time goes on: from each entity's pair before, unless that is too long ago."""
        first = np.empty(len(slots), bool)
        first[0], first[1:] = True, slots[1:] != slots[:-1]
        before = np.empty_like(times)
        before[1:] = times[:-1]
        before[first] = self._last[slots[first]]
        known = before != NEVER
        spent = times[known] - before[known]
        self._seconds += int(spent[(spent > 0) & (spent <= self._gap)].sum()) / MICROSECONDS
        last = np.append(first[1:], True)
        self._last[slots[last]] = times[last]


def bins(scores: Float32) -> Int64:
    """[n] The bin of each score, from 0 on."""
    with np.errstate(divide="ignore"):
        places = np.floor(np.log2(np.maximum(scores, 0)) * BINS_A_DOUBLING)
    found: Int64 = (np.clip(places, LOWEST_BIN, HIGHEST_BIN) - LOWEST_BIN).astype(np.int64)
    return found


def _histogram(scores: Float32) -> NDArray[np.int64]:
    return np.bincount(bins(scores), minlength=_BINS)


def _filled(counts: NDArray[np.int64]) -> dict[int, int]:
    return {int(place) + LOWEST_BIN: int(counts[place]) for place in np.flatnonzero(counts)}
