"""Looking all the time raises no false verdict, and a bad candidate is caught: simulated, against the stated error rate."""

import doctest
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anomaly_operator.core.rollout import sequential
from anomaly_operator.core.rollout.sequential import proportion, rate, ratio

ROLLOUTS = 10_000
ALPHA = 0.05


def first_exclusions(trials: int, probability: float, bound: float, seed: int, alpha: float = ALPHA) -> np.ndarray:
    """Returns for each of ROLLOUTS rollouts, looked at after every draw, the draw after which `bound` lies below the interval.

    The interval's lower end is above `bound` just when the mixture exceeds the likelihood of `bound` by 1 / ALPHA and the
    share of successes is above it: the same condition as `proportion` solves, without solving it. `trials + 1` where it
    never does.
    """
    draws = np.random.default_rng(seed).random((ROLLOUTS, trials)) < probability
    successes = np.cumsum(draws, axis=1)
    count = np.arange(1, trials + 1)
    factorials = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, trials + 2)))])
    mixture = factorials[successes] + factorials[count - successes] - factorials[count + 1]
    likelihood = successes * np.log(bound) + (count - successes) * np.log1p(-bound)
    excluded = (mixture - likelihood > np.log(1 / alpha)) & (successes / count > bound)
    return np.where(excluded.any(axis=1), excluded.argmax(axis=1) + 1, trials + 1)


def test_a_good_candidate_is_aborted_no_more_often_than_stated_however_often_one_looks() -> None:
    assert np.mean(first_exclusions(1_000, probability=0.6, bound=0.6, seed=1) <= 1_000) <= ALPHA


def test_a_candidate_with_three_times_the_alerts_is_caught_within_the_stated_number_of_episodes() -> None:
    """A ratio of 3 against a bound of 1.5 is a share of .75 against .6: 190 episodes of both together catch 9 of 10."""
    assert np.quantile(first_exclusions(1_000, probability=0.75, bound=0.6, seed=2), 0.9) <= 190


@pytest.mark.parametrize(("times", "most"), [(2, 1450), (3, 255), (5, 95)])
def test_a_bad_candidate_is_caught_within_the_episodes_that_the_docs_state(times: int, most: int) -> None:
    """Two measures share an error rate of .01: nine of ten rollouts are ended after so many episodes of both together."""
    caught = first_exclusions(most, probability=times / (1 + times), bound=0.6, seed=3, alpha=0.005)
    assert np.mean(caught <= most) >= 0.9


def test_worked_examples() -> None:
    assert doctest.testmod(sequential).failed == 0


@given(st.integers(0, 500), st.integers(0, 500))
def test_an_interval_holds_its_estimate(successes: int, failures: int) -> None:
    low, high = proportion(successes, successes + failures, ALPHA)
    if successes + failures:
        assert low <= successes / (successes + failures) <= high
    assert 0 <= low <= high <= 1


@given(st.integers(0, 200), st.floats(0.01, 1e6), st.floats(1e-3, 1e3))
def test_the_interval_of_a_rate_holds_its_estimate(events: int, exposure: float, prior: float) -> None:
    low, high = rate(events, exposure, ALPHA, prior)
    assert low <= events / exposure <= high


@pytest.mark.parametrize("interval", [lambda n: proportion(3 * n, 4 * n, ALPHA), lambda n: rate(n, n, ALPHA, 1.0)])
def test_an_interval_narrows_as_data_comes(interval) -> None:
    widths = [high - low for low, high in map(interval, (1, 10, 100, 1000))]
    assert all(wider > narrower for wider, narrower in pairwise(widths))


def test_a_ratio_is_unbounded_while_stable_has_no_episodes() -> None:
    low, high = ratio(5, 0, ALPHA)
    assert 0 < low < 5
    assert high == float("inf")
