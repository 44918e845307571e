"""No reading goes uncounted: each is in windows, late, a duplicate, waits, or waited when its entity was forgotten."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from anomaly_api.source import Missing
from anomaly_detector.core.columns import Messages
from anomaly_detector.core.entities.quota import MemoryQuota
from anomaly_detector.core.pipeline import DetectionPipeline
from anomaly_detector.core.preprocess.counts import ReadingCounts
from anomaly_detector.core.scoring.revisions import LoadedRevision
from tests.effort import examples
from tests.stream.pods import PIPELINE, revision

PATIENT = PIPELINE.model_copy(
    update={
        "time": PIPELINE.time.model_copy(update={"lateness": "3s", "max_waiting": 4}),
        "features": [feature.model_copy(update={"missing": Missing.INTERPOLATE}) for feature in PIPELINE.features],
    }
)
Row = tuple[int, int, bool]
"""Number of the entity, seconds by which it is out of order, whether it lacks a value."""


def with_room_for(entities: int) -> DetectionPipeline:
    loaded = LoadedRevision(revision(PATIENT))
    bounds = DetectionPipeline("x", loaded, MemoryQuota(10**9, 1, 60.0)).configuration.intake.bounds
    assert bounds is not None
    return DetectionPipeline("x", loaded, MemoryQuota(2 * entities * (bounds.entity_bytes + len("pump-0")), 1, 60.0))


def messages(rows: list[Row], start: int) -> Messages:
    values = [
        json.dumps({"at": 1000 + start + place - back, "temperature": 20.0, "pressure": None if lacks else 3.0}).encode()
        for place, (_, back, lacks) in enumerate(rows)
    ]
    keys = [b"pump-%d" % entity for entity, _, _ in rows]
    return Messages(values, keys, np.full(len(rows), -1, np.int64), np.zeros(len(rows), np.int64))


def still_waiting(state: dict[str, Any]) -> int:
    return sum(int(state[stage]["waiting"]["count"].sum()) for stage in ("reorder", "imputation") if state[stage])


@examples(80)
@given(
    rows=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 6), st.booleans()), max_size=80),
    sizes=st.lists(st.integers(1, 20), max_size=20),
)
def test_every_reading_is_accounted_for_and_batches_make_no_difference(rows: list[Row], sizes: list[int]) -> None:
    stream, tally, taken, begin = with_room_for(2), ReadingCounts(), 0, 0
    for size in [*sizes, max(1, len(rows))]:
        outcome = stream.process(messages(rows[begin : begin + size], begin))
        tally, taken, begin = tally + outcome.tally, taken + outcome.readings, min(len(rows), begin + size)
    assert taken + tally.late + tally.duplicates + tally.dropped_pending + still_waiting(stream.snapshot(0)) == len(rows)
    whole = with_room_for(2).process(messages(rows, 0)).tally
    assert (whole.dropped_pending, whole.late, whole.duplicates) == (tally.dropped_pending, tally.late, tally.duplicates)


def test_what_waits_when_its_entity_is_forgotten_is_counted() -> None:
    stream = with_room_for(1)
    first = stream.process(messages([(0, 0, False)] * 6, 0))
    assert (first.readings, first.tally.dropped_pending) == (3, 0)
    assert stream.process(messages([(1, 0, False)], 6)).tally.dropped_pending == 3
