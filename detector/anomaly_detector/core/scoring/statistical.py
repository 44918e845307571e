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
from msgspec.structs import replace
from numpy.typing import NDArray

from anomaly_api.policy import Fallback
from anomaly_detector.core.columns import Float32, Float64, Int64, Readings
from anomaly_detector.core.entities.table import Entities, grown, row_bytes
from anomaly_detector.core.preprocess.windows import WindowBatch
from anomaly_detector.core.scoring import estimators
from anomaly_detector.core.scoring.blocks import Blocks, Teaching
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
from anomaly_detector.core.scoring.judged import Judged

_FARTHEST: Final = 1000.0
"""Departures near this many thresholds, smoothly."""
_TAIL: Final = 16.0
"""At the threshold of eight standard deviations, the square of Student's t over its four degrees of freedom."""
_THINNED: Final = 64
"""While a model decides, the baseline learns from one block in so many, once the entity has had four times `warmup` readings. At
16, half of the batches of a hundred busy entities teach each of them; at 64, an eighth of them do."""
_CURRENT: Final = -1
"""The version of an entity that learned nothing in a batch: its baseline is the one that it has."""


_NONE: Final = np.empty((0, PUBLIC, 0), np.float32)


class RunningBaseline(Struct, frozen=True):
    """What was known of each reading's entity before that reading."""

    version: Int64
    """[n] Which version of its entity's baseline each reading met; _CURRENT: the one that its entity has when it is asked for."""
    since: Int64
    """[n] How many readings of the entity came between that version and the reading."""
    estimates: Float32
    """[versions, PUBLIC, features] See `estimators`."""
    warmup: int
    """Readings of a feature before it is scored."""
    slots: Int64
    """[n] The entity of each reading."""
    current: Float32
    """[slots, ROWS, features] The baselines of all entities as they are."""

    def known(self, places: Int64) -> Float64:
        """[k, PUBLIC, features] The estimates that these readings met."""
        version = self.version[places]
        lasting = version == _CURRENT
        if not lasting.any():
            return self.estimates[version].astype(np.float64)
        found = self.current[self.slots[places], :PUBLIC].astype(np.float64)
        if not lasting.all():
            found[~lasting] = self.estimates[version[~lasting]]
        return found

    def levels(self, places: Int64) -> Float64:
        """[k, features] Where these readings were expected, in their own units."""
        found = self.known(places)
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

        `sparingly`: only some of the blocks teach, and of entities that learn nothing now no more than their number of
        readings is looked at. Their windows, should a model fail in this very batch, are compared with what is known when
        they are scored.
        """
        teaching = Teaching(4 * self._fallback.warmup, _THINNED if sparingly else 1)
        if not sparingly:
            return self._observed(readings, teaching)
        starts = np.flatnonzero(readings.first)
        counts = np.diff(np.append(starts, len(readings.slots)))
        slots = readings.slots[starts]
        before = self._seen[slots]
        learns = teaching.before(before + counts) > teaching.before(before)
        self._seen[slots[~learns]] += counts[~learns]
        version, since = np.full(len(readings.slots), _CURRENT), np.zeros(len(readings.slots), np.int64)
        found = RunningBaseline(version, since, _NONE, self._fallback.warmup, readings.slots, self._estimates)
        if not learns.any():
            return found
        some = np.flatnonzero(np.repeat(learns, counts))
        taught = self._observed(_part(readings, some), teaching)
        version[some], since[some] = taught.version, taught.since
        return replace(found, estimates=taught.estimates)

    def _observed(self, readings: Readings, teaching: Teaching) -> RunningBaseline:
        values = readings.values
        if readings.filled is not None:
            values = np.where(readings.filled, np.float32(np.nan), values)
        blocks = Blocks.of(readings, self._seen, self._taught, teaching)
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
        return RunningBaseline(blocks.met, blocks.since, met, self._fallback.warmup, readings.slots, self._estimates)

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

    def _lay(self, blocks: Blocks, values: Float32) -> Float32:
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


def _part(readings: Readings, some: Int64) -> Readings:
    """Some readings: all those of some entities."""
    return Readings(
        rows=readings.rows[some],
        slots=readings.slots[some],
        times=readings.times[some],
        values=readings.values[some],
        first=readings.first[some],
        filled=None if readings.filled is None else readings.filled[some],
    )


@np.errstate(divide="ignore", invalid="ignore")  # what is not known yet is not a number afterwards
def departures(window: WindowBatch, baseline: RunningBaseline, deviations: float, judged: Judged | None = None) -> Float32:
    """[n, features] How far the window departs from the baseline; 1.0: the threshold of so many standard deviations.

    Not a number while the feature warms up, and of one that is not scored.
    """
    places = window.places
    known = baseline.known(places).transpose(1, 0, 2)
    reach = np.maximum(deviations * known[SCALE], known[EXCURSION])
    level = known[LEVEL] + known[LEVEL_REST]
    above, below = window.values.max(axis=1) - level, level - window.values.min(axis=1)
    far = (np.maximum(above, below) if judged is None else judged.farther(above, below)) / reach
    counting = ~np.isnan(known[RISE])
    if counting.any():
        rises = np.diff(window.values.astype(np.float64), axis=1).max(axis=1)
        far = np.where(counting, np.maximum(rises, 0.0) / np.where(counting, deviations * known[RISE], 1.0), far)
    if judged is None:
        far = np.maximum(far, known[STANDSTILL])
    else:
        still = judged.above & judged.below & (judged.least == 0)
        far = np.where(judged.scored, np.where(still, np.maximum(far, known[STANDSTILL]), far), np.nan)
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
