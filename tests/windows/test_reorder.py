"""Event time: readings out of order, late, there twice, too many at once; against an oracle that takes one reading at a time."""

from __future__ import annotations

from bisect import insort
from dataclasses import dataclass, field

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from anomaly_api.source import Time
from anomaly_detector.core.columns import Batch
from anomaly_detector.core.entities.table import Entities
from anomaly_detector.core.preprocess.reorder import Ordered, ReorderBuffer
from tests.effort import examples

SECOND = 1_000_000
Row = tuple[str, int, float]
"""Entity, event time in seconds, value."""
Given = tuple[int, str, int, float]
"""Message that let it go, entity, event time, value."""


def batch(rows: list[Row], start: int = 0) -> Batch:
    return Batch(
        np.arange(start, start + len(rows)),
        np.zeros(len(rows), np.int64),
        [row[0] for row in rows],
        np.array([row[1] * SECOND for row in rows], np.int64),
        np.array([[row[2], -row[2]] for row in rows], np.float32).reshape(-1, 2),
    )


def ordering(lateness: int = 0, most: int = 64) -> tuple[Entities, ReorderBuffer]:
    entities = Entities()
    return entities, ReorderBuffer(Time(lateness=f"{lateness}s", max_waiting=most), 2, entities)


def given_on(entities: Entities, ordered: Ordered) -> list[Given]:
    """In the order of the messages."""
    readings = ordered.readings
    assert np.array_equal(readings.values[:, 1], -readings.values[:, 0])
    columns = (readings.rows, readings.slots, readings.times // SECOND, readings.values[:, 0])
    found = [(row, entities.names[slot], at, value) for row, slot, at, value in zip(*(c.tolist() for c in columns), strict=True)]
    return sorted(found, key=lambda each: each[0])


@dataclass
class Oracle:
    """The same, one reading at a time, in the words of `ordering.py`."""

    lateness: int
    most: int
    waiting: dict[str, list[tuple[int, float, int]]] = field(default_factory=dict)
    reached: dict[str, int] = field(default_factory=dict)
    newest: dict[str, int] = field(default_factory=dict)
    seen: dict[str, int] = field(default_factory=dict)
    late: int = 0
    duplicates: int = 0
    released_early: int = 0

    def push(self, number: int, row: Row) -> list[Given]:
        entity, at, value = row
        waiting = self.waiting.setdefault(entity, [])
        place = self.seen[entity] = self.seen.get(entity, 0) + 1
        reached = self.reached.get(entity, -(10**9))
        if at < reached:
            self.late += 1
        elif at == reached or at in [each[0] for each in waiting]:
            self.duplicates += 1
        else:
            insort(waiting, (at, value, place))
            self.newest[entity] = max(at, self.newest.get(entity, at))
        found = []
        while waiting and (self._due(entity, waiting[0]) or any(place - each[2] >= self.most for each in waiting)):
            at, value, _ = first = waiting.pop(0)
            self.released_early += not self._due(entity, first)
            self.reached[entity] = at
            found.append((number, entity, at, value))
        return found

    def _due(self, entity: str, each: tuple[int, float, int]) -> bool:
        return self.newest[entity] >= each[0] + self.lateness


def cut(rows: list[Row], sizes: list[int]) -> list[tuple[int, list[Row]]]:
    """The rows in batches, with the number of each batch's first."""
    found, start = [], 0
    for size in [*sizes, *[5] * len(rows)]:
        found.append((start, rows[start : start + size]))
        start += size
    return [(start, part) for start, part in found if part]


rows_of = st.lists(st.tuples(st.sampled_from("abc"), st.integers(-6, 40), st.floats(-9, 9, width=16)), max_size=80)
sizes_of = st.lists(st.integers(1, 30), max_size=12)


@examples(100)
@given(rows=rows_of, sizes=sizes_of, lateness=st.integers(0, 12), most=st.integers(1, 6))
def test_what_is_given_on_and_when_is_what_an_oracle_says_however_the_stream_is_cut(
    rows: list[Row], sizes: list[int], lateness: int, most: int
) -> None:
    oracle = Oracle(lateness, most)
    entities, mine = ordering(lateness, most)
    late = duplicates = released_early = 0
    for start, part in cut(rows, sizes):
        ordered = mine.order(batch(part, start))
        expected = [each for number, row in enumerate(part, start) for each in oracle.push(number, row)]
        assert given_on(entities, ordered) == expected
        late, duplicates, released_early = (
            late + ordered.late,
            duplicates + ordered.duplicates,
            released_early + ordered.released_early,
        )
    assert (late, duplicates, released_early) == (oracle.late, oracle.duplicates, oracle.released_early)


@given(rows=rows_of, sizes=sizes_of, lateness=st.integers(0, 12), place=st.integers(0, 11))
def test_state_that_is_taken_and_put_elsewhere_goes_on_as_before(
    rows: list[Row], sizes: list[int], lateness: int, place: int
) -> None:
    entities, mine = ordering(lateness, 4)
    others, other = ordering(lateness, 4)
    others.admit(0, ["somebody", "else"])
    for number, (start, part) in enumerate(cut(rows, sizes)):
        if number == place:
            known = list(entities.known(0))
            other.put(others.admit(0, known), mine.take(entities.admit(0, known)))
            entities, mine = others, other
        mine.order(batch(part, start))
    whole_entities, whole = ordering(lateness, 4)
    whole.order(batch(rows))
    last = [("abc"[each % 3], 1000 + each, 1.0) for each in range(30)]
    assert given_on(entities, mine.order(batch(last))) == given_on(whole_entities, whole.order(batch(last)))


@given(steps=st.lists(st.integers(1, 5), min_size=1, max_size=60), lateness=st.integers(1, 15), data=st.data())
def test_any_order_within_the_lateness_and_any_duplicates_give_the_same(
    steps: list[int], lateness: int, data: st.DataObject
) -> None:
    times = np.cumsum(steps).tolist()
    delays = data.draw(st.lists(st.floats(0, lateness, exclude_max=True), min_size=len(times), max_size=len(times)))
    arrival = [at for _, at in sorted(zip(np.array(times) + delays, times, strict=True))]
    again = data.draw(st.lists(st.sampled_from(times), max_size=5))
    for at in again:
        arrival.insert(data.draw(st.integers(arrival.index(at) + 1, len(arrival))), at)
    end = [("a", times[-1] + lateness, 0.0)]
    entities, in_order = ordering(lateness, 1000)
    expected = given_on(entities, in_order.order(batch([("a", at, float(at)) for at in times] + end)))
    entities, shuffled = ordering(lateness, 1000)
    ordered = shuffled.order(batch([("a", at, float(at)) for at in arrival] + end))
    assert [each[1:] for each in given_on(entities, ordered)] == [each[1:] for each in expected]
    assert ordered.late + ordered.duplicates == len(again)


def test_a_reading_goes_with_the_message_that_lets_it_go() -> None:
    entities, mine = ordering(lateness=4)
    story = [1, 3, 2, 9, 4, 5, 9, 15, 8]
    ordered = mine.order(batch([("a", at, float(number)) for number, at in enumerate(story)]))
    assert [each[::2] for each in given_on(entities, ordered)] == [(3, 1), (3, 2), (3, 3), (4, 4), (5, 5), (7, 9)]
    assert (ordered.late, ordered.duplicates) == (1, 1)
    assert given_on(entities, ordered)[-1][-1] == 3.0, "the first of two counts"


def test_a_late_or_future_reading_changes_nothing_for_other_entities() -> None:
    calm: list[Row] = [(name, at, float(at)) for at in range(20) for name in "ab"]
    wild: list[Row] = [("c", at, 1.0) for at in (10**6, -(10**6), 10**9, 3, 10**9)]
    mixed = [row for number, row in enumerate(calm) for row in ([row, wild[number // 8]] if number % 8 == 0 else [row])]
    entities, alone = ordering(lateness=3)
    expected = [each[1:] for each in given_on(entities, alone.order(batch(calm)))]
    entities, together = ordering(lateness=3)
    found = [each[1:] for each in given_on(entities, together.order(batch(mixed)))]
    assert [each for each in found if each[0] != "c"] == expected


def test_less_lateness_lets_go_what_waits_with_the_next_message_of_its_entity() -> None:
    entities, mine = ordering(lateness=100)
    assert given_on(entities, mine.order(batch([(name, at, 0.0) for at in (1, 2, 3) for name in "ab"]))) == []
    mine.adapt(Time())
    assert [each[1:3] for each in given_on(entities, mine.order(batch([("a", 4, 0.0)])))] == [("a", at) for at in (1, 2, 3, 4)]
    assert [each[1:3] for each in given_on(entities, mine.order(batch([("b", 2, 0.0)])))] == [("b", at) for at in (1, 2, 3)]


def test_times_at_the_ends_of_the_calendar_are_ordered_too() -> None:
    entities, mine = ordering(lateness=10**9)
    first, last = -62_135_596_800, 253_402_300_799
    ordered = mine.order(batch([("a", last, 1.0), ("a", first, 2.0), ("b", first, 3.0), ("b", last, 4.0)]))
    assert [each[1:] for each in given_on(entities, ordered)] == [("a", first, 2.0), ("b", first, 3.0)]
