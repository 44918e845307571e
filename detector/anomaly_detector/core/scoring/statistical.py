"""The robust statistical scorer: how far a window is from its entity's own running level, in its own running scale.

It decides where there is no model. Nothing is trained: level and scale are functions of the entity's readings so far, and do
not depend on how the stream is cut into batches.
"""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from msgspec import Struct

from anomaly_api.policy import Fallback
from anomaly_detector.core.columns import Float32, Float64, Int64, Mask, Readings
from anomaly_detector.core.entities.table import Entities, grown, row_bytes
from anomaly_detector.core.preprocess.windows import WindowBatch

_CLIP: Final = 4.0
"""A reading moves level and scale no more than one at so many scales would."""
_GRACE: Final = 10
"""The first readings of an entity are taken as they are."""
_MEMORY: Final = 5
"""Level and scale forget over so many times `warmup` readings."""
_NORMAL: Final = 1.2533141373155003
"""Standard deviation over mean absolute deviation of a normal distribution: sqrt(pi / 2)."""
_RELATIVE_FLOOR: Final = 1e-3
_FLOOR: Final = 1e-9
_FARTHEST: Final = 1e6
"""Distances end here, so that scores stay finite."""


class RunningBaseline(Struct, frozen=True):
    """What was known of each reading's entity before that reading."""

    level: Float64
    """[n, features] In the readings' own units."""
    scale: Float64
    """[n, features] Robust standard deviation, never 0."""
    ready: Mask
    """[n] Whether the entity has had enough readings."""


class Statistical:
    """Running level and scale of all entities and features: recursive means of clipped residuals (Huber 1981)."""

    def __init__(self, fallback: Fallback, width: int, entities: Entities) -> None:
        self._fallback = fallback
        self._entities = entities
        self._count = np.empty(0, np.int64)
        self._level = np.empty((0, width), np.float64)
        self._scale = np.empty((0, width), np.float64)
        self._gappy = False
        """Whether there was ever a value missing: then a level may be unknown, which is not a number."""
        entities.attach(self)

    def set(self, fallback: Fallback) -> None:
        """Goes over to other settings; what was learned stays."""
        self._fallback = fallback

    def detach(self) -> None:
        """Gives its columns up."""
        self._entities.detach(self)

    def observe(self, readings: Readings) -> RunningBaseline:
        """Takes in readings: each entity's one after the other, all entities side by side. What was filled in teaches nothing."""
        starts = np.flatnonzero(readings.first)
        counts = np.diff(np.append(starts, len(readings.slots)))
        order = np.argsort(-counts, kind="stable")  # those with a k-th reading are then the first ones
        starts, counts = starts[order], counts[order]
        slots = readings.slots[starts]
        count, level, scale = self._count[slots], self._level[slots], self._scale[slots]
        levels = np.empty(readings.values.shape, np.float64)
        scales = np.empty_like(levels)
        seen = np.empty(len(readings.slots), np.int64)
        active = len(starts) - np.searchsorted(counts[::-1], np.arange(counts[0] if len(counts) else 0), side="right")
        known = self._known(readings)
        for turn, most in enumerate(active.tolist()):
            place = starts[:most] + turn
            levels[place], scales[place], seen[place] = level[:most], scale[:most], count[:most]
            if known is None:
                self._learn(readings.values[place], count[:most], level[:most], scale[:most])
            else:
                self._learn_some(readings.values[place], known[place], count[:most], level[:most], scale[:most])
        self._count[slots], self._level[slots], self._scale[slots] = count, level, scale
        return RunningBaseline(levels, _floored(levels, scales), seen >= self._fallback.warmup)

    @property
    def row_bytes(self) -> int:
        """Bytes of one entity."""
        return row_bytes(self._count, self._level, self._scale)

    def resize(self, capacity: int) -> None:
        """Room for so many entities."""
        self._count, self._level = grown(self._count, capacity), grown(self._level, capacity)
        self._scale = grown(self._scale, capacity)

    def clear(self, slots: Int64) -> None:
        """Forgets these entities."""
        self._count[slots] = 0

    def take(self, slots: Int64) -> dict[str, Any]:
        """State of these entities."""
        return {"count": self._count[slots], "level": self._level[slots], "scale": self._scale[slots]}

    def put(self, slots: Int64, rows: Mapping[str, Any]) -> None:
        """Sets the state of these entities."""
        self._count[slots], self._level[slots], self._scale[slots] = rows["count"], rows["level"], rows["scale"]
        self._gappy = self._gappy or bool(np.isnan(rows["level"]).any())

    def _known(self, readings: Readings) -> Mask | None:
        """[n, features] Which values a reading had; None: all, and always."""
        if readings.filled is None:
            return np.ones(readings.values.shape, bool) if self._gappy else None
        self._gappy = True
        return ~readings.filled & ~np.isnan(readings.values)

    def _learn_some(self, values: Float32, known: Mask, count: Int64, level: Float64, scale: Float64) -> None:
        """As `_learn`, from those values that are known; the first known value of a feature is its level."""
        level[count == 0] = np.nan
        new = np.isnan(level) & known
        level[new], scale[new] = values[new], 0.0
        before_level, before_scale = level.copy(), scale.copy()
        self._learn(np.where(known, values, level).astype(np.float32), count, level, scale)
        level[~known], scale[~known] = before_level[~known], before_scale[~known]

    def _learn(self, values: Float32, count: Int64, level: Float64, scale: Float64) -> None:
        """One reading of each entity, in place: running means at first, exponential ones later."""
        fresh = count == 0
        if fresh.any():
            level[fresh], scale[fresh] = values[fresh], 0.0
        step = values - level
        bound = np.where((count >= _GRACE)[:, None], _CLIP * _floored(level, scale), np.inf)
        np.clip(step, -bound, bound, out=step)
        share = 1.0 / np.minimum(count + 1, _MEMORY * self._fallback.warmup)[:, None]
        level += step * share
        scale += (np.abs(step) * _NORMAL - scale) * share
        count += 1


def distances(window: WindowBatch, levels: RunningBaseline) -> Float32:
    """[n, features] The window's farthest reading from the level, in scales; not a number while the entity warms up."""
    level = levels.level[window.places][:, None, :]
    scale = levels.scale[window.places]
    farthest = np.abs(window.values - level).max(axis=1) / scale
    farthest[~levels.ready[window.places]] = np.nan
    found: Float32 = np.minimum(farthest, _FARTHEST).astype(np.float32)
    return found


def _floored(level: Float64, scale: Float64) -> Float64:
    """A feature that never changes has no scale of its own."""
    return np.maximum(scale, _RELATIVE_FLOOR * np.abs(level) + _FLOOR)
