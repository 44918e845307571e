"""Confidence sequences: intervals that hold at every look at once, so that looking every second raises no false verdict.

A confidence sequence of level 1 - alpha contains the true value at all times simultaneously with that probability (Howard,
Ramdas, McAuliffe, Sekhon: Time-uniform, nonparametric, nonasymptotic confidence sequences, Annals of Statistics 2021). The
two here invert a mixture of likelihood ratios (Robbins 1970): the likelihood of the data under a value, against its average
over a prior. The average is a martingale relative to the true value, so by Ville's inequality it exceeds 1/alpha times the
true value's likelihood with probability at most alpha, ever. A value stays in the interval while it is not exceeded.
"""

from collections.abc import Callable
from math import e, inf, lgamma, log, sqrt
from typing import Final, NamedTuple

_STEPS: Final = 60
"""Halvings of a bisection: the bounds are exact to about 1e-15 of the range."""


class Interval(NamedTuple):
    """A closed interval of a probability or a rate."""

    low: float
    high: float


def proportion(successes: float, trials: float, alpha: float) -> Interval:
    """Confidence sequence of a probability, by the beta-binomial mixture with a uniform prior.

    `successes` of `trials` independent draws; both may be fractional where dependent draws are counted as fewer. Of 8
    successes in 10 draws the interval at alpha = .05 is wider than the interval of one look (.44, .97), since it holds at
    every look:

    >>> low, high = proportion(8, 10, 0.05)
    >>> round(low, 2), round(high, 2)
    (0.35, 0.99)

    No data says nothing:

    >>> proportion(0, 0, 0.05)
    Interval(low=0.0, high=1.0)
    """
    failures = trials - successes
    mixture = lgamma(successes + 1) + lgamma(failures + 1) - lgamma(trials + 2)

    def excess(value: float) -> float:
        return mixture - _log_power(value, successes) - _log_power(1 - value, failures) - log(1 / alpha)

    if trials <= 0:
        return Interval(0.0, 1.0)
    middle = successes / trials
    return Interval(_crossing(excess, middle, 0.0), _crossing(excess, middle, 1.0))


def rate(events: float, exposure: float, alpha: float, prior: float) -> Interval:
    """Confidence sequence of a Poisson rate, by the gamma mixture with shape 1 and mean `prior`.

    `events` in `exposure`, in the unit in which the rate is wanted; `prior` is the rate around which the sequence is
    narrowest, for example the budget. Three false alerts in ten entity-weeks against a budget of one a week:

    >>> low, high = rate(3, 10, 0.05, prior=1.0)
    >>> round(low, 3), round(high, 2)
    (0.03, 1.11)
    """
    if exposure <= 0:
        return Interval(0.0, inf)
    excess = _rate_excess(events, exposure, alpha, prior)
    middle = events / exposure
    beyond = max(middle, prior)
    while excess(beyond) < 0:
        beyond *= 2
    return Interval(_crossing(excess, middle, 0.0), _crossing(excess, middle, beyond))


def side(events: float, exposure: float, alpha: float, prior: float, value: float) -> int:
    """On which side of `value` the interval of `rate` lies: 1 above it, -1 below it, 0 with it inside. A hundredth of the work.

    >>> side(3, 10, 0.05, 1.0, 0.02), side(3, 10, 0.05, 1.0, 0.04), side(3, 10, 0.05, 1.0, 1.2)
    (1, 0, -1)
    """
    if exposure <= 0 or _rate_excess(events, exposure, alpha, prior)(value) <= 0:
        return 0
    return 1 if value < events / exposure else -1


def _rate_excess(events: float, exposure: float, alpha: float, prior: float) -> Callable[[float], float]:
    """By how much the mixture exceeds the likelihood of a rate, beyond what is allowed: positive outside of the interval."""
    scale = 1 / prior
    mixture = log(scale) + lgamma(1 + events) - (1 + events) * log(scale + exposure)

    def excess(value: float) -> float:
        return mixture - _log_power(value, events) + value * exposure - log(1 / alpha)

    return excess


def ratio(numerator: float, denominator: float, alpha: float) -> Interval:
    """Confidence sequence of the ratio of two Poisson rates over the same exposure.

    Given their sum, the first count is binomial with probability r / (1 + r) (Przyborowski, Wilenski 1940), so the sequence
    of that probability carries over. A candidate with 20 episodes where stable has 10 may still be as good:

    >>> low, high = ratio(20, 10, 0.05)
    >>> round(low, 2), round(high, 1)
    (0.65, 7.2)
    """
    share = proportion(numerator, numerator + denominator, alpha)
    return Interval(share.low / (1 - share.low), inf if share.high >= 1 else share.high / (1 - share.high))


def distance(found: float | None, pairs: float, alpha: float) -> Interval:
    """Confidence sequence of the greatest difference between two distribution functions, from `pairs` draws of each.

    Each empirical distribution function stays within 0.85 sqrt((log log(e n) + 0.8 log(1612 / a)) / n) of the true one at all n
    with probability 1 - a (Howard, Ramdas: Sequential estimation of quantiles, Bernoulli 2022); the two share alpha.

    >>> low, high = distance(0.5, 10_000, 0.05)
    >>> round(low, 2), round(high, 2)
    (0.44, 0.56)
    """
    if found is None or pairs < 1:
        return Interval(0.0, 1.0)
    margin = 2 * 0.85 * sqrt((log(log(e * pairs)) + 0.8 * log(1612 / (alpha / 2))) / pairs)
    return Interval(max(0.0, found - margin), min(1.0, found + margin))


def _log_power(base: float, exponent: float) -> float:
    """Returns the logarithm of base ** exponent, with 0 ** 0 = 1."""
    if exponent == 0:
        return 0.0
    return exponent * log(base) if base > 0 else -inf


def _crossing(excess: Callable[[float], float], inside: float, outside: float) -> float:
    """Returns the value between `inside` (not exceeded) and `outside` at which the mixture begins to exceed the likelihood."""
    if excess(outside) <= 0:
        return outside
    for _ in range(_STEPS):
        middle = (inside + outside) / 2
        if excess(middle) <= 0:
            inside = middle
        else:
            outside = middle
    return outside
