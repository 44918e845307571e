"""Thresholds from held-out scores: the laws they keep whatever the scores are, and how near they come to what is asked."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anomaly_api.calibration import MAX_PEAKS, Calibration, Quantile, ThresholdSource
from anomaly_api.excursions import REACH
from anomaly_api.policy import Budget, Threshold
from anomaly_api.thresholds import window_threshold
from anomaly_detector.training.calibrate import calibrate, peaks

WEEK = 7 * 86400.0
LAX, STRICT = (1000, 500, 100, 20, 5, 2, 1), ("1d", "2d", "1w", "4w", "52w")
scores = st.lists(st.floats(1e-3, 1e3), min_size=30, max_size=300).map(lambda found: np.array(found))


def calibration(found: list[float], entity_seconds: float = WEEK, windows: int = 10_000) -> Calibration:
    """What `found`, falling, as the peaks of otherwise quiet scores would be."""
    return Calibration(
        window="short",
        windows=windows,
        entity_seconds=entity_seconds,
        mean=0.1,
        standard_deviation=0.1,
        maximum=found[0],
        quantiles=[Quantile(level=0.0, score=0.05), Quantile(level=0.9, score=0.2), Quantile(level=1.0, score=found[0])],
        peaks=found,
    )


def of_scores(found: np.ndarray) -> Calibration:
    entities = np.zeros(len(found), np.int64)
    return calibrate("short", found, entities, 10.0 * np.arange(len(found)), apart=3, max_gap=60.0)


def budget(episodes: int, per: str, found: Calibration) -> float:
    return window_threshold(Threshold(budget=Budget(episodes=episodes, per=per)), found).value


@given(scores)
def test_more_tolerance_never_raises_the_threshold(found):
    calibrated = of_scores(found)
    values = [budget(episodes, "1w", calibrated) for episodes in LAX]
    assert values == sorted(values)
    values = [budget(1, per, calibrated) for per in STRICT]
    assert values == sorted(values)


@given(scores, st.lists(st.floats(0.5001, 0.99999), min_size=2, max_size=10))
def test_a_higher_quantile_never_lowers_the_threshold(found, levels):
    calibrated = of_scores(found)
    values = [window_threshold(Threshold(quantile=level), calibrated).value for level in sorted(levels)]
    assert values == sorted(values)


@given(scores, st.integers(-20, 20), st.sampled_from(STRICT))
def test_scores_in_another_unit_give_the_threshold_in_that_unit(found, exponent, per):
    factor = 2.0**exponent
    asked = [
        Threshold(budget=Budget(episodes=1, per=per)),
        Threshold(quantile=0.99),
        Threshold(standard_deviations=3),
    ]
    one, other = of_scores(found), of_scores(found * factor)
    for threshold in asked:
        assert window_threshold(threshold, other).value == pytest.approx(
            window_threshold(threshold, one).value * factor, rel=1e-6
        )


@given(scores, st.sampled_from(STRICT), st.integers(1, 10_000))
def test_a_threshold_is_always_a_positive_number(found, per, episodes):
    assert 0 < budget(episodes, per, of_scores(found)) < math.inf


@given(st.floats(1e-3, 1e3), st.sampled_from(STRICT))
def test_scores_that_never_change_give_a_threshold_that_they_do_not_exceed(score, per):
    assert budget(1, per, of_scores(np.full(200, score))) >= score


@pytest.mark.parametrize("shape", [0.1, 0.2, 0.3])
def test_the_false_alerts_of_stationary_scores_stay_near_the_budget(shape):
    """One tolerated in four times as much data as was seen: in half of many draws about that or less, and rarely far more."""
    random = np.random.default_rng(7)
    realised = []
    for _ in range(200):
        drawn = (random.uniform(size=MAX_PEAKS) ** -shape - 1) / shape
        level = budget(1, "4w", calibration(sorted((5 + drawn).tolist(), reverse=True)))
        realised.append(4 * MAX_PEAKS * (1 + shape * (level - 5)) ** (-1 / shape))
    assert 0.1 < np.median(realised) < 1.25
    assert np.mean(np.array(realised) < 3) > 0.85


def test_a_few_anomalies_in_the_history_do_not_raise_the_threshold_to_their_height():
    clean = sorted((5 + np.random.default_rng(3).exponential(size=MAX_PEAKS)).tolist(), reverse=True)
    dirty = [400.0, 300.0, *clean[:-2]]
    assert budget(1, "1w", calibration(dirty)) < 3 * budget(1, "1w", calibration(clean))


@given(scores, st.floats(1, 100))
def test_a_margin_raises_the_threshold_of_a_budget_by_its_factor(found, margin):
    calibrated = of_scores(found)
    asked = Threshold(budget=Budget(episodes=1, per="1w", margin=margin))
    assert window_threshold(asked, calibrated).value == pytest.approx(margin * budget(1, "1w", calibrated))


def test_one_excursion_is_left_behind_with_a_margin():
    assert budget(1, "1w", calibration([3.0])) == 6.0


def test_a_budget_that_tolerates_everything_seen_comes_down_to_what_is_usual():
    found = [float(score) for score in range(100, 0, -1)]
    assert budget(10_000, "1d", calibration(found)) == 1.0


@pytest.mark.parametrize(
    ("asked", "value", "source", "said"),
    [
        (Threshold(value=0.5), 0.5, ThresholdSource.VALUE, "0.5"),
        (Threshold(standard_deviations=3), 0.4, ThresholdSource.STANDARD_DEVIATIONS, "3"),
        (Threshold(quantile=0.95), 5.1, ThresholdSource.QUANTILE, "0.95"),
    ],
)
def test_what_is_asked_directly_is_done_and_written_down(asked, value, source, said):
    found = window_threshold(asked, calibration([10.0, 9.0]))
    assert (found.value, found.source, found.asked) == (pytest.approx(value), source, said)


def test_peaks_are_those_of_separate_excursions_of_each_entity():
    found = np.array([1.0, 9.0, 8.0, 1.0, 1.0, 5.0, 7.0, 6.0])
    entities = np.array([0, 0, 0, 0, 0, 0, 1, 1])
    assert peaks(found, entities, apart=3).tolist() == [9.0, 7.0, 5.0]


def naive_peaks(found: np.ndarray, entities: np.ndarray, apart: int) -> list[float]:
    """Takes the highest, and those near it away, again and again."""
    left = list(np.argsort(-found, kind="stable"))
    taken = []
    while left:
        highest = left[0]
        taken.append(float(found[highest]))
        left = [each for each in left if abs(each - highest) >= apart or entities[each] != entities[highest]]
    return taken


@given(st.lists(st.integers(0, 20), min_size=1, max_size=120), st.integers(1, 9), st.integers(1, 3))
def test_peaks_are_those_that_taking_the_highest_again_and_again_finds(found, apart, entities):
    heights = np.array(found, float)
    owners = np.sort(np.arange(len(heights)) % entities)
    assert peaks(heights, owners, apart).tolist() == naive_peaks(heights, owners, apart)


@pytest.mark.parametrize("entities", [100, 10_000])
def test_the_budget_of_a_large_fleet_is_met(entities):
    """1.4 days held out, one false episode a week asked for: as many of the excursions are above the threshold."""
    random = np.random.default_rng(5)
    per_entity = 40
    found = np.sort(5 + random.exponential(size=entities * per_entity))[::-1]
    owners = np.repeat(np.arange(entities), per_entity)
    times = np.tile(np.arange(per_entity) * 1.4 * 86400 / (per_entity - 1), entities)
    shuffled = random.permutation(found)
    calibrated = calibrate("short", shuffled, owners, times, apart=1, max_gap=86400.0)
    tolerated = entities * 1.4 / 7
    assert 0.7 < (shuffled > budget(1, "1w", calibrated)).sum() / tolerated < 1.05


def test_bursts_of_one_window_each_have_no_exposure_and_still_a_threshold():
    found = calibrate("short", np.arange(1.0, 40.0), np.arange(39), 1e6 * np.arange(39.0), apart=3, max_gap=60.0)
    assert found.entity_seconds == 0
    decided = window_threshold(Threshold(budget=Budget(episodes=1, per="1w")), found)
    assert 39 < decided.value < 39 * 3
    assert (decided.asked_episodes, decided.expected_episodes, decided.exposure_seconds) == (1.0, None, 0.0)


@pytest.mark.parametrize("hours", [0.2, 1, 8])
def test_a_young_detector_is_not_deaf_and_says_what_is_to_be_expected(hours):
    """A week cannot be known from an hour: the level is no further than ten times the entity-time seen supports."""
    found = sorted((5 + np.random.default_rng(3).exponential(size=200)).tolist(), reverse=True)
    decided = window_threshold(Threshold(budget=Budget(episodes=1, per="1w")), calibration(found, hours * 3600))
    assert decided.value < 2 * found[0]
    assert decided.expected_episodes == pytest.approx(168 / (REACH * hours), rel=0.01)
    assert (decided.asked_episodes, decided.exposure_seconds) == (1.0, hours * 3600)


def test_with_enough_exposure_what_was_asked_for_is_expected():
    found = sorted((5 + np.random.default_rng(3).exponential(size=200)).tolist(), reverse=True)
    decided = window_threshold(Threshold(budget=Budget(episodes=2, per="1w")), calibration(found, WEEK))
    assert decided.expected_episodes == 2.0


def test_only_time_without_gaps_counts_as_covered():
    times = np.array([0.0, 10.0, 20.0, 500.0, 510.0, 0.0, 10.0])
    entities = np.array([0, 0, 0, 0, 0, 1, 1])
    assert calibrate("short", np.ones(7), entities, times, apart=2, max_gap=60.0).entity_seconds == 40.0


@given(scores, st.randoms())
def test_a_calibration_does_not_depend_on_the_order_of_the_windows(found, shuffle):
    order = list(range(len(found)))
    shuffle.shuffle(order)
    entities, times = np.arange(len(found)) % 3, 10.0 * np.arange(len(found))
    one = calibrate("short", found, entities, times, 3, 60.0)
    other = calibrate("short", found[order], entities[order], times[order], 3, 60.0)
    assert (one.peaks, one.entity_seconds) == (other.peaks, pytest.approx(other.entity_seconds))
    assert one.mean == pytest.approx(other.mean)
