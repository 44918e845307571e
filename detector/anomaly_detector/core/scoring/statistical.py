"""The robust statistical scorer: how far a window is from what its entity's own readings have been so far.

It decides where there is no model, and where one fails. Nothing is trained: the baseline is a function of the entity's readings
and does not depend on how the stream is cut into batches. A feature is scored once it has had `warmup` readings of its own.

A window's departure is measured in thresholds, feature by feature, and is the larger of

    distance   of its farthest reading from the running level / (standardDeviations * robust scale), and no excursion that has
               come three times before counts as a departure (`estimators.py` tells of scale and excursions)
    step       instead, where a feature next to never falls: a counter's level means nothing, how fast it rises does
    standstill how long the feature has stayed the same, though it nearly always moves / the longest that can be chance

Its score is how rare that is: -log of the tail of Student's t with four degrees of freedom, over what it is at the threshold.
So 1.0 is the threshold, 2.0 has about the square of its probability, and no distance makes more than 6.
"""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from anomaly_api.policy import Fallback
from anomaly_detector.core.columns import Float32, Float64, Int64, Mask, Readings
from anomaly_detector.core.entities.table import Entities, grown, row_bytes
from anomaly_detector.core.preprocess.windows import WindowBatch
from anomaly_detector.core.scoring import estimators
from anomaly_detector.core.scoring.estimators import (
    BLOCK,
    COUNT,
    EXCURSION,
    LEVEL,
    LEVEL_REST,
    PUBLIC,
    RISE,
    ROWS,
    SCALE,
    STANDSTILL,
)

_FARTHEST: Final = 1000.0
"""Departures near this many thresholds, smoothly."""
_TAIL: Final = 16.0
"""At the threshold of eight standard deviations, the square of Student's t over its four degrees of freedom."""
_THINNED: Final = 16
"""While a model decides, the baseline learns from one block in so many, once the entity has had four times `warmup` readings."""


class RunningBaseline(Struct, frozen=True):
    """What was known of each reading's entity before that reading."""

    version: Int64
    """[n] Which version of its entity's baseline each reading met."""
    since: Int64
    """[n] How many readings of the entity came between that version and the reading."""
    estimates: Float32
    """[versions, PUBLIC, features] See `estimators`."""
    warmup: int
    """Readings of a feature before it is scored."""

    def levels(self, places: Int64) -> Float64:
        """[k, features] Where these readings were expected, in their own units."""
        found = self.estimates[self.version[places]].astype(np.float64)
        return found[:, LEVEL] + found[:, LEVEL_REST]


class Statistical:
    """The baselines of all entities. Readings are learned in blocks: the same ones, however the stream is cut."""

    def __init__(self, fallback: Fallback, width: int, entities: Entities) -> None:
        self._fallback = fallback
        self._entities = entities
        self._seen = np.empty(0, np.int64)
        """Readings of each entity."""
        self._taught = np.empty(0, np.int64)
        """Of them, those that belong to a block, complete or not."""
        self._estimates = np.empty((0, ROWS, width), np.float32)
        self._waiting = np.empty((0, BLOCK - 1, width), np.float32)
        """Readings of a block that is not complete."""
        entities.attach(self)

    def set(self, fallback: Fallback) -> None:
        """Goes over to other settings; what was learned stays."""
        self._fallback = fallback

    def observe(self, readings: Readings, *, sparingly: bool = False) -> RunningBaseline:
        """Takes in readings: each entity's one after the other, all entities side by side. What was filled in teaches nothing.

        `sparingly`: only some of the blocks teach, which takes a fraction of the time.
        """
        values = readings.values
        if readings.filled is not None:
            values = np.where(readings.filled, np.float32(np.nan), values)
        blocks = _Blocks.of(
            readings, self._seen, self._taught, _Teaching(4 * self._fallback.warmup, _THINNED if sparingly else 1)
        )
        learning = self._estimates[blocks.slots[: blocks.most]]
        met = np.empty((blocks.versions, PUBLIC, values.shape[1]), np.float32)
        met[blocks.first] = self._estimates[blocks.slots, :PUBLIC]
        numbers = self._lay(blocks, values)
        across = np.arange(BLOCK)
        for turn, most in enumerate(blocks.active):
            block = numbers[(blocks.begin[:most] + turn * BLOCK)[:, None] + across]
            learning[:most] = estimators.learned(learning[:most], block, self._fallback.warmup)
            met[blocks.first[:most] + turn + 1] = learning[:most, :PUBLIC]
        self._estimates[blocks.slots[: blocks.most]] = learning
        return RunningBaseline(blocks.met, blocks.since, met, self._fallback.warmup)

    @property
    def row_bytes(self) -> int:
        """Bytes of one entity."""
        return row_bytes(self._seen, self._taught, self._estimates, self._waiting)

    def resize(self, capacity: int) -> None:
        """Room for so many entities."""
        self._seen, self._taught = grown(self._seen, capacity), grown(self._taught, capacity)
        self._estimates, self._waiting = grown(self._estimates, capacity), grown(self._waiting, capacity)

    def clear(self, slots: Int64) -> None:
        """Forgets these entities."""
        self._seen[slots], self._taught[slots], self._estimates[slots] = 0, 0, 0.0

    def take(self, slots: Int64) -> dict[str, Any]:
        """State of these entities."""
        return {name: column[slots] for name, column in self._columns.items()}

    def put(self, slots: Int64, rows: Mapping[str, Any]) -> None:
        """Sets the state of these entities."""
        for name, column in self._columns.items():
            column[slots] = rows[name]

    @property
    def _columns(self) -> dict[str, NDArray[Any]]:
        return {"seen": self._seen, "taught": self._taught, "estimates": self._estimates, "waiting": self._waiting}

    def _lay(self, blocks: "_Blocks", values: Float32) -> Float32:
        """[BLOCK times the complete blocks, features] The readings of the complete blocks. What is left of others waits."""
        most = blocks.most
        slots, waited = blocks.slots[:most], blocks.waited[:most]
        numbers = np.full((BLOCK * sum(blocks.active), values.shape[1]), np.nan, np.float32)
        for place in range(BLOCK - 1):
            some = waited > place
            numbers[blocks.begin[:most][some] + place] = self._waiting[slots[some], place]
        numbers[blocks.spots] = values[blocks.complete]
        self._waiting[blocks.slots[blocks.whose], blocks.within] = values[blocks.left]
        self._seen[blocks.slots], self._taught[blocks.slots] = blocks.seen, blocks.taught
        return numbers


class _Blocks(Struct, frozen=True):
    """Which blocks readings complete. Entities are in the order of how many that are, most first."""

    slots: Int64
    """[entities] The entity."""
    seen: Int64
    """[entities] Readings of it, these included."""
    waited: Int64
    """[entities] Readings that waited for their block to be complete."""
    taught: Int64
    """[entities] Readings of it that belong to a block, these included."""
    begin: Int64
    """[entities] Where the readings of its complete blocks begin, when those of all entities are laid one behind the other."""
    first: Int64
    """[entities] The version of its baseline as it is; one more for each block that is complete now."""
    active: list[int]
    """How many entities have a first complete block, a second one, and so on."""
    complete: Int64
    """[c] Readings of complete blocks."""
    spots: Int64
    """[c] Where each of them is laid."""
    left: Int64
    """[w] Readings of blocks that are not complete."""
    whose: Int64
    """[w] Place of the entity of each of them."""
    within: Int64
    """[w] Place of each in its block."""
    met: Int64
    """[n] Which version each new reading meets."""
    since: Int64
    """[n] How many readings of its block came before it."""

    @classmethod
    def of(cls, readings: Readings, seen: Int64, taught: Int64, teaching: "_Teaching") -> "_Blocks":
        """`seen` and `taught` are of all slots, before these readings."""
        starts = np.flatnonzero(readings.first)
        counts = np.diff(np.append(starts, len(readings.slots)))
        slots = readings.slots[starts]
        before, known = seen[slots], taught[slots]
        known_now = known + teaching.before(before + counts) - teaching.before(before)
        complete = _place(known_now) // BLOCK - _place(known) // BLOCK
        order = np.argsort(-complete, kind="stable")
        whose = np.empty_like(order)
        whose[order] = np.arange(len(order))
        whose = np.repeat(whose, counts)
        starts, counts, slots, before = starts[order], counts[order], slots[order], before[order]
        known, known_now, complete = known[order], known_now[order], complete[order]
        begin = BLOCK * (np.cumsum(complete) - complete)
        first = np.cumsum(complete + 1) - complete - 1
        begun = _place(known) // BLOCK
        number = np.arange(len(whose)) + (before - starts)[whose]
        along = _place(teaching.before(number) + (known - teaching.before(before))[whose]) - BLOCK * begun[whose]
        turn, within = np.divmod(along, BLOCK)
        teaches, done = teaching.teaches(number), turn < complete[whose]
        laid, left = np.flatnonzero(teaches & done), np.flatnonzero(teaches & ~done)
        turns = np.arange(complete[0] if len(complete) else 0)
        return cls(
            slots=slots,
            seen=before + counts,
            waited=_place(known) % BLOCK,
            taught=known_now,
            begin=begin,
            first=first,
            active=np.searchsorted(-complete, -turns, side="left").tolist(),
            complete=laid,
            spots=begin[whose[laid]] + along[laid],
            left=left,
            whose=whose[left],
            within=within[left],
            met=first[whose] + turn,
            since=within,
        )

    @property
    def most(self) -> int:
        """How many entities have a complete block."""
        return self.active[0] if self.active else 0

    @property
    def versions(self) -> int:
        """Of all baselines."""
        return len(self.slots) + sum(self.active)


class _Teaching(Struct, frozen=True):
    """Which readings of an entity teach: the first `young`, and BLOCK of every `thinned` times BLOCK after them."""

    young: int
    thinned: int

    def before(self, number: Int64) -> Int64:
        """How many of the first readings teach."""
        if self.thinned == 1:
            return number
        rounds, rest = np.divmod(np.maximum(number - self.young, 0), self.thinned * BLOCK)
        found: Int64 = np.minimum(number, self.young) + rounds * BLOCK + np.minimum(rest, BLOCK)
        return found

    def teaches(self, number: Int64) -> Mask:
        """Whether these readings do."""
        found: Mask = (number < self.young) | ((number - self.young) % (self.thinned * BLOCK) < BLOCK)
        return found


def _place(readings: Int64) -> Int64:
    """Where a reading stands in the blocks: blocks are of two readings at first, then of four, then of BLOCK.

    0 1 . . . . . .   2 3 . . . . . .   4 5 6 7 . . . .   8 9 10 11 12 13 14 15
    """
    young = np.minimum(readings, BLOCK)
    found: Int64 = readings + (young >= 2) * (BLOCK - 2) + (young >= 4) * (BLOCK - 2) + (young >= BLOCK) * (BLOCK // 2)
    return found


def departures(window: WindowBatch, baseline: RunningBaseline, deviations: float) -> Float32:
    """[n, features] How far the window departs from the baseline; 1.0: the threshold of so many standard deviations.

    Not a number while the feature warms up.
    """
    places = window.places
    known = baseline.estimates[baseline.version[places]].astype(np.float64).transpose(1, 0, 2)
    reach = np.maximum(deviations * known[SCALE], known[EXCURSION])
    level = known[LEVEL] + known[LEVEL_REST]
    far = np.maximum(window.values.max(axis=1) - level, level - window.values.min(axis=1)) / reach
    counting = ~np.isnan(known[RISE])
    if counting.any():
        rises = np.diff(window.values.astype(np.float64), axis=1).max(axis=1)
        far = np.where(counting, np.maximum(rises, 0.0) / np.where(counting, deviations * known[RISE], 1.0), far)
    far = np.maximum(far, known[STANDSTILL])
    far /= 1.0 + np.maximum(far - 1.0, 0.0) / _FARTHEST
    count = known[COUNT]
    far[(count == 0) | (count + baseline.since[places][:, None] < baseline.warmup)] = np.nan
    found: Float32 = far.astype(np.float32)
    return found


def scores(departures: Float32) -> Float32:
    """[n] How rare the windows are; 1.0 is the threshold. Not a number while all features of an entity warm up."""
    farthest = np.fmax.reduce(departures, axis=1).astype(np.float64)
    found: Float32 = (np.log1p(_TAIL * farthest**2) / np.log1p(_TAIL)).astype(np.float32)
    return found
