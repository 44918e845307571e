"""Who is forgotten, and when, against an oracle that handles one reading at a time."""

from __future__ import annotations

import random
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anomaly_detector.core.columns import Batch, Int64
from anomaly_detector.core.entities.lru import Reason
from anomaly_detector.core.entities.quota import Bounds, name_bytes
from anomaly_detector.core.entities.table import Entities
from tests.effort import examples

Row = tuple[int, str, int]
"""Partition, entity, time."""
Gone = tuple[int, int, str, Reason]
"""Row, partition, entity, why."""
EACH = 100


def batch(rows: list[Row], start: int = 0) -> Batch:
    times = np.array([row[2] for row in rows], np.int64)
    partitions = np.array([row[0] for row in rows], np.int64)
    return Batch(np.arange(start, start + len(rows)), partitions, [row[1] for row in rows], times, np.empty((len(rows), 0)))


@dataclass
class Ages:
    """A stage: how many readings each entity has had since it was seated."""

    column: Int64 = field(default_factory=lambda: np.empty(0, np.int64))
    row_bytes: int = 8

    def resize(self, capacity: int) -> None:
        self.column = np.resize(np.append(self.column, np.zeros(capacity - len(self.column), np.int64)), capacity)

    def clear(self, slots: Int64) -> None:
        self.column[slots] = 0

    def take(self, slots: Int64) -> dict[str, Any]:
        return {"column": self.column[slots]}

    def put(self, slots: Int64, rows: Any) -> None:
        self.column[slots] = rows["column"]


class Watched:
    """Entities with one stage, and what happened to them."""

    def __init__(self, bounds: Bounds) -> None:
        self.entities, self.ages = Entities(bounds), Ages()
        self.entities.attach(self.ages)
        self.gone: list[Gone] = []
        self.found: list[int] = []
        """Age of each reading's entity after it."""
        self.rows = self.micro_batches = 0

    def process(self, rows: list[Row]) -> None:
        for portion in self.entities.seat(batch(rows, self.rows)):
            assert all(self.ages.column[left.slot] for left in portion.leaving), "what was known of them is still there"
            self.gone += [(left.row, left.partition, left.name, left.reason) for left in portion.leaving]
            self.entities.dismiss(portion.leaving)
            for slot, name in zip(portion.slots.tolist(), portion.batch.entities, strict=True):
                assert self.entities.names[slot] == name
                self.ages.column[slot] += 1
                self.found.append(int(self.ages.column[slot]))
            self.micro_batches += 1
        self.rows += len(rows)

    def moved(self, partition: int) -> None:
        """A partition's entities are saved, given up, and taken over again."""
        known = self.entities.known(partition)
        slots = np.array(list(known.values()), np.int64)
        saved, ages = self.entities.take(slots), self.ages.take(slots)
        self.entities.drop(partition)
        self.entities.admit(partition, ["a stranger in another partition"][:0])
        self.ages.put(self.entities.admit(partition, known, saved), ages)


@dataclass
class Oracle:
    """The same, one reading at a time."""

    bounds: Bounds
    seen: dict[int, OrderedDict[str, list[int]]] = field(default_factory=dict)
    clocks: dict[int, int] = field(default_factory=dict)
    gone: list[Gone] = field(default_factory=list)
    found: list[int] = field(default_factory=list)
    rows: int = 0

    def process(self, rows: list[Row]) -> None:
        for partition, name, time in rows:
            here = self.seen.setdefault(partition, OrderedDict())
            clock = self.clocks[partition] = max(time, self.clocks.get(partition, time))
            for other in [other for other, (stamp, _) in here.items() if clock - stamp > self.bounds.idle]:
                self._part(partition, other, Reason.IDLE)
            _, age = here.pop(name, (0, 0))
            here[name] = [clock, age + 1]
            while self._used(here) > self.bounds.bytes and len(here) > 1:
                self._part(partition, next(iter(here)), Reason.BUDGET)
            self.found.append(age + 1)
            self.rows += 1

    def _used(self, here: OrderedDict[str, list[int]]) -> int:
        return sum(self.bounds.entity_bytes + name_bytes(name) for name in here)

    def _part(self, partition: int, name: str, reason: Reason) -> None:
        del self.seen[partition][name]
        self.gone.append((self.rows, partition, name, reason))


_NAMES = [f"pump-{number}" for number in range(9)] + ["x", "a-name-that-is-longer-than-the-others-by-far" * 3]
_ROWS = st.lists(st.tuples(st.sampled_from([0, 0, 0, 1]), st.sampled_from(_NAMES), st.integers(-5, 30)), max_size=150)
_CUTS = st.lists(st.integers(1, 60), max_size=40)


def timed(steps: list[Row]) -> list[Row]:
    """Times that mostly rise, by steps."""
    clock, rows = 1000, []
    for partition, name, step in steps:
        clock = max(0, clock + step)
        rows.append((partition, name, clock))
    return rows


@examples(100)
@given(steps=_ROWS, cuts=_CUTS, room=st.integers(0, 8), idle=st.sampled_from([0, 40, 150, 10_000]), data=st.data())
def test_who_is_forgotten_is_as_an_oracle_says_however_the_stream_is_cut_and_moved(
    steps: list[Row], cuts: list[int], room: int, idle: int, data: st.DataObject
) -> None:
    rows = timed(steps)
    bounds = Bounds(bytes=room * (EACH + 6) + 50, entity_bytes=EACH, idle=idle)
    watched, oracle = Watched(bounds), Oracle(bounds)
    moves = set(data.draw(st.lists(st.integers(0, 40), max_size=4)))
    number = 0
    while rows:
        size = cuts.pop() if cuts else 23
        if number in moves:
            watched.moved(0)
        watched.process(rows[:size])
        oracle.process(rows[:size])
        rows = rows[size:]
        number += 1
    assert sorted(watched.gone) == sorted(oracle.gone)
    assert watched.found == oracle.found
    assert {partition: list(watched.entities.known(partition)) for partition in oracle.seen} == {
        partition: list(here) for partition, here in oracle.seen.items()
    }


@examples(50)
@given(steps=_ROWS, before=st.integers(1, 9), after=st.integers(0, 9), cut=st.integers(0, 150))
def test_narrower_bounds_hold_from_the_next_reading_of_a_partition_on(
    steps: list[Row], before: int, after: int, cut: int
) -> None:
    rows = timed(steps)
    wide = Bounds(bytes=before * (EACH + 6), entity_bytes=EACH, idle=100)
    narrow = Bounds(bytes=after * (EACH + 6), entity_bytes=EACH, idle=30)
    watched, oracle = Watched(wide), Oracle(wide)
    for part, bounds in ((rows[:cut], wide), (rows[cut:], narrow)):
        watched.entities.bounds = oracle.bounds = bounds
        watched.process(part)
        oracle.process(part)
    assert sorted(watched.gone) == sorted(oracle.gone)
    assert watched.found == oracle.found


def test_a_batch_that_has_to_part_with_nobody_of_its_own_is_taken_in_whole() -> None:
    bounds = Bounds(bytes=100 * (EACH + 8), entity_bytes=EACH, idle=10**9)
    watched = Watched(bounds)
    for start in range(0, 1000, 50):
        watched.process([(0, f"pump-{start + place:03d}", start) for place in range(50)])
    assert watched.micro_batches == 20
    assert len(watched.entities) == 100
    assert len(watched.entities.names) <= 150, "rows are used again"


def test_without_bounds_nobody_is_forgotten() -> None:
    watched = Watched(Bounds(bytes=0, entity_bytes=1, idle=0))
    watched.entities.bounds = None
    watched.process([(0, f"pump-{number}", number * 10**12) for number in range(200)])
    assert (len(watched.entities), watched.gone, watched.entities.used) == (200, [], 0)


@pytest.mark.parametrize("name", ["pump-1", "Pumpe-Süd", "泵" * 100])
def test_the_entity_that_was_seen_last_is_kept_even_if_there_is_no_room_for_it(name: str) -> None:
    watched = Watched(Bounds(bytes=1, entity_bytes=EACH, idle=10**9))
    watched.process([(0, name, time) for time in range(5)])
    assert (watched.found, watched.gone) == ([1, 2, 3, 4, 5], [])
    watched.process([(0, "another", 5)])
    assert watched.gone == [(5, 0, name, Reason.BUDGET)]


def test_narrower_bounds_need_no_new_entity_to_hold() -> None:
    watched = Watched(Bounds(bytes=5 * (EACH + 1), entity_bytes=EACH, idle=10**9))
    watched.process([(0, name, time) for time, name in enumerate("abcde")])
    watched.entities.bounds = Bounds(bytes=2 * (EACH + 1), entity_bytes=EACH, idle=10**9)
    watched.process([(0, "b", 5), (0, "b", 6)])
    assert watched.gone == [(5, 0, name, Reason.BUDGET) for name in "acd"]
    assert watched.found[-2:] == [2, 3]


@pytest.mark.parametrize("seed", range(8))
def test_a_long_stream_of_many_entities_is_as_the_oracle_says(seed: int) -> None:
    """Long enough for the order of those who were seen to be used up in the middle of a batch."""
    dice = random.Random(seed)
    bounds = Bounds(bytes=dice.choice([12, 40]) * (EACH + 8), entity_bytes=EACH, idle=dice.choice([60, 10**9]))
    watched, oracle = Watched(bounds), Oracle(bounds)
    clock, turn = 0, 0
    for _ in range(60):
        rows: list[Row] = []
        for _ in range(dice.choice([3, 30])):
            clock += dice.choice([0, 0, 1, 5])
            turn += 1
            number = dice.choice([turn % 97, dice.randrange(97), dice.randrange(1000)])
            rows.append((0, f"pump-{number:03d}", clock))
        watched.process(rows)
        oracle.process(rows)
    assert sorted(watched.gone) == sorted(oracle.gone)
    assert watched.found == oracle.found
