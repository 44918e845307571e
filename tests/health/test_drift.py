"""Drift as pods count it: noise, cycles and seasons are none, a shift is one, and what is kept has a bound."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anomaly_api.drift import DriftEvidence, DriftMeasure, kolmogorov_smirnov, psi
from anomaly_detector.core.columns import MICROSECONDS
from anomaly_detector.core.health.drift import MOST_AT_ONCE, DriftCounter
from anomaly_detector.training.reference import binned, drift_reference, edges_of
from anomaly_operator.core.drift import limit
from tests.effort import examples

DAY, HOUR = 86_400, 3600
START = 20_600 * DAY
MACHINES = 4


def readings(hours: int, seed: int, *, begin: int = 0, shape: str = "still", shift: float = 0.0):
    """Times [n] and values [n, 1] of a few machines, a reading a minute, hour by hour as a stream has them."""
    random = np.random.default_rng(seed)
    times = START + begin * HOUR + np.repeat(np.arange(hours * 60) * 60, MACHINES)
    values = random.standard_normal(len(times))
    if shape == "wandering":  # what it is now, it will be for hours: a quarter of an hour apart or a minute, no other reading
        steps = random.standard_normal((hours // 4 + 1, MACHINES)).repeat(240, axis=0)[: hours * 60]
        values = steps.reshape(-1) + 0.1 * values
    if shape == "daily":
        values = 0.3 * values + 2 * np.sin(2 * np.pi * times / DAY)
    if shape == "shifts":  # at work from eight to six
        values = 0.3 * values + 3 * ((times // HOUR % 24 >= 8) & (times // HOUR % 24 < 18))
    return (times * MICROSECONDS).astype(np.int64), (values + shift).astype(np.float32)[:, None]


def counted(
    train: int, seen: int, *, over: float = DAY, seed: int = 0, shape: str = "still", shift: float = 0.0
) -> DriftEvidence:
    """`seen` hours after a training of `train` hours."""
    times, values = readings(train, seed, shape=shape)
    counter = DriftCounter("sha256:1", drift_reference(times, values, ["flow"], []), DAY, ["flow"])
    times, values = readings(seen, seed + 1000, begin=train, shape=shape, shift=shift)
    for part in range(0, len(times), 400):
        counter.readings(times[part : part + 400], values[part : part + 400])
    return counter.evidence()


def drifted(evidence: DriftEvidence, measure: DriftMeasure = DriftMeasure.PSI) -> bool:
    [bins] = evidence.features
    if measure is DriftMeasure.PSI:
        return psi(bins.observed, bins.expected) > limit(bins.psi_noise, 0.2, measure)
    return kolmogorov_smirnov(bins.observed, bins.expected) > limit(bins.ks_noise, 0.2, measure)


@pytest.mark.parametrize("measure", DriftMeasure)
@pytest.mark.parametrize("seen", [12, 24])
@pytest.mark.parametrize("shape", ["still", "wandering", "daily", "shifts"])
def test_noise_a_daily_cycle_and_a_season_by_the_hour_are_no_drift(shape, seen, measure):
    assert not any(drifted(counted(72, seen, seed=seed, shape=shape), measure) for seed in range(5))


@pytest.mark.parametrize("measure", DriftMeasure)
@pytest.mark.parametrize("shape", ["still", "daily", "shifts"])
def test_a_shift_is_drift_at_any_hour(shape, measure):
    assert all(drifted(counted(72, seen, shape=shape, shift=1.0), measure) for seen in (12, 24))


def test_hours_that_the_training_has_not_seen_are_compared_with_nothing():
    evidence = counted(5, 24, shape="daily")
    assert evidence.features[0].covered == 5 * HOUR
    assert evidence.unknown > 0
    assert not drifted(evidence)


def test_a_constant_feature_that_moves_has_drifted_and_one_that_rests_has_not():
    times, values = readings(48, 1)
    reference = drift_reference(times, np.full_like(values, 5.0), ["flow"], [])
    for value, expected in ((5.0, False), (5.1, True), (4.9, True)):
        counter = DriftCounter("m", reference, DAY, ["flow"])
        counter.readings(times, np.full_like(values, value))
        assert drifted(counter.evidence()) is expected


def test_scores_are_compared_as_the_model_computes_them():
    times, values = readings(48, 1)
    scores = np.exp(values[:, 0].astype(np.float64))
    counter = DriftCounter("m", drift_reference(times, values, ["flow"], [("short", times, scores)]), DAY, ["flow"])
    counter.scores("short", times, (3 * scores).astype(np.float32))
    counter.scores("of another revision", times, scores.astype(np.float32))
    [bins] = counter.evidence().scores
    assert psi(bins.observed, bins.expected) > 0.5


def test_edges_are_finite_whatever_the_scores_are():
    wild = np.array([-1e300, -3.4e38, 0.0, 1e300] * 10)
    assert np.isfinite(edges_of(wild)).all()


def test_a_feature_that_the_training_never_saw_is_compared_with_nothing():
    times, values = readings(48, 1)
    both = np.concatenate([np.full_like(values, np.nan), values], axis=1)
    reference = drift_reference(times, both, ["new", "flow"], [])
    assert [bins.name for bins in reference.features] == ["flow"]
    counter = DriftCounter("m", reference, DAY, ["new", "flow"])
    counter.readings(times, np.concatenate([values + 9, values], axis=1))
    assert not drifted(counter.evidence())


def test_what_is_no_number_is_left_out():
    times, values = readings(48, 1)
    counter = DriftCounter("m", drift_reference(times, values, ["flow"], []), DAY, ["flow"])
    counter.readings(times, np.full_like(values, np.nan))
    assert sum(counter.evidence().features[0].observed) == 0
    assert binned("flow", times, np.full(len(times), np.nan)) is None


def test_what_is_older_than_asked_for_is_dropped_and_memory_has_a_bound():
    times, values = readings(48, 1)
    counter = DriftCounter("m", drift_reference(times, values, ["flow"], []), 6 * HOUR, ["flow"])
    counter.readings(*readings(6, 2, shift=5.0))
    later = readings(6, 3, begin=6)
    counter.readings(*later)
    counter.readings(*readings(1, 4, begin=0))  # late ones
    assert counter.evidence().features[0].covered == 6 * HOUR
    assert not drifted(counter.evidence())
    assert len(counter._buckets) <= 24


def test_the_cost_of_a_large_batch_has_a_bound():
    times, values = readings(48, 1)
    counter = DriftCounter("m", drift_reference(times, values, ["flow"], []), DAY, ["flow"])
    counter.readings(times, values)
    assert sum(counter.evidence().features[0].observed) < 2 * MOST_AT_ONCE


@given(cuts=st.lists(st.integers(1, 99), max_size=5), seed=st.integers(0, 5))
@examples(20)
def test_small_batches_are_counted_whole_however_the_stream_is_cut(cuts, seed):
    times, values = readings(2, seed)
    reference = drift_reference(*readings(48, 1), ["flow"], [])
    whole, parts = DriftCounter("m", reference, DAY, ["flow"]), DriftCounter("m", reference, DAY, ["flow"])
    whole.readings(times, values)
    for begin, end in zip([0, *sorted(cuts)], [*sorted(cuts), len(times)], strict=True):
        parts.readings(times[begin:end], values[begin:end])
    assert parts.evidence() == whole.evidence()


@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=10, max_size=50))
@examples(50)
def test_edges_rise_and_every_value_has_a_bin_that_its_reference_knows(values):
    found = edges_of(np.array(values, np.float64))
    assert (np.diff(found) > 0).all()
    times = np.arange(len(values), dtype=np.int64) * MICROSECONDS
    bins = binned("flow", times, np.array(values, np.float64))
    assert bins is not None
    assert abs(sum(bins.hours[0]) - 10_000) <= len(bins.hours[0])


def test_the_measures_are_zero_of_equals_and_grow_with_the_distance():
    assert psi([1, 2, 3], [10, 20, 30]) == kolmogorov_smirnov([1, 2, 3], [10, 20, 30]) == 0
    for measure in (psi, kolmogorov_smirnov):
        assert measure([0, 0, 10], [10, 10, 10]) > measure([5, 10, 15], [10, 10, 10]) > 0
        assert measure([0, 0], [1, 1]) == 0
