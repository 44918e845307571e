"""Trailing baseline of scores: what has been usual for an entity lately is taken out of its scores, within bounds.

    score of a window    s, as the model computes it
    level                what s has been lately, in units of what was usual in the held-out part; 1 at first
    score that decides   s / max(1, (min(level, most) + 1) / 2)

    windows   . . . . . . . . . . . . . .
    samples   *           *           *       one in a 96th of `over`: it moves the level by a 96th of the way, at most by two

A machine whose normal behaviour changed slowly then comes back below the threshold; `most` bounds how much it is forgiven, and a
sample above the threshold moves the level an eighth as much, so that a long anomaly is not learned before it is over.

Levels change at samples only. So they are written in the transaction of the batch, as episodes are, and a replay scores nothing.
"""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from anomaly_api.calibration import WindowBaseline, WindowFactors
from anomaly_detector.core.columns import Float32, Int64, Mask
from anomaly_detector.core.entities.table import grown, row_bytes
from anomaly_detector.core.episodes.policy import micros
from anomaly_detector.core.preprocess.windows import WindowBatch

SAMPLES: Final = 96
MOST_MOVED: Final = 2.0
"""Levels from which on a sample moves no more: one wild score is no new level (Huber 1981)."""
ANOMALOUS: Final = 0.125
"""Weight of a sample above the threshold."""


class TrailingLevels:
    """The levels of all entities for one kind of window: a function of the entity's scores, however the stream is cut."""

    def __init__(self, settings: WindowBaseline, capacity: int) -> None:
        self._settings, self._step = settings, max(1, micros(settings.over) // SAMPLES)
        self._levels, self._due = np.ones(capacity, np.float32), np.zeros(capacity, np.int64)
        """[capacity] `_due`: event time of the next sample, microseconds; 0: there was none yet."""

    def adopt(self, settings: WindowBaseline | WindowFactors) -> bool:
        """Goes over to other settings, if they are of this kind; levels stay."""
        if not isinstance(settings, WindowBaseline):
            return False
        self._settings, self._step = settings, max(1, micros(settings.over) // SAMPLES)
        return True

    def adjusted(self, windows: WindowBatch, scores: Float32, mine: Mask, threshold: float) -> tuple[Float32, Int64]:
        """[n] The scores that decide, and the slots of entities whose level changed.

        `scores` [n] and `threshold` in the model's own unit. `mine` [n]: those that are adjusted, with a score; the others stay
        as they are and move nothing.
        """
        slots, times = windows.slots, windows.times
        found, changed = scores.copy(), []
        left = np.flatnonzero(mine)
        while len(left):
            due = left[times[left] >= self._due[slots[left]]]
            _, first = np.unique(slots[due], return_index=True)
            samples = due[first]
            until = np.full(len(self._due), len(scores))
            until[slots[samples]] = samples
            now = left[left <= until[slots[left]]]
            found[now] = self._forgiven(slots[now], scores[now])
            if not len(samples):
                break
            self._move(slots[samples], times[samples], scores[samples], found[samples] >= threshold)
            changed.append(slots[samples])
            left = left[left > until[slots[left]]]
        return found, np.unique(np.concatenate(changed)) if changed else np.empty(0, np.int64)

    def _forgiven(self, slots: Int64, scores: Float32) -> Float32:
        factor = (np.minimum(self._levels[slots], np.float32(self._settings.most)) + np.float32(1)) / np.float32(2)
        found: Float32 = scores / np.maximum(factor, np.float32(1))
        return found

    def _move(self, slots: Int64, times: Int64, scores: Float32, anomalous: Mask) -> None:
        levels = self._levels[slots].astype(np.float64)
        away = np.clip(scores / self._settings.usual - levels, -MOST_MOVED, MOST_MOVED)
        levels += away * np.where(anomalous, ANOMALOUS, 1.0) / SAMPLES
        self._levels[slots] = np.maximum(levels, 0)
        self._due[slots] = times + self._step

    @property
    def row_bytes(self) -> int:
        """Bytes of one entity."""
        return row_bytes(self._levels, self._due)

    def resize(self, capacity: int) -> None:
        """Room for so many entities."""
        before = len(self._due)
        self._levels, self._due = grown(self._levels, capacity), grown(self._due, capacity)
        self._levels[before:] = 1

    def clear(self, slots: Int64) -> None:
        """Forgets these entities."""
        self._levels[slots], self._due[slots] = 1, 0

    def state(self, slot: int) -> dict[str, Any]:
        """What there is to remember of an entity: plain values. Nothing before its first sample."""
        due = int(self._due[slot])
        return {"level": float(self._levels[slot]), "due": due} if due else {}

    def restore(self, slot: int, state: Mapping[str, Any]) -> None:
        """Sets an entity's level to what `state` gave."""
        self._levels[slot], self._due[slot] = state["level"], state["due"]
