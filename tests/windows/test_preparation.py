"""Counters become rates and features are derived from others, against an oracle that sees each entity's whole stream."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anomaly_api.preparation import FeatureKind
from anomaly_api.schema import Empty
from anomaly_api.source import Entity, Feature, Pipeline, Time, Window
from anomaly_detector.core.columns import Batch
from anomaly_detector.core.entities.table import Entities
from anomaly_detector.core.preprocess.preparation import Preparation
from anomaly_detector.core.preprocess.reorder import ReorderBuffer
from tests.effort import examples

SECOND, NAN, GAP, MEAN = 1_000_000, math.nan, 10, 3
FEATURES = [
    Feature(name="total", kind=FeatureKind.COUNTER),
    Feature(name="level"),
    Feature.model_validate({"name": "net", "derived": {"difference": {"of": "level", "minus": "total"}}}),
    Feature.model_validate({"name": "share", "derived": {"ratio": {"of": "level", "to": "total"}}}),
    Feature.model_validate({"name": "slope", "derived": {"rateOfChange": {"of": "level"}}}),
    Feature.model_validate({"name": "calm", "derived": {"rollingMean": {"of": "level", "readings": MEAN}}}),
]
Row = tuple[str, int, tuple[float, float]]
"""Entity, event time in seconds, total and level."""


def pipeline(features: list[Feature], lateness: int = 0) -> Pipeline:
    windows = [Window(name="short", size=2, max_gap="4s"), Window(name="long", size=4, max_gap=f"{GAP}s")]
    return Pipeline(entity=Entity(key=Empty()), time=Time(lateness=f"{lateness}s"), features=features, windows=windows)


class Line:
    """Ordering and preparation, as `Preprocessor` puts them together."""

    def __init__(self, asked: Pipeline) -> None:
        self.entities = Entities()
        self.ordering = ReorderBuffer(asked.time, len(asked.read), self.entities, np.dtype(np.float64))
        self.preparation = Preparation(asked, self.entities)

    def push(self, rows: list[Row]) -> list[tuple[str, int, tuple[float, ...]]]:
        count = len(rows)
        times, values = np.array([row[1] * SECOND for row in rows], np.int64), np.array([row[2] for row in rows], np.float64)
        batch = Batch(np.arange(count), np.zeros(count, np.int64), [row[0] for row in rows], times, values)
        found = self.preparation.prepare(self.ordering.order(batch).readings)
        assert found.values.dtype == np.float32
        names = [self.entities.names[slot] for slot in found.slots.tolist()]
        return list(zip(names, (found.times // SECOND).tolist(), map(tuple, found.values.tolist()), strict=True))


def expected(rows: list[tuple[int, tuple[float, float]]]) -> list[tuple[float, ...]]:
    """Of one entity, in the order of time."""
    found = []
    for place, (time, (total, level)) in enumerate(rows):

        def before(column: int, place: int = place) -> tuple[int, float] | None:
            known = [(at, values[column]) for at, values in rows[:place] if not math.isnan(values[column])]
            return known[-1] if known and rows[place][0] - known[-1][0] <= GAP else None

        counted, moved = before(0), before(1)
        rate = NAN
        if counted and total >= counted[1]:
            rate = (total - counted[1]) / (time - counted[0])
        slope = (level - moved[1]) / (time - moved[0]) if moved else NAN
        run = 1
        while run < MEAN and run <= place and rows[place - run + 1][0] - rows[place - run][0] <= GAP:
            run += 1
        near = [values[1] for _, values in rows[place - run + 1 : place + 1] if not math.isnan(values[1])]
        calm = sum(near) / len(near) if not math.isnan(level) else NAN
        share = level / rate if rate else NAN
        found.append((rate, level, level - rate, share, slope, calm))
    return found


numbers = st.one_of(st.just(NAN), st.integers(0, 20).map(float))
stories = st.lists(st.tuples(st.sampled_from("ab"), st.integers(1, 12), st.tuples(numbers, numbers)), min_size=1, max_size=40)


@examples(100)
@given(steps=stories, size=st.integers(1, 45), lateness=st.integers(0, 9))
def test_features_are_what_an_oracle_says_however_the_stream_is_cut_and_wherever_its_state_was(
    steps: list[tuple[str, int, tuple[float, float]]], size: int, lateness: int
) -> None:
    clock, rows = {"a": 100, "b": 100}, []
    for entity, step, values in steps:
        clock[entity] += step
        rows.append((entity, clock[entity], values))
    line, found = Line(pipeline(FEATURES, lateness)), []
    for start in range(0, len(rows), size):
        found += line.push(rows[start : start + size])
        known = list(line.entities.known(0))
        old, other = line.entities.admit(0, known), Line(pipeline(FEATURES, lateness))
        new = other.entities.admit(0, ["somebody", *known])[1:]
        other.ordering.put(new, line.ordering.take(old))
        other.preparation.put(new, line.preparation.take(old))
        line = other
    for entity in "ab":
        given_on = [(time, values) for name, time, values in found if name == entity]
        wanted = expected([(time, values) for name, time, values in rows if name == entity])[: len(given_on)]
        np.testing.assert_allclose(
            np.array([values for _, values in given_on]).reshape(-1, 6), np.array(wanted).reshape(-1, 6), rtol=1e-6
        )


COUNTER = [Feature(name="total", kind=FeatureKind.COUNTER)]


@pytest.mark.parametrize("start", [0.0, 2.0**53, 1e15])
def test_a_counter_beyond_what_float32_holds_has_the_same_rate(start: float) -> None:
    rows = [("a", 10 * tick, (start + 20 * tick,)) for tick in range(5)]
    assert [values[0] for _, _, values in Line(pipeline(COUNTER)).push(rows)][1:] == [2.0] * 4  # type: ignore[list-item]


def test_an_entity_that_is_forgotten_leaves_no_counter() -> None:
    line = Line(pipeline(COUNTER))
    line.push([("a", 0, (100.0,))])  # type: ignore[list-item]
    line.entities.drop(0)
    [(_, _, [rate])] = line.push([("a", 1, (101.0,))])  # type: ignore[list-item]
    assert math.isnan(rate)


def test_what_does_not_fit_into_float32_and_what_is_divided_by_nothing_is_missing() -> None:
    features = [Feature(name="level"), Feature(name="total"), FEATURES[2], FEATURES[3]]
    found = Line(pipeline(features)).push([("a", 0, (3e38, -3e38)), ("a", 1, (1.0, 0.0))])
    assert [math.isnan(values[column]) for (_, _, values), column in zip(found, (2, 3), strict=True)] == [True, True]
