"""Members of `spec.threshold`: what each promises on autocorrelated scores, for one entity and for ten thousand."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anomaly_api.calibration import Calibration, Quantile, RankedPeak, ThresholdSource
from anomaly_api.excursions import REACH, excursions
from anomaly_api.policy import Threshold
from anomaly_api.tails import maximum_likelihood
from anomaly_api.thresholds import window_threshold
from anomaly_detector.training.calibrate import calibrate, peaks
from tests.effort import examples

DAY = 86400.0
APART = 12
LENGTHS = {1: (30_000, 300.0), 100: (1_000, 900.0), 10_000: (48, 3600.0)}
"""By number of entities: windows of each that are held out, and seconds between two."""


def fleet(entities: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores, entities, times: windows that follow each other share most of their readings."""
    random = np.random.default_rng(seed)
    windows, step = LENGTHS[entities]
    readings = random.exponential(size=(entities, windows + APART)) ** 1.3
    shared = np.cumsum(readings, axis=1)
    scores = (shared[:, APART:] - shared[:, :-APART]) / APART
    return scores.ravel(), np.repeat(np.arange(entities), windows), np.tile(np.arange(windows) * step, entities)


@cache
def held_out(entities: int) -> Calibration:
    return calibrate("short", *fleet(entities, 1), apart=APART, max_gap=DAY)


@cache
def afterwards(entities: int) -> tuple[np.ndarray, float]:
    """Peaks of the excursions of another time, and its entity-days."""
    scores, owners, times = fleet(entities, 2)
    return peaks(scores, owners, APART), entities * (times.max() / DAY)


def realised(asked: Threshold, entities: int) -> float:
    """Excursions of another time above the threshold, an entity-day."""
    found, days = afterwards(entities)
    return float((found > window_threshold(asked, held_out(entities)).value).sum()) / days


@pytest.mark.parametrize("entities", LENGTHS)
def test_what_is_realised_on_autocorrelated_scores_is_near_what_was_asked(entities):
    calibrated = held_out(entities)
    windows_a_day = calibrated.windows / (calibrated.entity_seconds / DAY)
    excursions_a_day = excursions(calibrated) / (calibrated.entity_seconds / DAY)
    per_entity = {
        "budget of an entity": (Threshold.model_validate({"budget": {"episodes": 1, "per": "4d"}}), 0.25),
        "budget of the fleet": (
            Threshold.model_validate({"budget": {"episodes": max(1, entities // 4), "per": "1d", "of": "Fleet"}}),
            max(1, entities // 4) / entities,
        ),
        "risk": (Threshold.model_validate({"peaksOverThreshold": {"risk": 0.001}}), 0.001 * windows_a_day),
        "significance": (Threshold.model_validate({"conformal": {"significance": 0.02}}), 0.02 * excursions_a_day),
    }
    ratios = {name: realised(asked, entities) / wanted for name, (asked, wanted) in per_entity.items()}
    assert all(0.2 <= ratio <= 2 for ratio in ratios.values()), ratios
    expected = {name: window_threshold(asked, calibrated) for name, (asked, _) in per_entity.items()}
    for name, found in expected.items():
        assert found.expected_episodes is not None, name
        period = 7.0 if found.source is not ThresholdSource.BUDGET else 4.0 if found.entities is None else 1.0
        told = found.expected_episodes / (found.entities or 1) / period
        assert 0.4 <= told / per_entity[name][1] <= 2.5, name


def test_the_members_that_count_windows_let_fewer_episodes_through_than_windows():
    """A quantile of .999 is one window in a thousand; they come in runs, so the episodes are fewer."""
    assert realised(Threshold(quantile=0.999), 100) < 0.001 * DAY / LENGTHS[100][1]


def small(count: int, highest: float = 10.0) -> Calibration:
    found = [highest * (1 - place / (2 * count)) for place in range(count)]
    points = [Quantile(level=0.0, score=0.0), Quantile(level=0.98, score=found[-1] / 2), Quantile(level=1.0, score=highest)]
    return Calibration(
        window="short",
        windows=20 * count,
        entity_seconds=3600.0,
        mean=0.5,
        standard_deviation=0.2,
        maximum=highest,
        quantiles=points,
        entities=4,
        peaks=found[:256],
        further_peaks=[RankedPeak(rank=count, score=found[-1])] if count > 256 else None,
    )


def test_a_conformal_threshold_is_the_excursion_of_the_rank_that_its_example_names():
    found = small(999)
    assert window_threshold(Threshold.model_validate({"conformal": {"significance": 0.01}}), found).value == found.peaks[9]


@pytest.mark.parametrize(
    ("asked", "supported"),
    [
        ({"conformal": {"significance": 0.001}}, "0.02"),
        ({"peaksOverThreshold": {"risk": 1e-6}}, "0.000102"),
        ({"quantile": 0.9999}, "0.99898"),
        ({"budget": {"episodes": 1, "per": "1w"}}, "16.8/1w"),
        ({"budget": {"episodes": 1, "per": "1w", "of": "Fleet"}}, "67.2/1w"),
    ],
)
def test_a_young_detector_says_what_its_history_supports_and_is_not_deaf(asked, supported):
    found = window_threshold(Threshold.model_validate({**asked}), small(49))
    assert found.supported == supported
    assert found.value <= 3 * small(49).maximum
    assert found.exposure_seconds == 3600.0


def test_a_budget_of_the_fleet_is_shared_by_the_entities_in_use():
    asked = Threshold.model_validate({"budget": {"episodes": 5, "per": "1d", "of": "Fleet"}})
    few, many = window_threshold(asked, held_out(100), 100), window_threshold(asked, held_out(100), 400)
    assert (few.entities, many.entities, few.asked) == (100, 400, "5/1d of the fleet")
    assert many.value > few.value
    one = Threshold.model_validate({"budget": {"episodes": 5, "per": "100d"}})
    assert few.value == pytest.approx(window_threshold(one, held_out(100)).value)


@given(st.floats(1e-6, 0.09), st.floats(1e-6, 0.09))
@examples(25)
def test_less_risk_never_lowers_the_threshold(one, other):
    low, high = sorted((one, other))
    for member in ("peaksOverThreshold", "conformal"):
        field = "risk" if member == "peaksOverThreshold" else "significance"
        values = [window_threshold(Threshold.model_validate({member: {field: each}}), small(300)).value for each in (low, high)]
        assert values[0] >= values[1] * (1 - 1e-9)


@pytest.mark.parametrize(("shape", "within"), [(-0.1, 0.12), (0.0, 0.1), (0.2, 0.15), (0.4, 0.15)])
def test_the_likelihood_finds_the_tail_that_peaks_were_drawn_from(shape, within):
    random = np.random.default_rng(3)
    uniform = random.uniform(size=(8, 400))
    drawn = -np.log(uniform) if shape == 0 else (uniform**-shape - 1) / shape
    found = np.array([maximum_likelihood(tuple(sorted(each.tolist()))) for each in 3 * drawn])
    assert abs(found[:, 0].mean() - shape) < within
    assert found[:, 1].mean() == pytest.approx(3, rel=0.15)


def test_the_support_of_a_risk_is_ten_times_the_windows_held_out():
    found = window_threshold(Threshold.model_validate({"peaksOverThreshold": {"risk": 1e-9}}), small(100))
    assert float(found.supported or 0) == pytest.approx(1 / (REACH * 2000))
