"""Each entity's own centre and spread: a function of its readings however they are cut, that a long anomaly hardly moves."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from anomaly_detector.core.columns import Readings
from anomaly_detector.core.entities.table import Entities
from anomaly_detector.core.preprocess.entity_scale import FIRST, RunningScale
from anomaly_detector.core.preprocess.segments import first_of
from tests.effort import examples

if TYPE_CHECKING:
    from anomaly_detector.core.preprocess.entity_scale import Scales

SECOND, DAY = 1_000_000, 86_400
Row = tuple[str, int, float]
"""Entity, event time in seconds, value."""


class Line:
    def __init__(self) -> None:
        self.entities = Entities()
        self.scale = RunningScale(np.array([0]), self.entities)

    def push(self, rows: list[Row]) -> Scales:
        slots = self.entities.admit(0, [row[0] for row in rows])
        order = np.argsort(slots, kind="stable")
        times = np.array([row[1] * SECOND for row in rows], np.int64)[order]
        values = np.array([[row[2]] for row in rows], np.float32)[order]
        return self.scale.observe(Readings(order, slots[order], times, values, first_of(slots[order])))

    def state(self, name: str) -> tuple[float, float]:
        taken = self.scale.take(self.entities.admit(0, [name]))
        return float(taken["center"][0, 0]), float(taken["spread"][0, 0])


values_of = st.one_of(st.just(math.nan), st.floats(-9, 9, width=16))


@examples(60)
@given(
    steps=st.lists(st.tuples(st.sampled_from("ab"), st.integers(1, 400), values_of), min_size=40, max_size=150),
    size=st.integers(1, 160),
)
def test_scales_do_not_depend_on_how_the_stream_is_cut_or_where_its_state_was(steps: list[Row], size: int) -> None:
    clock, rows = {"a": 0, "b": 0}, []
    for entity, step, value in steps:
        clock[entity] += step
        rows.append((entity, clock[entity], value))
    whole, line = Line(), Line()
    at_once = whole.push(rows)
    wanted = {name: [] for name in "ab"}
    for (name, _, _), found in zip(
        sorted(rows, key=lambda row: _first(rows, row[0])), at_once.spread[:, 0].tolist(), strict=True
    ):
        wanted[name].append(found)
    found_by = {name: [] for name in "ab"}
    for start in range(0, len(rows), size):
        part = rows[start : start + size]
        scales = line.push(part)
        names = [line.entities.names[slot] for slot in sorted(line.entities.admit(0, [row[0] for row in part]).tolist())]
        for name, spread in zip(names, scales.spread[:, 0].tolist(), strict=True):
            found_by[name].append(spread)
        other = Line()
        known = list(line.entities.known(0))
        other.scale.put(other.entities.admit(0, ["somebody", *known])[1:], line.scale.take(line.entities.admit(0, known)))
        line = other
    np.testing.assert_array_equal(np.array(found_by["a"] + found_by["b"]), np.array(wanted["a"] + wanted["b"]))


def _first(rows: list[Row], name: str) -> int:
    return next(place for place, row in enumerate(rows) if row[0] == name)


def stream(size: float, count: int, step: int = 60, start: int = 0, seed: int = 1) -> list[Row]:
    noise = np.random.default_rng(seed).normal(0, 0.05, count)
    return [("a", start + step * tick, size * (1 + noise[tick])) for tick in range(count)]


def test_meters_of_any_size_are_measured_in_their_own_spreads() -> None:
    for size in (10.0, 10_000.0):
        line = Line()
        line.push(stream(size, 3 * 1440))
        center, spread = line.state("a")
        assert abs(center / size - 1) < 0.02
        assert abs(spread / (0.05 * size) - 1) < 0.25


def test_nothing_is_known_before_the_first_readings_are_there() -> None:
    scales = Line().push(stream(10, FIRST + 2))
    assert scales.known(np.arange(FIRST + 2)).tolist() == [False] * FIRST + [True] * 2


def test_an_anomaly_of_hours_moves_the_scale_next_to_nothing_and_a_level_for_good_is_learned_in_the_end() -> None:
    line = Line()
    line.push(stream(10, 5 * 1440))
    center, spread = line.state("a")
    line.push(stream(20, 360, start=5 * DAY))
    moved = line.state("a")
    assert abs(moved[0] - center) < 0.1 * spread
    assert moved[1] < 1.1 * spread
    line.push(stream(20, 30 * 1440, start=5 * DAY + 6 * 3600))
    away = (20 - line.state("a")[0]) / line.state("a")[1]
    assert away < 6


def test_one_wild_reading_moves_nothing() -> None:
    line = Line()
    line.push([*stream(10, 1440), ("a", DAY, 1e30)])
    center, spread = line.state("a")
    assert abs(center - 10) < 0.1
    assert spread < 0.7
