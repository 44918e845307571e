"""Missing values: held, interpolated, dropped, and marked; against an oracle that sees the whole stream."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anomaly_api.schema import Empty
from anomaly_api.source import Entity, Feature, Missing, Pipeline, Time, Window
from anomaly_detector.core.columns import FOR_EVER, Batch
from anomaly_detector.core.preprocess.reorder import Ordered
from anomaly_detector.core.preprocess.windows import WindowBatch
from tests.effort import examples
from tests.windows.buffers import Buffers

SECOND = 1_000_000
NAN = math.nan
GAP = 10
WINDOWS = [Window(name="short", size=2, max_gap="4s"), Window(name="long", size=4, every=2, max_gap=f"{GAP}s")]
Row = tuple[str, int, tuple[float, ...]]
"""Entity, event time in seconds, values; not a number where there is none."""


def pipeline(*policies: Missing, most: int = 64, windows: list[Window] | None = None, lateness: int = 0) -> Pipeline:
    return Pipeline(
        entity=Entity(key=Empty()),
        time=Time(max_waiting=most, lateness=f"{lateness}s"),
        features=[Feature(name=f"f{place}", missing=policy) for place, policy in enumerate(policies)],
        windows=windows or WINDOWS,
    )


def push(buffers: Buffers, rows: list[Row], start: int = 0) -> tuple[Ordered, list[WindowBatch]]:
    width = len(rows[0][2])
    return buffers.push(
        Batch(
            np.arange(start, start + len(rows)),
            np.zeros(len(rows), np.int64),
            [row[0] for row in rows],
            np.array([row[1] * SECOND for row in rows], np.int64),
            np.array([row[2] for row in rows], np.float32).reshape(-1, width),
        )
    )


@dataclass(frozen=True)
class Kept:
    """A reading as it was given on."""

    row: int
    time: int
    values: tuple[float | None, ...]
    filled: tuple[bool, ...]
    bridged: int
    """Seconds; -1: for ever."""


def readings(ordered: Ordered, entity_slot: int = 0) -> list[Kept]:
    """Those of one entity."""
    given = ordered.readings
    nothing = np.zeros(given.values.shape, bool)
    filled = nothing if given.filled is None else given.filled
    bridged = np.zeros(len(given.times), np.int64) if given.bridged is None else given.bridged
    return [
        Kept(
            int(given.rows[place]),
            int(given.times[place]) // SECOND,
            tuple(None if math.isnan(value) else value for value in given.values[place].tolist()),
            tuple(filled[place].tolist()),
            -1 if bridged[place] == FOR_EVER else int(bridged[place]) // SECOND,
        )
        for place in np.flatnonzero(given.slots == entity_slot).tolist()
    ]


def expected(rows: list[Row], policies: tuple[Missing, ...], most: int) -> list[Kept]:
    """What becomes of one entity's readings, all of which are there; what is not settled by the last one is left out."""
    found, under = [], -1
    for place, (_, time, values) in enumerate(rows):
        settled, done, filled, bridged = place, [], [], 0
        for feature, policy in enumerate(policies):
            value = values[feature]
            filled.append(False)
            if math.isnan(value):
                before = next((p for p in range(place - 1, -1, -1) if not math.isnan(rows[p][2][feature])), None)
                if policy is Missing.DROP or before is None:
                    bridged = FOR_EVER
                else:
                    value, until, bridge = _one(rows, feature, policy, before, place, most)
                    filled[-1], settled, bridged = True, max(settled, until), max(bridged, bridge)
            done.append(None if math.isnan(value) else float(np.float32(value)))
        under = max(under, settled)
        if under >= len(rows):
            break
        found.append(Kept(under, time, tuple(done), tuple(filled), -1 if bridged == FOR_EVER else bridged))
    return found


def _one(rows: list[Row], feature: int, policy: Missing, before: int, place: int, most: int) -> tuple[float, int, int]:
    """Value, the place under which it is settled, and the seconds that it bridges."""
    since, value, time = rows[before][1], rows[before][2][feature], rows[place][1]
    held = value, place, time - since
    if policy is Missing.HOLD or time - since > GAP:
        return held
    for later in range(place + 1, len(rows)):
        at, then = rows[later][1], rows[later][2][feature]
        if at - since > GAP:
            return value, later, time - since
        if not math.isnan(then):
            return value + (then - value) * ((time - since) * SECOND / ((at - since) * SECOND)), later, at - since
        if later - place == most:
            return value, later, time - since
    return value, len(rows), 0


values_of = st.one_of(st.just(NAN), st.floats(-9, 9, width=16))
policies_of = st.tuples(st.sampled_from(Missing), st.sampled_from(Missing))
stories = st.lists(st.tuples(st.sampled_from("ab"), st.integers(1, 7), st.tuples(values_of, values_of)), min_size=1, max_size=50)


def story(steps: list[tuple[str, int, tuple[float, float]]]) -> list[Row]:
    clock = {"a": 100, "b": 100}
    rows = []
    for entity, step, values in steps:
        clock[entity] += step
        rows.append((entity, clock[entity], values))
    return rows


@examples(100)
@given(steps=stories, policies=policies_of, most=st.integers(1, 5), size=st.integers(1, 60))
def test_what_is_filled_in_and_when_is_what_an_oracle_says_however_the_stream_is_cut(
    steps: list[tuple[str, int, tuple[float, float]]], policies: tuple[Missing, Missing], most: int, size: int
) -> None:
    rows = story(steps)
    buffers = Buffers(pipeline(*policies, most=most))
    slots = dict(zip("ab", buffers.entities.admit(0, "ab").tolist(), strict=True))
    found: dict[str, list[Kept]] = {"a": [], "b": []}
    for start in range(0, len(rows), size):
        ordered, _ = push(buffers, rows[start : start + size], start)
        for entity, slot in slots.items():
            found[entity] += readings(ordered, slot)
    for entity in "ab":
        places = [place for place, row in enumerate(rows) if row[0] == entity]
        wanted = expected([rows[place] for place in places], policies, most)
        assert found[entity] == [Kept(places[each.row], each.time, each.values, each.filled, each.bridged) for each in wanted]


Cut = tuple[str, int, int, tuple[float, ...], int]


def cuts(buffers: Buffers, rows: list[Row], start: int = 0) -> list[Cut]:
    """Name, message, time, values and how many were filled in, by message."""
    ordered, windows = push(buffers, rows, start)
    found = []
    for batch in windows:
        counts = np.zeros(len(batch.times), np.int64) if batch.filled is None else batch.filled
        for place, time, values, filled in zip(batch.places, batch.times, batch.values, counts, strict=True):
            assert not np.isnan(values).any()
            row = int(ordered.readings.rows[place])
            found.append((batch.name, row, int(time) // SECOND, tuple(values.ravel().tolist()), int(filled)))
    return sorted(found, key=lambda each: (each[1], each[0], each[2]))


@examples(50)
@given(
    steps=stories, policies=policies_of, lateness=st.integers(0, 9), size=st.integers(1, 60), swaps=st.lists(st.integers(0, 48))
)
def test_windows_of_all_scales_do_not_depend_on_batches_or_on_where_the_state_was_kept(
    steps: list[tuple[str, int, tuple[float, float]]],
    policies: tuple[Missing, Missing],
    lateness: int,
    size: int,
    swaps: list[int],
) -> None:
    rows = story(steps)
    for place in swaps:  # out of order, some of it too late
        if place + 1 < len(rows):
            rows[place], rows[place + 1] = rows[place + 1], rows[place]
    spec = pipeline(*policies, most=4, lateness=lateness)
    whole = cuts(Buffers(spec), rows)
    buffers, found = Buffers(spec), []
    for start in range(0, len(rows), size):
        found += cuts(buffers, rows[start : start + size], start)
        known = list(buffers.entities.known(0))
        old = buffers.entities.admit(0, known)
        other = Buffers(spec)
        new = other.entities.admit(0, ["somebody", *known])[1:]
        for mine, its in zip(buffers.stages, other.stages, strict=True):
            its.put(new, mine.take(old))
        buffers = other
    assert found == whole


def test_a_held_value_is_held_for_as_long_as_the_window_may_have_gaps() -> None:
    buffers = Buffers(pipeline(Missing.HOLD, Missing.HOLD))
    rows: list[Row] = [("a", time, (float(time), 7.0 if time == 0 else NAN)) for time in range(0, 30, 2)]
    found = cuts(buffers, rows)
    assert [time for name, _, time, _, _ in found if name == "short"] == [2, 4], "maxGap is 4 s"
    assert [(time, filled) for name, _, time, _, filled in found if name == "long"] == [(6, 3), (10, 4)], "maxGap is 10 s"


def test_windows_begin_when_every_feature_has_had_a_value() -> None:
    buffers = Buffers(pipeline(Missing.HOLD, Missing.HOLD))
    rows: list[Row] = [("a", 0, (NAN, 1.0)), ("a", 1, (NAN, 2.0)), ("a", 2, (5.0, NAN)), ("a", 3, (NAN, 3.0))]
    assert cuts(buffers, rows) == [("short", 3, 3, (5.0, 2.0, 5.0, 3.0), 2)]


def test_a_dropped_reading_is_in_no_window() -> None:
    buffers = Buffers(pipeline(Missing.DROP))
    rows: list[Row] = [("a", time, (NAN if time == 2 else float(time),)) for time in range(6)]
    assert [time for name, _, time, _, _ in cuts(buffers, rows) if name == "short"] == [1, 4, 5]


def test_an_interpolated_value_lies_on_the_way_and_goes_with_the_next_one() -> None:
    buffers = Buffers(pipeline(Missing.INTERPOLATE, windows=[Window(name="short", size=2, max_gap="5s")]))
    times = {1: 1.0, 2: NAN, 4: NAN, 5: 5.0, 6: NAN, 8: NAN, 10: NAN, 12: 9.0}
    ordered, _ = push(buffers, [("a", time, (value,)) for time, value in times.items()])
    assert [each.values for each in readings(ordered)] == [(value,) for value in (1.0, 2.0, 4.0, 5.0, 5.0, 5.0, 5.0, 9.0)]
    assert [times_at(times, each.row) for each in readings(ordered)] == [1, 5, 5, 5, 12, 12, 12, 12]


def times_at(times: dict[int, float], row: int) -> int:
    return list(times)[row]


def test_nothing_is_remembered_of_values_while_none_is_missing() -> None:
    buffers = Buffers(pipeline(Missing.HOLD, Missing.INTERPOLATE))
    push(buffers, [("a", time, (1.0, 2.0)) for time in range(5)])
    slots = buffers.entities.admit(0, ["a"])
    assert buffers.filling.take(slots) == {}
    assert "filled" not in buffers.windows.take(slots)


@pytest.mark.parametrize("policy", Missing)
def test_another_policy_applies_from_the_next_reading_on(policy: Missing) -> None:
    buffers = Buffers(pipeline(Missing.INTERPOLATE))
    push(buffers, [("a", 0, (1.0,)), ("a", 1, (NAN,))])
    buffers.filling.adapt(pipeline(policy))
    ordered, _ = push(buffers, [("a", 2, (3.0,))], start=2)
    value = {Missing.HOLD: 1.0, Missing.INTERPOLATE: 2.0, Missing.DROP: None}[policy]
    assert [(each.row, each.values) for each in readings(ordered)] == [(2, (value,)), (2, (3.0,))]


def test_an_entity_that_is_forgotten_leaves_no_value_to_hold() -> None:
    buffers = Buffers(pipeline(Missing.HOLD))
    push(buffers, [("a", 0, (1.0,)), ("a", 1, (NAN,))])
    buffers.entities.drop(0)
    ordered, _ = push(buffers, [("a", 2, (NAN,))])
    assert [each.values for each in readings(ordered)] == [(None,)]
