"""A factor of each entity's own on its scores, for machines that are alike but not equal: shrunk to that of all by its exposure.

    score of a window    s, as the model computes it
    level                mean of log(s / usual) over the entity's samples, one in a 96th of `after`
    trust                samples / (samples + 96): a half after `after`, so what is new is taken as all are
    score that decides   s / exp(trust * level), within `most` times and a `most`-th

Shrinkage towards the pool by exposure is that of credibility theory (Buhlmann 1967). A sample moves the level by two at most, and
one above the threshold an eighth as much, so that an anomaly is not learned. Old samples are forgotten over four times `after`.

State changes at samples only, is a function of the entity's scores, and is written as trailing levels are.
"""

import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from anomaly_api.calibration import WindowBaseline, WindowFactors
from anomaly_detector.core.columns import Float32, Int64, Mask
from anomaly_detector.core.entities.table import grown, row_bytes
from anomaly_detector.core.episodes.trailing import ANOMALOUS, MOST_MOVED, SAMPLES, TrailingLevels

_MOST_SAMPLES: Final = 4 * SAMPLES
_LEAST: Final = 1e-12


class EntityFactors(TrailingLevels):
    """The factors of all entities for one kind of window."""

    def __init__(self, settings: WindowFactors, capacity: int) -> None:
        super().__init__(_sampled(settings), capacity)
        self._levels[:] = 0
        self._counts = np.zeros(capacity, np.int32)
        """[capacity] Samples taken, as far as they count."""

    def adopt(self, settings: WindowBaseline | WindowFactors) -> bool:
        """Goes over to other settings, if they are of this kind; factors stay."""
        return isinstance(settings, WindowFactors) and super().adopt(_sampled(settings))

    def _forgiven(self, slots: Int64, scores: Float32) -> Float32:
        counts, bound = self._counts[slots], math.log(self._settings.most)
        factors = np.exp(np.clip(self._levels[slots] * (counts / (counts + SAMPLES)), -bound, bound))
        return (scores / factors).astype(np.float32)

    def _move(self, slots: Int64, times: Int64, scores: Float32, anomalous: Mask) -> None:
        counts = np.minimum(self._counts[slots] + 1, _MOST_SAMPLES)
        levels = self._levels[slots].astype(np.float64)
        ratios = np.log(np.maximum(scores.astype(np.float64) / self._settings.usual, _LEAST))
        away = np.clip(ratios - levels, -MOST_MOVED, MOST_MOVED)
        self._levels[slots] = levels + away * np.where(anomalous, ANOMALOUS, 1.0) / counts
        self._counts[slots] = counts
        self._due[slots] = times + self._step

    @property
    def row_bytes(self) -> int:
        """Bytes of one entity."""
        return super().row_bytes + row_bytes(self._counts)

    def resize(self, capacity: int) -> None:
        """Room for so many entities."""
        before = len(self._counts)
        super().resize(capacity)
        self._counts = grown(self._counts, capacity)
        self._levels[before:] = 0

    def clear(self, slots: Int64) -> None:
        """Forgets these entities."""
        super().clear(slots)
        self._levels[slots] = self._counts[slots] = 0

    def state(self, slot: int) -> dict[str, Any]:
        """What there is to remember of an entity: plain values. Nothing before its first sample."""
        found = super().state(slot)
        return found | {"count": int(self._counts[slot])} if found else {}

    def restore(self, slot: int, state: Mapping[str, Any]) -> None:
        """Sets an entity's factor to what `state` gave; a trailing level is none."""
        if "count" in state:
            super().restore(slot, state)
            self._counts[slot] = state["count"]


def adjusting(before: TrailingLevels | None, settings: WindowBaseline | WindowFactors, capacity: int) -> TrailingLevels:
    """What changes an entity's scores before they decide; `before` goes on, where it is of the same kind."""
    if before is not None and before.adopt(settings):
        return before
    return TrailingLevels(settings, capacity) if isinstance(settings, WindowBaseline) else EntityFactors(settings, capacity)


def _sampled(settings: WindowFactors) -> WindowBaseline:
    return WindowBaseline(over=settings.after, most=settings.most, usual=settings.usual)
