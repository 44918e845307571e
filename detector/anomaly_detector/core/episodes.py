"""Scores to episodes, with hysteresis. It costs next to nothing for entities whose scores are low. It writes no alert.

Opening with 2 windows above 1.0 and closing with 5 below 0.8 (`#` above, `-` between, `.` below):

    windows   . . # . . # # - # . . # . . . . . .
    episode               |opened             |closed

The second window above in a row opens, the fifth below in a row closes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np

from anomaly_api.policy import AlertPolicy
from anomaly_detector.core.columns import Float32, Int64, Mask
from anomaly_detector.core.entities import Entities, grown, row_bytes


class Turn(Enum):
    """What happened to an episode."""

    OPENED = "opened"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class EpisodeTurn:
    """An episode that opened or closed."""

    place: int
    """Which of the windows did it."""
    turn: Turn
    start: int
    """Event time of the window that opened it, microseconds since 1970 UTC."""
    score: float
    """Of this window; 1.0 is the threshold."""
    peak: float
    """Highest score of the episode."""


class Episodes:
    """Which entities have an open episode in one kind of window, and how many windows in a row stood above or below."""

    def __init__(self, entities: Entities) -> None:
        self._entities = entities
        self._streak = np.empty(0, np.int32)
        self._open = np.empty(0, bool)
        self._start = np.empty(0, np.int64)
        self._peak = np.empty(0, np.float32)
        self._stirred = np.empty(0, bool)
        self.scored = np.empty(0, bool)
        """[capacity] Which entities have had a score."""
        entities.attach(self)

    def detach(self) -> None:
        """Gives its columns up."""
        self._entities.detach(self)

    def observe(self, slots: Int64, times: Int64, scores: Float32, policy: AlertPolicy) -> list[EpisodeTurn]:
        """Takes in the scores (1.0 is the threshold, NaN: not scored) of [n] windows, each entity's in order."""
        self.scored[slots[~np.isnan(scores)]] = True
        stirring = (scores > policy.open.above) | self._open[slots] | (self._streak[slots] > 0)
        if not stirring.any():
            return []
        concerned = np.zeros(len(self._open), bool)
        concerned[slots[stirring]] = True
        self._stirred |= concerned
        places = np.flatnonzero(concerned[slots] & ~np.isnan(scores))
        turns = []
        for place, slot, score in zip(places.tolist(), slots[places].tolist(), scores[places].tolist(), strict=True):
            turn = self._close(slot, score, policy) if self._open[slot] else self._begin(slot, int(times[place]), score, policy)
            if turn is not None:
                turns.append(EpisodeTurn(place, turn, int(self._start[slot]), score, float(self._peak[slot])))
        return turns

    @property
    def row_bytes(self) -> int:
        """Bytes of one entity."""
        return row_bytes(self._streak, self._open, self._start, self._peak, self._stirred, self.scored)

    def resize(self, capacity: int) -> None:
        """Room for so many entities."""
        self._streak, self._open = grown(self._streak, capacity), grown(self._open, capacity)
        self._start, self._peak = grown(self._start, capacity), grown(self._peak, capacity)
        self._stirred, self.scored = grown(self._stirred, capacity), grown(self.scored, capacity)

    def clear(self, slots: Int64) -> None:
        """Forgets these entities."""
        for column in (self._streak, self._open, self._start, self._peak, self._stirred, self.scored):
            column[slots] = 0

    def break_off(self, slots: Int64) -> list[EpisodeTurn]:
        """Closes what is open of these entities, because they are forgotten; `place` is where they stand in `slots`."""
        places = np.flatnonzero(self._open[slots]).tolist()
        found = [(place, int(slots[place])) for place in places]
        return [
            EpisodeTurn(place, Turn.CLOSED, int(self._start[slot]), float(self._peak[slot]), float(self._peak[slot]))
            for place, slot in found
        ]

    def stirred(self) -> Int64:
        """Slots of the entities whose state may have changed since it was last asked."""
        slots = np.flatnonzero(self._stirred)
        self._stirred[slots] = False
        return slots

    def idle(self, slots: Int64) -> Mask:
        """[n] Whether there is nothing to remember of these entities: no episode, and none that begins."""
        idle: Mask = ~self._open[slots] & (self._streak[slots] == 0)
        return idle

    def take(self, slots: Int64) -> dict[str, Any]:
        """State of these entities."""
        return {
            "streak": self._streak[slots],
            "open": self._open[slots],
            "start": self._start[slots],
            "peak": self._peak[slots],
            "scored": self.scored[slots],
        }

    def put(self, slots: Int64, rows: Mapping[str, Any]) -> None:
        """Sets the state of these entities."""
        self._streak[slots], self._open[slots] = rows["streak"], rows["open"]
        self._start[slots], self._peak[slots] = rows["start"], rows["peak"]
        self.scored[slots] = rows["scored"]

    def _begin(self, slot: int, time: int, score: float, policy: AlertPolicy) -> Turn | None:
        if not score > policy.open.above:
            self._streak[slot] = 0
            return None
        streak = self._streak[slot] = self._streak[slot] + 1
        self._peak[slot] = score if streak == 1 else max(score, float(self._peak[slot]))
        if streak < policy.open.windows:
            return None
        self._open[slot], self._streak[slot], self._start[slot] = True, 0, time
        return Turn.OPENED

    def _close(self, slot: int, score: float, policy: AlertPolicy) -> Turn | None:
        self._peak[slot] = max(score, float(self._peak[slot]))
        if score >= policy.close.below:
            self._streak[slot] = 0
            return None
        self._streak[slot] += 1
        if self._streak[slot] < policy.close.windows:
            return None
        self._open[slot], self._streak[slot] = False, 0
        return Turn.CLOSED
