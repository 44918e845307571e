"""Parts of readings that are put together, and readings of one time that are kept apart: however cut, and after a restart."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from anomaly_api.input import Merge
from anomaly_api.policy import Fallback
from anomaly_api.schema import Empty
from anomaly_api.source import Entity, Feature, Pipeline, SameTime, Time, Window
from anomaly_detector.core.columns import Batch
from anomaly_detector.core.preprocess.intake import Intake
from anomaly_detector.core.preprocess.preprocessor import Preprocessor

Part = tuple[str, int, list[float]]
"""Entity, event time in seconds, values."""
NONE = math.nan


def preprocessor(*, width: int = 3, within: str | None = "5s", keep: bool = False, lateness: str = "0s") -> Preprocessor:
    pipeline = Pipeline(
        entity=Entity(key=Empty()),
        time=Time(same_time=SameTime.KEEP if keep else SameTime.DROP, lateness=lateness),
        features=[Feature(name=name) for name in "abcdef"[:width]],
        windows=[Window(name="short")],
        merge=Merge(within=within) if within else None,
    )
    return Preprocessor(Intake.of(pipeline, Fallback()))


def taken(stage: Preprocessor, parts: list[Part], first_row: int = 0) -> tuple[list[Any], int, int]:
    """Readings by entity, each with the row that let it go; how many are late, how many duplicates."""
    rows = np.arange(first_row, first_row + len(parts))
    batch = Batch(
        rows,
        np.zeros(len(parts), np.int64),
        [entity for entity, _, _ in parts],
        np.array([time * 1_000_000 for _, time, _ in parts], np.int64),
        np.array([values for _, _, values in parts], np.float32).reshape(len(parts), len(stage.intake.features)),
    )
    found, late, duplicates = [], 0, 0
    for portion in stage.micro_batches(batch):
        done = stage.process(portion)
        readings = done.readings
        for row, slot, time, values in zip(
            readings.rows.tolist(), readings.slots.tolist(), readings.times.tolist(), readings.values.tolist(), strict=True
        ):
            found.append((stage.entities.names[slot], time / 1_000_000, repr(values), row))
        late, duplicates = late + done.tally.late, duplicates + done.tally.duplicates
    return sorted(found), late, duplicates


def times(parts: list[Part], **settings: Any) -> list[tuple[float, int]]:
    """Event times of what is given on, with the rows that let it go."""
    return [(time, row) for _, time, _, row in taken(preprocessor(**settings), parts)[0]]


def part(time: int, place: int, entity: str = "e") -> Part:
    return entity, time, [1.0 if place == at else NONE for at in range(3)]


def test_parts_become_a_reading_when_it_is_complete_or_its_time_is_over() -> None:
    sent = [part(10, 0), part(10, 1), part(10, 2), part(20, 0), part(20, 1), part(22, 2), part(30, 0), part(40, 1), part(41, 0)]
    assert times(sent) == [(10, 2), (20, 5), (30, 7)]


def test_parts_of_two_gateways_meet_though_one_is_behind() -> None:
    sent = [part(1, 0), part(1, 1), part(2, 0), part(2, 1), part(1, 2), part(3, 0), part(3, 1), part(2, 2)]
    assert times(sent) == [(1, 4), (2, 7)]


def test_a_second_sample_is_another_reading_however_near_it_is() -> None:
    sent = [part(1, 0), part(2, 0), part(2, 1), part(1, 1), part(1, 2), part(2, 2)]
    assert times(sent) == [(1, 4), (2, 5)]


def test_a_part_that_comes_again_is_a_duplicate() -> None:
    assert taken(preprocessor(), [part(1, 0), part(1, 0), part(1, 1), part(1, 2)])[2] == 1


def test_what_is_under_way_of_an_entity_is_bounded() -> None:
    assert len(times([part(time, 0) for time in range(100)], within="1h")) == 100 - 16


def test_readings_of_one_time_are_kept_apart_in_the_order_of_the_topic() -> None:
    sent: list[Part] = [("e", 10, [value]) for value in (1.0, 2.0, 3.0)] + [("e", 11, [4.0]), ("e", 11, [5.0])]
    assert [time for time, _ in times(sent, width=1, within=None, keep=True)] == [10, 10.000001, 10.000002, 11, 11.000001]
    assert [time for time, _ in times(sent, width=1, within=None)] == [10, 11]


parts = st.lists(
    st.builds(part, st.integers(0, 30), st.integers(0, 2), st.sampled_from(["e", "f"]))
    | st.builds(lambda time: ("e", time, [1.0, 2.0, 3.0]), st.integers(0, 30)),
    max_size=20,
)


@given(parts, st.lists(st.integers(0, 20), max_size=4), st.booleans(), st.sampled_from(["0s", "3s"]))
def test_what_comes_out_depends_on_no_cut_and_no_restart(sent: list[Part], cuts: list[int], keep: bool, lateness: str) -> None:
    settings = {"keep": keep, "lateness": lateness}
    whole = taken(preprocessor(**settings), sent)
    stage, found, late, duplicates = preprocessor(**settings), [], 0, 0
    edges = [0, *sorted(min(cut, len(sent)) for cut in cuts), len(sent)]
    for begin, end in pairwise(edges):
        more, lost, twice = taken(stage, sent[begin:end], begin)
        found, late, duplicates = found + more, late + lost, duplicates + twice
        again = preprocessor(**settings)
        again.restore(0, stage.snapshot(0))
        stage = again
    assert (sorted(found), late, duplicates) == whole
