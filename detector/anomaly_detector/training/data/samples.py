"""What is kept of the readings to learn from: windows, thinned out evenly when there are too many. No I/O, no torch."""

from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

import numpy as np
from numpy.typing import NDArray

from anomaly_api.policy import Fallback
from anomaly_api.source import Pipeline, Window
from anomaly_detector.core.columns import MICROSECONDS, Readings
from anomaly_detector.core.preprocess.preprocessor import Memory, Regime
from anomaly_detector.core.preprocess.windows import WindowBatch
from anomaly_detector.training.data.messages import Messages

_MOST_BYTES: Final = 384 * 1024 * 1024
"""Of kept windows, all sizes together."""


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

    def where(self, mask: NDArray[np.bool_]) -> "Sample":
        """Those windows alone."""
        return Sample(self.values[mask], self.slots[mask], self.times[mask], self.complete)


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
        """`numbers`: of the entity in each slot. Entity by entity, each in order: the same however partitions came mixed."""
        parts = [part for part, _ in self._parts]
        times = np.concatenate([part.times for part in parts])
        entities = numbers[np.concatenate([part.slots for part in parts])]
        order = np.lexsort((times, entities))
        values = np.concatenate([part.values for part in parts])
        return Sample(values[order], entities[order], times[order], complete=self._chance == 1.0)


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


def memory_for(pipeline: Pipeline) -> Memory:
    """What a scoring pod does with messages before it scores: training sees the same windows."""
    return Memory(Regime(revision="", levels=False, pipeline=pipeline, fallback=Fallback()))


class Gathering:
    """Takes messages and keeps windows. Memory is bounded by the number of windows and of entities, not of messages.

    Windows with values that were filled in are kept like others: the model will be asked about such windows, and those that are
    normal for this stream must look normal to it.
    """

    def __init__(self, pipeline: Pipeline, most_windows: int, seed: int) -> None:
        self._memory = memory_for(pipeline)
        width = len(pipeline.features)
        affordable = _MOST_BYTES // sum(window.size * width * 4 for window in pipeline.windows)
        self._kept = {window.name: _Thinned(max(10, min(most_windows, affordable)), seed) for window in pipeline.windows}
        self._marks = np.empty(0, np.uint64)
        self.readings = self.rejected = self.late = self.duplicates = 0
        self.last_reject = ""
        self.first_time: int | None = None
        self.last_time: int | None = None
        self._interval = 0.0

    @property
    def entities(self) -> int:
        """Entities seen."""
        return len(set(self._memory.entities.names))

    @property
    def interval(self) -> float:
        """Usual time between two readings of an entity, in seconds; 0 while unknown."""
        return self._interval / MICROSECONDS

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
            for portion in self._memory.portions(decoded.batch):
                taken = self._memory.take_in(portion)
                self.late += taken.tally.late
                self.duplicates += taken.tally.duplicates
                self._note(taken.readings)
                for batch in taken.windows:
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
        steps = np.diff(readings.times)[~readings.first[1:]]
        if len(steps):
            self._interval = float(np.median(steps))

    def samples(self) -> dict[str, Sample]:
        """What was kept, by window."""
        entities = self._memory.entities
        order = sorted(range(len(entities.names)), key=lambda slot: (entities.names[slot], entities.partitions[slot]))
        numbers = np.empty(len(order), np.int64)
        numbers[order] = np.arange(len(order))
        return {name: kept.sample(numbers) for name, kept in self._kept.items()}


@dataclass(frozen=True)
class Split:
    """Event times, microseconds, at which the data is divided: the newest part is held out."""

    validate_after: int
    hold_out_after: int
    overlap: int
    """Time that a window covers; windows that reach over a border belong to neither side."""

    def train(self, sample: Sample) -> Sample:
        """What the network learns from."""
        return sample.where(sample.times <= self.validate_after)

    def validation(self, sample: Sample) -> Sample:
        """What says when to stop."""
        return sample.where((sample.times > self.validate_after + self.overlap) & (sample.times <= self.hold_out_after))

    def held_out(self, sample: Sample) -> Sample:
        """What thresholds and figures come from."""
        return sample.where(sample.times > self.hold_out_after + self.overlap)


_VALIDATION_SHARE: Final = 0.1


def split(sample: Sample, window: Window, interval: float, holdout_percent: int) -> Split:
    """Divides by time so that the newest `holdout_percent` of the windows are held out, and a tenth of the rest validates."""
    learned = 1 - holdout_percent / 100
    borders = np.quantile(sample.times, [learned * (1 - _VALIDATION_SHARE), learned], method="lower")
    validate_after, hold_out_after = (int(border) for border in borders)
    overlap = round((window.size - 1) * interval * MICROSECONDS)
    shortest = min(hold_out_after - validate_after, int(sample.times.max()) - hold_out_after)
    return Split(validate_after, hold_out_after, overlap if overlap * 4 < shortest else 0)
