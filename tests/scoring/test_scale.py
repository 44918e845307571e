"""Scores above the threshold say how rare they are, the same for all kinds of model; no decision depends on it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anomaly_api.calibration import ThresholdSource, WindowThreshold
from anomaly_api.policy import Budget, Threshold
from anomaly_api.tails import Tail
from anomaly_api.thresholds import window_threshold
from anomaly_detector.core.scoring import scale
from anomaly_detector.training.calibrate import calibrate

HUNDRED = 100_000


def threshold(value: float = 2.0, shape: float = 0.1, tail: float = 0.5, rarity: float = 8.0) -> WindowThreshold:
    known = Tail(shape=shape, scale=tail, rarity=rarity)
    return WindowThreshold(window="short", value=value, source=ThresholdSource.BUDGET, asked="1/1w", tail=known)


raws = st.lists(st.floats(0, 2.0**100, width=32), min_size=2, max_size=50).map(lambda found: np.array(sorted(found), np.float32))
tails = st.builds(threshold, st.floats(1e-3, 1e3), st.floats(0, 0.5), st.floats(1e-3, 1e3), st.floats(1, 30))


@given(raws, tails)
def test_the_order_of_scores_and_what_is_above_the_threshold_stay(found, asked):
    shown = scale.shown(found, asked)
    assert np.isfinite(shown).all()
    assert (np.diff(shown) >= 0).all()
    plain = found / np.float64(asked.value)
    assert ((shown >= 1) == (plain.astype(np.float32) >= 1)).all()
    assert shown[plain <= 1] == pytest.approx(plain[plain <= 1])


@given(st.floats(0, 8), tails)
def test_the_models_own_score_can_be_had_again(wanted, asked):
    shown = np.array([wanted], np.float32)
    own = scale.raw(shown, asked)
    assert scale.shown(own, asked) == pytest.approx(shown, rel=1e-3)


def test_a_window_without_a_score_stays_without():
    assert np.isnan(scale.shown(np.array([np.nan], np.float32), threshold())).all()


def test_without_a_tail_a_score_is_a_multiple_of_the_threshold():
    asked = WindowThreshold(window="short", value=0.5, source=ThresholdSource.VALUE, asked="0.5")
    assert scale.shown(np.array([0.25, 0.5, 2.0], np.float32), asked).tolist() == [0.5, 1.0, 4.0]


@pytest.mark.parametrize("power", [1, 2, 4])
def test_a_score_of_two_has_about_the_square_of_the_thresholds_probability_whatever_the_unit_of_the_model(power):
    """Independent exponential scores, and powers of them, which other models would have made of the same windows."""
    rare = np.random.default_rng(5).exponential(size=HUNDRED)
    found = calibrate("short", rare**power, np.arange(HUNDRED), np.zeros(HUNDRED), apart=1, max_gap=60.0)
    found = found.model_copy(update={"entity_seconds": 7 * 86400.0})
    asked = window_threshold(Threshold(budget=Budget(episodes=100, per="1w")), found)
    chance = math.log(HUNDRED / 100)
    assert scale.shown(np.array([chance**power], np.float32), asked)[0] == pytest.approx(1, abs=0.1)
    assert scale.shown(np.array([(2 * chance) ** power], np.float32), asked)[0] == pytest.approx(2, abs=0.5)


@pytest.mark.parametrize("asked", [Threshold(quantile=0.99), Threshold(standard_deviations=3), Threshold(budget=Budget())])
@pytest.mark.parametrize("scores", [np.full(200, 3.0), np.zeros(200), np.array([1.0, 2.0]), np.arange(500.0)])
def test_whatever_was_held_out_scores_are_finite_and_grow(asked, scores):
    times = 60.0 * np.arange(len(scores))
    found = window_threshold(asked, calibrate("short", scores, np.zeros(len(scores), np.int64), times, 3, 120.0))
    steps = np.array([0.5, 1.0, 2.0, 10.0, 1e6], np.float32) * np.float32(found.value)
    shown = scale.shown(steps, found)
    assert np.isfinite(shown).all()
    assert (np.diff(shown) > 0).all()
