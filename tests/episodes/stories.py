"""Streams of scores for the tests of episodes: drawn with characters, cut into batches, observed. No test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from anomaly_api.alerting import AlertPolicy
from anomaly_detector.core.entities.table import Entities
from anomaly_detector.core.episodes.closures import Closures
from anomaly_detector.core.episodes.policy import EpisodePolicy
from anomaly_detector.core.episodes.processor import WindowScores
from anomaly_detector.core.episodes.table import Episodes
from anomaly_detector.core.episodes.transitions import EpisodeTransition, EvictedEntity, LimitReached

LEVELS = {"!": 5.0, "#": 1.5, "-": 0.9, ".": 0.1, "?": float("nan")}
SECOND = 1_000_000
MINUTE = 60 * SECOND


@dataclass(frozen=True)
class Reading:
    """A message that led to a window of each kind in `scores`."""

    time: int
    """Seconds."""
    scores: tuple[tuple[str, float], ...]
    entity: str = "a"
    partition: int = 0


def drawn(drawing: str, *, every: int = 60, start: int = 0, entity: str = "a", partition: int = 0) -> list[Reading]:
    """A reading for each character, one every so many seconds."""
    return [Reading(start + place * every, (("short", LEVELS[mark]),), entity, partition) for place, mark in enumerate(drawing)]


def mixed(*streams: Sequence[Reading]) -> list[Reading]:
    """Several streams as one, by time."""
    return sorted((reading for stream in streams for reading in stream), key=lambda reading: reading.time)


@dataclass
class Told:
    """What came of it, in order."""

    records: list[EpisodeTransition | LimitReached] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    """Index in the whole stream of the reading that led to each."""
    opened: int = 0
    dropped: list[str] = field(default_factory=list)

    @property
    def turns(self) -> list[EpisodeTransition]:
        return [record for record in self.records if isinstance(record, EpisodeTransition)]

    @property
    def limits(self) -> list[LimitReached]:
        return [record for record in self.records if isinstance(record, LimitReached)]

    def drawing(self, length: int) -> str:
        """`o`pened, `u`pdated, `c`losed at each reading of a stream of one entity; capital letters are for people."""
        marks = ["."] * length
        for row, record in zip(self.rows, self.records, strict=True):
            if isinstance(record, EpisodeTransition):
                letter = record.turn.value[0]
                marks[row] = letter if record.suppressed_by else letter.upper()
        return "".join(marks)


class Watcher:
    """Observes readings, batch after batch; `names` of the slots as a pod would have them."""

    def __init__(self, policy: AlertPolicy, windows: Sequence[str] = ("short",), partitions: int = 1) -> None:
        self.windows = list(windows)
        self.rules = EpisodePolicy(policy, partitions)
        self.entities = Entities()
        self.episodes = Episodes(self.entities, self.rules, self.windows)
        self.told = Told()
        self._seen = 0

    def see(self, readings: Sequence[Reading], ended: Sequence[EvictedEntity] = ()) -> Told:
        """One batch."""
        partitions = np.array([reading.partition for reading in readings], np.int64)
        slots = np.array([int(self.entities.admit(each.partition, [each.entity])[0]) for each in readings], np.int64)
        order = np.argsort(slots, kind="stable")  # entity by entity, as windows come
        kinds = [kind for name in self.windows if (kind := self._kind(name, readings, slots, order)) is not None]
        found = self.episodes.observe(kinds, partitions, ended)
        self.told.records += found.records
        self.told.rows += [record.row + self._seen for record in found.records]
        self.told.opened += found.opened
        self.told.dropped += found.dropped
        self._seen += len(readings)
        return self.told

    def moved(self) -> Watcher:
        """Another process that knows what this one would have written down, and nothing else."""
        other = Watcher.__new__(Watcher)
        other.windows, other.rules, other.told, other._seen = self.windows, self.rules, self.told, self._seen
        other.entities = Entities()
        other.episodes = Episodes(other.entities, self.rules, self.windows)
        for partition in {
            partition for name, partition in zip(self.entities.names, self.entities.partitions, strict=True) if name
        }:
            for name, slot in reversed(self.entities.known(partition).items()):
                state = self.episodes.state(slot)
                if state:
                    other.episodes.restore(int(other.entities.admit(partition, [name])[0]), state)
        for partition in self.episodes.limited():
            limit = self.episodes.state_of_partition(partition)
            assert limit is not None, "it is limited"
            other.episodes.restore_partition(partition, limit)
        return other

    def total(self, partition: int) -> dict[str, Any] | None:
        """What there is to remember of a partition's limit."""
        return self.episodes.state_of_partition(partition)

    def change(self, windows: Sequence[str], endings: Closures) -> list[EpisodeTransition | LimitReached]:
        """Only these windows go on, or none of what was known; what ends by that, in no order among entities."""
        found: list[EpisodeTransition | LimitReached] = []
        for slot in self.episodes.remembered():
            found += endings.turns(self.entities.names[slot], self.episodes.state(slot))
        self.windows = list(windows)
        if endings.anew:
            self.entities = Entities()
            self.episodes = Episodes(self.entities, self.rules, self.windows)
        else:
            self.episodes.adopt(self.rules, self.windows)
        return found

    def _kind(self, name: str, readings: Sequence[Reading], slots: Any, order: Any) -> WindowScores | None:
        places, scores = [], []
        for place, row in enumerate(order.tolist()):
            found = dict(readings[row].scores)
            if name in found:
                places.append(place)
                scores.append(found[name])
        if not places:
            return None
        newest = np.array(places, np.int64)
        times = np.array([reading.time * SECOND for reading in readings], np.int64)[order][newest]
        return WindowScores(name, order, newest, slots[order][newest], times, np.array(scores, np.float32))


def told(policy: AlertPolicy, readings: Sequence[Reading], **watched: Any) -> Told:
    """All in one batch."""
    return Watcher(policy, **watched).see(readings)
