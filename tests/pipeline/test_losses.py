"""Readings that do not count are counted by kind, with the lateness that would have kept those out of order, however batched."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anomaly_api.evidence import LossEvidence
from anomaly_detector.core.columns import Messages
from anomaly_detector.core.health.losses import LASTING_SECONDS, RECENT_SECONDS, RecentLosses
from anomaly_detector.core.pipeline import DetectionPipeline
from anomaly_detector.core.preprocess.counts import ReadingCounts
from anomaly_detector.core.preprocess.delays import LATENESSES
from anomaly_detector.core.scoring.revisions import LoadedRevision
from tests.stream.pods import PIPELINE, revision


def pipeline(lateness: str = "0s") -> DetectionPipeline:
    asked = PIPELINE.model_copy(update={"time": PIPELINE.time.model_copy(update={"lateness": lateness})})
    return DetectionPipeline("/plant/pumps", LoadedRevision(revision(asked)))


def counted(times: list[float], lateness: str = "0s", size: int = 0) -> ReadingCounts:
    """What becomes of readings of one entity with these event times, in batches of so many."""
    stream, found = pipeline(lateness), ReadingCounts()
    for start in range(0, len(times), size or len(times)):
        part = times[start : start + (size or len(times))]
        values = [json.dumps({"at": at, "temperature": 20.0, "pressure": 3.0}).encode() for at in part]
        stamps, partitions = np.full(len(part), -1), np.zeros(len(part), np.int64)
        found += stream.process(Messages(values, [b"pump-1"] * len(part), stamps, partitions)).tally
    return found


TWO_GATEWAYS = [at for second in range(0, 600, 2) for at in (float(second), second - 1.5)]
"""One of them is 1.5 s behind the other."""


def test_half_of_the_readings_are_late_where_two_gateways_are_apart_and_the_histogram_says_what_helps() -> None:
    found = counted(TWO_GATEWAYS)
    assert (found.late, sum(found.delays.values())) == (300, 300)
    assert {LATENESSES[place] for place in found.delays} == {2.0}
    kept = counted(TWO_GATEWAYS, lateness="2s")
    assert (kept.late, kept.duplicates) == (0, 0)


@given(st.lists(st.integers(0, 30), min_size=1, max_size=60), st.integers(1, 9), st.sampled_from(["0s", "3s", "20s"]))
def test_what_is_counted_does_not_depend_on_batches(times: list[int], size: int, lateness: str) -> None:
    seconds = [float(at) for at in times]
    assert counted(seconds, lateness, size) == counted(seconds, lateness)


@given(st.lists(st.integers(0, 300), min_size=1, max_size=60))
def test_a_lateness_that_all_delays_fit_into_keeps_everything(times: list[int]) -> None:
    seconds = [float(at) for at in dict.fromkeys(times)]
    delays = counted(seconds).delays
    most = LATENESSES[max(delays)] if delays else 0.0
    assert counted(seconds, lateness=f"{round(most * 1000)}ms").late == 0


def test_losses_are_those_of_the_last_minute_and_of_the_last_ten() -> None:
    losses = RecentLosses()
    losses.add(1000.0, 60, ReadingCounts(late=2, delays={0: 2}))
    losses.add(1000.4, 40, ReadingCounts(late=1, duplicates=3, delays={10: 1}))
    first = LossEvidence(readings=100, late=3, duplicates=3, delays={"0.001": 2, "2": 1})
    assert losses.evidence(1001.0, RECENT_SECONDS).model_dump() == first.model_dump()
    losses.skip(1300.0, 7)
    assert losses.evidence(1301.0, RECENT_SECONDS).model_dump() == LossEvidence(skipped=7).model_dump()
    assert losses.evidence(1301.0, LASTING_SECONDS).late == 3
    assert losses.evidence(1700.0, LASTING_SECONDS).model_dump() == LossEvidence(skipped=7).model_dump()


@pytest.mark.parametrize("delay", [1e-6, 0.0011, 1.0, 1.1, 4e8])
def test_a_bucket_is_at_least_as_long_as_what_is_in_it(delay: float) -> None:
    [place] = counted([5e8, 5e8 - delay]).delays
    assert LATENESSES[place] >= delay * 0.999
