"""What is kept of the readings to learn from: windows, thinned out evenly when there are too many. No I/O, no torch."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from anomaly_api.policy import Fallback
from anomaly_api.source import Pipeline, Window
from anomaly_detector.core.columns import MICROSECONDS, Readings
from anomaly_detector.core.preprocess.intake import Intake
from anomaly_detector.core.preprocess.preprocessor import Preprocessor
from anomaly_detector.core.preprocess.windows import WindowBatch
from anomaly_detector.training.data.messages import Messages

_MOST_BYTES: Final = 384 * 1024 * 1024
"""Of kept windows, all sizes together, where the pod's limit is not known or leaves room for more."""
_BESIDES: Final = 768 * 1024 * 1024
"""What a training needs whatever the data: torch, its exporter, readings under way."""
COPIES: Final = 2.5
"""The most memory that a training needs for its windows, as a multiple of them: sorting them and scaling them copies them."""
_FEWEST_BYTES: Final = 16 * 1024 * 1024


def affordable(limit: int | None) -> int:
    """Bytes of windows that a training in a pod with this memory limit may keep.

    >>> affordable(2 * 1024**3) // 1024**2, affordable(1024**3) // 1024**2, affordable(None) // 1024**2
    (384, 102, 384)
    """
    if limit is None:
        return _MOST_BYTES
    return max(_FEWEST_BYTES, min(_MOST_BYTES, int((limit - _BESIDES) / COPIES)))


@dataclass(frozen=True)
class Sample:
    """Windows of one size."""

    values: NDArray[np.float32]
    """[n, size, features]"""
    slots: NDArray[np.int64]
    """[n] Number of the entity, by its name."""
    times: NDArray[np.int64]
    """[n] Event time of the newest reading, microseconds."""
    complete: bool
    """Whether nothing was thinned out."""

    def __len__(self) -> int:
        return len(self.times)

    def at(self, places: NDArray[np.int64]) -> "Sample":
        """The windows at these places."""
        return Sample(self.values[places], self.slots[places], self.times[places], self.complete)


LeftOut = Callable[[Window, Sequence[str], Sample], NDArray[np.bool_]]
"""Which windows of a sample, whose slots have these entities, are not to be judged by."""


class _Thinned:
    """Keeps each window with the same chance, which is halved whenever there are too many: even over time and entities.

    A window's lot is drawn from its entity and its time, so what is kept does not depend on how partitions came mixed.
    """

    def __init__(self, capacity: int, seed: int) -> None:
        self._capacity, self._seed = capacity, seed
        self._chance = 1.0
        self._parts: list[tuple[WindowBatch, NDArray[np.float64]]] = []
        self.seen = self._kept = 0

    def add(self, batch: WindowBatch, marks: NDArray[np.uint64]) -> None:
        """`marks` [n]: what tells the windows' entities apart."""
        self.seen += len(batch.times)
        lots = _lots(marks, batch.times, self._seed)
        self._parts.append(_drawn(batch, lots, self._chance))
        self._kept += len(self._parts[-1][1])
        while self._kept > self._capacity:
            self._chance /= 2
            self._parts = [_drawn(part, lots, self._chance) for part, lots in self._parts]
            self._kept = sum(len(lots) for _, lots in self._parts)

    def sample(self, numbers: NDArray[np.int64]) -> Sample:
        """Gives up what was kept. Entity by entity, each in order: the same however partitions came mixed.

        `numbers`: of the entity in each slot.
        """
        parts = [part for part, _ in self._parts]
        self._parts = []
        times = np.concatenate([part.times for part in parts])
        entities = numbers[np.concatenate([part.slots for part in parts])]
        order = np.lexsort((times, entities))
        places = np.empty_like(order)
        places[order] = np.arange(len(order))
        values = np.empty((len(order), *parts[0].values.shape[1:]), np.float32)
        parts.reverse()
        start = 0
        while parts:  # each is given up once it is copied: at no time is everything there three times
            part = parts.pop()
            values[places[start : start + len(part.times)]] = part.values
            start += len(part.times)
        return Sample(values, entities[order], times[order], complete=self._chance == 1.0)


def _lots(marks: NDArray[np.uint64], times: NDArray[np.int64], seed: int) -> NDArray[np.float64]:
    """[n] Even in [0, 1): the finalizer of SplitMix64 (Steele, Lea, Flood 2014) over entity, time and seed."""
    mixed = marks ^ (times.view(np.uint64) * np.uint64(0x9E3779B97F4A7C15)) ^ np.uint64(seed)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return (mixed ^ (mixed >> np.uint64(31))) / float(2**64)


def _drawn(batch: WindowBatch, lots: NDArray[np.float64], chance: float) -> tuple[WindowBatch, NDArray[np.float64]]:
    drawn = lots < chance
    if drawn.all():
        return batch, lots
    kept = WindowBatch(batch.name, batch.places[drawn], batch.slots[drawn], batch.times[drawn], batch.values[drawn])
    return kept, lots[drawn]


def memory_for(pipeline: Pipeline) -> Preprocessor:
    """What a scoring pod does with messages before it scores: training sees the same windows."""
    return Preprocessor(Intake.of(pipeline, Fallback(), sparingly=True))


def as_shown(batch: WindowBatch) -> WindowBatch:
    """Windows as a model sees them, without those that none sees yet."""
    values, known = batch.shown
    if known is None:
        return batch
    return WindowBatch(batch.name, batch.places[known], batch.slots[known], batch.times[known], values[known])


class _Steps:
    """Times between two readings of an entity, counted in bins that are 2 % wide: in the same memory however many there are."""

    _WIDTH = 0.02

    def __init__(self) -> None:
        bins = math.ceil(math.log(2.0**63) / self._WIDTH) + 1
        self._counts, self._sums = np.zeros(bins, np.int64), np.zeros(bins)

    def add(self, steps: NDArray[np.int64]) -> None:
        """`steps` [n], microseconds."""
        steps = steps[steps > 0]
        bins = (np.log(steps) / self._WIDTH).astype(np.int64)
        self._counts += np.bincount(bins, minlength=len(self._counts))
        self._sums += np.bincount(bins, steps, minlength=len(self._counts))

    @property
    def usual(self) -> float:
        """Mean of the bin that the median lies in; 0 while there is none."""
        total = int(self._counts.sum())
        if not total:
            return 0.0
        middle = int(np.searchsorted(np.cumsum(self._counts), (total + 1) // 2))
        return float(self._sums[middle] / self._counts[middle])


class Gathering:
    """Takes messages and keeps windows. Memory is bounded by the number of windows and of entities, not of messages.

    Windows with values that were filled in are kept like others: the model will be asked about such windows, and those that are
    normal for this stream must look normal to it.
    """

    def __init__(self, pipeline: Pipeline, most_windows: int, seed: int, most_bytes: int = _MOST_BYTES) -> None:
        self._memory = memory_for(pipeline)
        width = len(pipeline.features)
        most = most_bytes // sum(window.size * width * 4 for window in pipeline.windows)
        self._kept = {window.name: _Thinned(max(10, min(most_windows, most)), seed) for window in pipeline.windows}
        self._marks = np.empty(0, np.uint64)
        self.readings = self.rejected = self.late = self.duplicates = 0
        self.last_reject = ""
        self.first_time: int | None = None
        self.last_time: int | None = None
        self._steps = _Steps()

    @property
    def entities(self) -> int:
        """Entities seen."""
        return len(set(self._memory.entities.names))

    @property
    def slot_names(self) -> list[str]:
        """Entity of each slot of the samples, in the order of the slots."""
        return sorted(self._memory.entities.names)

    @property
    def interval(self) -> float:
        """Usual time between two readings of an entity, in seconds; 0 while unknown."""
        return self._steps.usual / MICROSECONDS

    @property
    def windows(self) -> int:
        """Windows found, of the size that has the fewest."""
        return min(kept.seen for kept in self._kept.values())

    def take(self, messages: Messages) -> None:
        """Reads some messages."""
        for part in messages.cut(self._memory.most_messages):
            decoded = self._memory.decode(part)
            self.readings += len(decoded.batch)
            self.rejected += len(decoded.rejects)
            if decoded.rejects:
                self.last_reject = f"{decoded.rejects[-1].reason}: {decoded.rejects[-1].message}"
            for portion in self._memory.micro_batches(decoded.batch):
                taken = self._memory.process(portion)
                self.late += taken.tally.late
                self.duplicates += taken.tally.duplicates
                self._note(taken.readings)
                for batch in map(as_shown, taken.windows):
                    self._kept[batch.name].add(batch, self._mark()[batch.slots])

    def _mark(self) -> NDArray[np.uint64]:
        """By slot, what tells its entity apart in every training."""
        names = self._memory.entities.names[len(self._marks) :]
        if names:
            new = [int.from_bytes(blake2b(name.encode(), digest_size=8).digest()) for name in names]
            self._marks = np.concatenate([self._marks, np.array(new, np.uint64)])
        return self._marks

    def _note(self, readings: Readings) -> None:
        if not len(readings.times):
            return
        oldest, newest = int(readings.times.min()), int(readings.times.max())
        self.first_time = oldest if self.first_time is None else min(self.first_time, oldest)
        self.last_time = newest if self.last_time is None else max(self.last_time, newest)
        self._steps.add(np.diff(readings.times)[~readings.first[1:]])

    def samples(self) -> dict[str, Sample]:
        """What was kept, by window; it is given up here, so this is asked once."""
        entities = self._memory.entities
        order = sorted(range(len(entities.names)), key=lambda slot: (entities.names[slot], entities.partitions[slot]))
        numbers = np.empty(len(order), np.int64)
        numbers[order] = np.arange(len(order))
        return {name: kept.sample(numbers) for name, kept in self._kept.items()}


class Sooner(NamedTuple):
    """A time of an entity that somebody called normal: it is learned from though it is new, but for its newest part."""

    slot: int
    begin: int
    end: int
    """Event times, microseconds."""


@dataclass(frozen=True)
class Split:
    """Event times, microseconds, at which the data is divided: the newest part is held out."""

    validate_after: int
    hold_out_after: int
    overlap: int
    """Time that a window covers; windows that reach over a border belong to neither side."""
    sooner: tuple[Sooner, ...] = ()
    """New times that are learned from."""

    def train(self, sample: Sample) -> NDArray[np.int64]:
        """Places of the windows that a model learns from."""
        return np.flatnonzero((sample.times <= self.validate_after) | self._within(sample, 0))

    def validation(self, sample: Sample) -> NDArray[np.int64]:
        """Places of those that say when to stop."""
        new = (sample.times > self.validate_after + self.overlap) & (sample.times <= self.hold_out_after)
        return np.flatnonzero(new & ~self._within(sample, self.overlap))

    def held_out(self, sample: Sample) -> NDArray[np.int64]:
        """Places of those that thresholds and figures come from."""
        return np.flatnonzero((sample.times > self.hold_out_after + self.overlap) & ~self._within(sample, self.overlap))

    def _within(self, sample: Sample, margin: int) -> NDArray[np.bool_]:
        """[n] Windows of those times, or as near as `margin`."""
        found = np.zeros(len(sample), bool)
        for slot, begin, end in self.sooner:
            found |= (sample.slots == slot) & (sample.times >= begin - margin) & (sample.times <= end + margin)
        return found


_VALIDATION_SHARE: Final = 0.1


def split(sample: Sample, window: Window, interval: float, holdout_percent: int, sooner: Sequence[Sooner] = ()) -> Split:
    """Divides by time so that the newest `holdout_percent` of the windows are held out, and a tenth of the rest validates."""
    learned = 1 - holdout_percent / 100
    borders = np.quantile(sample.times, [learned * (1 - _VALIDATION_SHARE), learned], method="lower")
    validate_after, hold_out_after = (int(border) for border in borders)
    overlap = round((window.size - 1) * interval * MICROSECONDS)
    shortest = min(hold_out_after - validate_after, int(sample.times.max()) - hold_out_after)
    return Split(validate_after, hold_out_after, overlap if overlap * 4 < shortest else 0, tuple(sooner))
