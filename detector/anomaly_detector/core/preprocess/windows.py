"""Windows: the last `size` readings of an entity, for several sizes over one buffer. It neither scores nor orders.

    readings of one entity   1 2 3 4 5 . . . . 6 7 8 9      size 3, every 2, maxGap shorter than the pause
    windows               [1 2 3]
                              [3 4 5]
                                                [6 7 8]     the run begins again after the pause

Readings come in the order of their times (`ordering.py`), with what could be filled in (`filling.py`). One that still lacks a
value, or has one that bridges more than maxGap, is in no window: the run begins again after it.
What comes out depends on the readings of each entity, not on how they were cut into batches or mixed with those of others.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from anomaly_api.schema import seconds
from anomaly_api.source import Pipeline, Window
from anomaly_detector.core.columns import FOR_EVER, MICROSECONDS, NEVER, Float32, Int64, Mask, Readings
from anomaly_detector.core.entities.table import Entities, grown, row_bytes
from anomaly_detector.core.preprocess.entity_scale import Scales

_Shape = tuple[int, int]
"""Gap in microseconds and size: windows of one shape count readings alike."""
_MOST_NUMBERS: Final = 4_000_000
"""Of a batch's windows: 16 MB."""


class WindowBatch(Struct, frozen=True):
    """Windows of one size, entity by entity, each entity's in order."""

    name: str
    places: Int64
    """[n] Where the newest reading of each window stands in `Readings`."""
    slots: Int64
    """[n] Slot of the entity: `Entities.names[slot]` is its name."""
    times: Int64
    """[n] Event time of the newest reading, microseconds since 1970 UTC."""
    values: Float32
    """[n, size, features] Oldest reading first."""
    filled: Int64 | None = None
    """[n] How many of its values were filled in; None: none of any."""
    newest: Mask | None = None
    """[n, features] Whether those of its newest reading were; None: none of any."""
    scales: Scales | None = None
    """By what a model's windows are scaled, for all readings; None: by nothing."""

    @property
    def shown(self) -> tuple[Float32, Mask | None]:
        """[n, size, features] As a model sees them, and [n] whether their scale is known; None: all of them."""
        if self.scales is None:
            return self.values, None
        return self.scales.scaled(self.values, self.places), self.scales.known(self.places)


class Windows:
    """Buffers of all entities. State: the newest readings of each, and how long its present run is."""

    def __init__(self, pipeline: Pipeline, entities: Entities) -> None:
        self._windows = pipeline.windows
        self._width = len(pipeline.features)
        self._depth = _depth(pipeline.windows)
        self._newest = np.empty(0, np.int64)
        self._kept = np.empty((0, self._depth, self._width), np.float32)
        self._filled: NDArray[np.uint8] | None = None
        """[capacity, depth] How many values of each reading were filled in; None while there has been none."""
        self._runs = {shape: np.empty(0, np.int64) for shape in _shapes(pipeline.windows)}
        """[capacity] By shape: readings in a row, as far as a window of that shape may count them."""
        entities.attach(self)

    @property
    def most_readings(self) -> int:
        """Readings that a batch should have at most, so that its windows take a bounded amount of memory."""
        return max(1, _MOST_NUMBERS // ((self._depth + 1) * self._width))

    @property
    def row_bytes(self) -> int:
        """Bytes of one entity."""
        return row_bytes(self._newest, self._kept, *self._runs.values()) + self._depth  # a mark for each reading

    def push(self, readings: Readings) -> list[WindowBatch]:
        """Takes in readings and gives the windows that they complete: one batch for each window of the pipeline, in its order."""
        parts = _Parts.of(readings, self._depth)
        since = self._since(readings, parts)
        emitted = []
        runs: dict[_Shape, Int64] = {}
        for gap in dict.fromkeys(gap for gap, _ in self._runs):
            runs |= self._advance(gap, since, readings, parts)
        for window in self._windows:
            run = runs[_shape(window)]
            emit = run >= window.size
            if window.every > 1:
                emit &= (run - window.size) % window.every == 0
            emitted.append(emit.nonzero()[0])
        tape = self._unroll(readings, parts)
        marks = self._marks(readings, parts)
        spots = parts.spots
        return [
            WindowBatch(
                window.name,
                places,
                readings.slots[places],
                readings.times[places],
                _cut(tape, spots[places], window.size),
                None if marks is None else marks[spots[places] + 1] - marks[spots[places] + 1 - window.size],
                None if readings.filled is None else readings.filled[places],
            )
            for window, places in zip(self._windows, emitted, strict=True)
        ]

    def last(self, slots: Int64) -> tuple[Int64, Float32]:
        """[n] time and [n, features] values of each entity's newest reading; NEVER and not a number where there is none."""
        times = self._newest[slots]
        return times, np.where((times == NEVER)[:, None], np.float32(np.nan), self._kept[slots, -1])

    def adapt(self, windows: Sequence[Window]) -> None:
        """Goes over to other windows of the same readings; of what is in the buffers, as much stays as these windows need.

        A window that stays goes on as if nothing had changed: windows that a candidate brings and takes with it leave no trace.
        A new one counts the readings that are there, and one larger than there has been waits until its buffer is full.
        """
        before, depth = self._depth, _depth(windows)
        if depth != before:
            common = min(depth, self._depth)
            kept = np.zeros((len(self._kept), depth, self._width), np.float32)
            kept[:, depth - common :] = self._kept[:, self._depth - common :]
            if self._filled is not None:
                filled = np.zeros((len(kept), depth), np.uint8)
                filled[:, depth - common :] = self._filled[:, self._depth - common :]
                self._filled = filled
            self._kept, self._depth = kept, depth
        self._runs = {shape: self._runs.get(shape, self._run_of(shape, before)) for shape in _shapes(windows)}
        self._windows = list(windows)

    def newest(self, slots: Int64) -> Int64:
        """[n] Event time of these entities' newest readings, microseconds since 1970 UTC."""
        return self._newest[slots]

    def resize(self, capacity: int) -> None:
        """Room for so many entities."""
        before = len(self._newest)
        self._newest = grown(self._newest, capacity)
        self._newest[before:] = NEVER
        self._kept = grown(self._kept, capacity)
        self._filled = None if self._filled is None else grown(self._filled, capacity)
        self._runs = {shape: grown(run, capacity) for shape, run in self._runs.items()}

    def clear(self, slots: Int64) -> None:
        """Forgets these entities' readings."""
        self._newest[slots] = NEVER
        if self._filled is not None:
            self._filled[slots] = 0
        for run in self._runs.values():
            run[slots] = 0

    def take(self, slots: Int64) -> dict[str, Any]:
        """State of these entities."""
        runs = {f"{gap}/{size}": run[slots] for (gap, size), run in self._runs.items()}
        state = {"newest": self._newest[slots], "kept": self._kept[slots], "runs": runs}
        return state if self._filled is None else state | {"filled": self._filled[slots]}

    def put(self, slots: Int64, rows: Mapping[str, Any]) -> None:
        """Sets the state of these entities; it must have been taken with the same pipeline."""
        self._newest[slots], self._kept[slots] = rows["newest"], rows["kept"]
        for (gap, size), run in self._runs.items():
            run[slots] = rows["runs"][f"{gap}/{size}"]
        if "filled" in rows:
            self._mark()[slots] = rows["filled"]
        elif self._filled is not None:
            self._filled[slots] = 0

    def _since(self, readings: Readings, parts: "_Parts") -> Int64:
        """[n] Microseconds since the entity's reading before."""
        times = readings.times
        since = np.empty_like(times)
        np.subtract(times[1:], times[:-1], out=since[1:])
        newest = self._newest[parts.owners]
        since[parts.starts] = np.where(newest == NEVER, FOR_EVER, times[parts.starts] - newest)
        return since

    def _run_of(self, shape: "_Shape", depth: int) -> Int64:
        """[capacity] The run with which a new window begins: no reading counts that the buffers, `depth` deep, no longer hold."""
        gap, size = shape
        known = [run for (other, _), run in self._runs.items() if other == gap]
        if not known:
            return np.zeros(len(self._newest), np.int64)
        least: Int64 = np.minimum.reduce(known)
        return np.minimum(least, depth) if size - 1 > depth else least

    def _advance(self, gap: int, since: Int64, readings: Readings, parts: "_Parts") -> "dict[_Shape, Int64]":
        """[n] By shape of this gap: how many readings in a row, this one included, had no gap between them."""
        restart = since > gap
        place = np.arange(len(since))
        if readings.bridged is not None:
            broken = readings.bridged > gap
            restart |= broken
        anchor = np.maximum.accumulate(np.where(restart | readings.first, place, 0))
        fresh, begun = place - anchor + 1, restart[anchor]
        if readings.bridged is not None:
            fresh -= broken[anchor]  # it counts neither itself nor for those after it
        found: dict[_Shape, Int64] = {}
        for shape, kept in self._runs.items():
            if shape[0] == gap:
                run = found[shape] = fresh + np.where(begun, 0, kept[readings.slots])
                kept[parts.owners] = run[parts.ends - 1]
        return found

    def _unroll(self, readings: Readings, parts: "_Parts") -> Float32:
        """A tape on which what was kept of each entity is followed by its new readings.

        What is to be kept is then the end of each entity's part. A part is copied whole, not reading by reading.
        """
        owners = parts.owners
        tape = np.empty((len(readings.slots) + self._depth * len(owners), self._width), np.float32)
        tape[parts.spots] = readings.values
        if len(owners):
            spans = _spans(tape, self._depth)
            kept = self._kept.reshape(-1, self._depth * self._width)
            spans[parts.begin] = kept.take(owners, axis=0)
            kept[owners] = spans[parts.keep]
            self._newest[owners] = readings.times[parts.ends - 1]
        return tape

    def _marks(self, readings: Readings, parts: "_Parts") -> Int64 | None:
        """[tape + 1] How many values were filled in before each place of the tape; None where there has been none."""
        if readings.filled is None and (self._filled is None or not self._filled[parts.owners].any()):
            return None
        kept, across = self._mark(), np.arange(self._depth)
        marks = np.zeros(len(readings.slots) + self._depth * len(parts.owners), np.uint8)
        if readings.filled is not None:
            marks[parts.spots] = np.count_nonzero(readings.filled, axis=1)
        marks[parts.begin[:, None] + across] = kept[parts.owners]
        kept[parts.owners] = marks[parts.keep[:, None] + across]
        return np.concatenate([[0], np.cumsum(marks, dtype=np.int64)])

    def _mark(self) -> NDArray[np.uint8]:
        if self._filled is None:
            self._filled = np.zeros((len(self._newest), self._depth), np.uint8)
        return self._filled


class _Parts(Struct, frozen=True):
    """Each entity's part of a batch, and where it stands on the tape."""

    owners: Int64
    """[entities] Their slots."""
    starts: Int64
    """[entities] Its first reading in the batch."""
    ends: Int64
    """[entities] Behind its last one."""
    spots: Int64
    """[n] Where each reading stands on the tape."""
    begin: Int64
    """[entities] Where on the tape what was kept of it begins."""
    keep: Int64
    """[entities] Where what is kept of it from now on begins."""

    @classmethod
    def of(cls, readings: Readings, depth: int) -> "_Parts":
        count = len(readings.slots)
        starts = readings.first.nonzero()[0]
        ends = np.empty_like(starts)
        ends[:-1], ends[-1:] = starts[1:], count
        shifts = depth * np.arange(1, len(starts) + 1)
        spots = np.arange(count) + np.repeat(shifts, ends - starts)
        return cls(readings.slots[starts], starts, ends, spots, starts + shifts - depth, ends + shifts - depth)


def _cut(tape: Float32, ends: Int64, size: int) -> Float32:
    """[n, size, features] What ends at each of `ends`."""
    if not len(ends):
        return np.empty((0, size, tape.shape[1]), np.float32)
    return _spans(tape, size)[ends - size + 1].reshape(-1, size, tape.shape[1])


def _spans(tape: Float32, size: int) -> Float32:
    """[rows - size + 1, size * features] What begins at each row, without a copy."""
    row, number = tape.strides
    # as_strided does the same in ten times the time, which counts where batches are small
    return np.ndarray((len(tape) - size + 1, size * tape.shape[1]), np.float32, tape, 0, (row, number))


def _depth(windows: Sequence[Window]) -> int:
    return max(window.size for window in windows) - 1


def _gap(window: Window) -> int:
    return round(seconds(window.max_gap) * MICROSECONDS)


def _shape(window: Window) -> _Shape:
    return _gap(window), window.size


def _shapes(windows: Sequence[Window]) -> dict[_Shape, None]:
    return dict.fromkeys(map(_shape, windows))
