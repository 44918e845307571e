"""Faults that are put into healthy readings: five kinds at three strengths, drawn by a seed. Pure: numbers in, numbers out.

    spike              one reading of a feature is off
    level shift        a feature is off from one reading on
    drift              a feature goes off, a little more with each reading, until it is off for good
    stuck              a feature stays where it was
    correlation break  a feature does what is normal for it, but not at this time

Strength is in units of the feature's usual spread; for a stuck value it is time, for a broken correlation how much of the other
time's course is mixed in. What is wrong with a machine of many sensors shows in several of them: a fault is in one feature of
three, in two of sixteen, in three of forty.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float32]


class FaultKind(StrEnum):
    """What goes wrong."""

    SPIKE = "Spike"
    LEVEL_SHIFT = "LevelShift"
    DRIFT = "Drift"
    STUCK = "Stuck"
    CORRELATION_BREAK = "CorrelationBreak"


STRENGTHS: Final = ("weak", "medium", "strong")
OFFSETS: Final = (2.0, 4.0, 8.0)
"""Of spikes, level shifts and drifts at each strength, in spreads of the feature."""
_MIXED: Final = (0.5, 0.75, 1.0)
_LASTING: Final = (0.5, 0.75, 1.0)
"""Windows that a stuck value lasts, at most."""
_STAGES: Final = (0.25, 0.5, 1.0)
"""Ages of a fault at which it is looked at, in windows: it is found when one of them is unusual."""
_MOVES: Final = 0.05
"""Spreads that a feature must move by within a window, or nobody could tell that it is stuck."""
_DONORS: Final = 8


@dataclass(frozen=True)
class Fault:
    """A fault that was put in."""

    kind: FaultKind
    strength: int
    """Place in `STRENGTHS`."""
    features: tuple[int, ...]
    """Places of the features that go wrong together."""
    window: int
    """Place of the window that it was put into."""


@dataclass(frozen=True)
class FaultyWindows:
    """Windows with faults, each fault at some ages."""

    faults: list[Fault]
    values: Values
    """[faults * stages, size, features]"""
    places: NDArray[np.int64]
    """[faults * stages] Place of the healthy window that each was made of."""

    def found(self, scores: NDArray[np.float64], threshold: float) -> NDArray[np.bool_]:
        """[faults] Whether one of a fault's windows scores above the threshold."""
        stages = scores.reshape(len(self.faults), -1) if self.faults else np.empty((0, 1))
        found: NDArray[np.bool_] = np.any(stages > threshold, axis=1)
        return found


def altered(
    stretch: NDArray[np.floating],
    kind: FaultKind,
    strength: int,
    spread: float,
    ramp: int,
    donor: NDArray[np.floating],
    sign: int,
) -> NDArray[np.float64]:
    """`stretch` [n], the readings of one feature since the fault began, as it would have been.

    `spread`: usual deviation of the feature. `ramp`: readings until a drift is complete. `donor` [n]: the feature's readings at
    another time. `sign`: 1 or -1.
    """
    values = stretch.astype(np.float64)
    off = sign * OFFSETS[strength] * spread
    match kind:
        case FaultKind.SPIKE:
            values[0] += off
        case FaultKind.LEVEL_SHIFT:
            values += off
        case FaultKind.DRIFT:
            values += off * np.minimum(1.0, (1 + np.arange(len(values))) / ramp)
        case FaultKind.STUCK:
            lasting = max(2, round(_LASTING[strength] * ramp))
            values[:lasting] = values[0]
        case FaultKind.CORRELATION_BREAK:
            values += _MIXED[strength] * (donor - values)
    return values


def put_into_windows(windows: Values, spread: NDArray[np.float64], count: int, seed: int) -> FaultyWindows:
    """Up to `count` faults, all kinds and strengths alike, in windows [n, size, features] that are drawn by `seed`.

    `spread` [features]: usual deviation; features that never move (spread 0) are left alone. Fewer faults come back where a
    kind cannot be put in: a feature that stands still cannot be stuck, and a single feature has no correlation to break.
    """
    random = np.random.default_rng(seed)
    moving = np.flatnonzero(spread > 0)
    if not len(windows) or not len(moving):
        return FaultyWindows([], np.empty((0, *windows.shape[1:]), np.float32), np.empty(0, np.int64))
    size = windows.shape[1]
    ages = sorted({max(1, round(share * size)) for share in _STAGES})
    kinds = [(kind, strength) for strength in range(len(STRENGTHS)) for kind in FaultKind]
    faults, parts, places = list[Fault](), list[Values](), list[int]()
    for number in range(count):
        kind, strength = kinds[number % len(kinds)]
        window, chosen = int(random.integers(len(windows))), _chosen(moving, random)
        donors = windows[random.integers(len(windows), size=_DONORS)]
        signs, healthy = random.choice((-1, 1), size=len(chosen)), windows[window]
        others = [_donor(donors[:, :, feature], healthy[:, feature]) for feature in chosen]
        if not all(
            _possible(kind, healthy[:, feature], other, float(spread[feature]), len(moving))
            for feature, other in zip(chosen, others, strict=True)
        ):
            continue
        for age in ages:
            faulty = healthy.copy()
            for feature, other, sign in zip(chosen, others, signs, strict=True):
                usual = float(spread[feature])
                faulty[-age:, feature] = altered(healthy[-age:, feature], kind, strength, usual, size, other[-age:], int(sign))
            parts.append(faulty)
            places.append(window)
        faults.append(Fault(kind, strength, chosen, window))
    values = np.stack(parts) if parts else np.empty((0, *windows.shape[1:]), np.float32)
    return FaultyWindows(faults, values, np.array(places, np.int64))


def put_into_series(
    values: Values, rows: Sequence[NDArray[np.int64]], spread: NDArray[np.float64], count: int, length: int, seed: int
) -> tuple[Values, NDArray[np.bool_]]:
    """The readings [n, features] with up to `count` faults of `length` readings, and [n] where these are.

    `rows`: places of each entity's readings, in order. Faults of an entity are at least three lengths apart.
    """
    random = np.random.default_rng(seed)
    faulty, marks = values.copy(), np.zeros(len(values), np.bool_)
    moving, roomy = np.flatnonzero(spread > 0), [each for each in rows if len(each) >= 4 * length]
    kinds = [(kind, strength) for strength in range(len(STRENGTHS)) for kind in FaultKind]
    for number in range(count if roomy and len(moving) else 0):
        kind, strength = kinds[number % len(kinds)]
        entity, chosen = roomy[int(random.integers(len(roomy)))], _chosen(moving, random)
        start, other = (int(each) for each in random.integers(length, len(entity) - length, size=2))
        signs = random.choice((-1, 1), size=len(chosen))
        stretch, donor = entity[start : start + length], entity[other : other + length]
        near = entity[max(0, start - 3 * length) : start + 4 * length]
        if marks[near].any() or not all(
            _possible(kind, values[stretch, feature], values[donor, feature], float(spread[feature]), len(moving))
            for feature in chosen
        ):
            continue
        for feature, sign in zip(chosen, signs, strict=True):
            healthy, elsewhere, usual = values[stretch, feature], values[donor, feature], float(spread[feature])
            changed = altered(healthy, kind, strength, usual, length, elsewhere, int(sign))
            faulty[stretch, feature] = changed.astype(np.float32)
        marks[stretch[: 1 if kind is FaultKind.SPIKE else length]] = True
    return faulty, marks


def _chosen(moving: NDArray[np.int64], random: np.random.Generator) -> tuple[int, ...]:
    """Features that go wrong together."""
    count = max(1, round(math.sqrt(len(moving)) / 2))
    return tuple(int(each) for each in random.choice(moving, size=count, replace=False))


def _donor(candidates: NDArray[np.floating], healthy: NDArray[np.floating]) -> NDArray[np.floating]:
    """Of some courses [k, n] of a feature the one that differs most from the healthy one: others may be the same by chance."""
    chosen: NDArray[np.floating] = candidates[np.abs(candidates - healthy).mean(axis=1).argmax()]
    return chosen


def _possible(kind: FaultKind, healthy: NDArray[np.floating], donor: NDArray[np.floating], spread: float, features: int) -> bool:
    if not np.isfinite(healthy).all() or not np.isfinite(donor).all():
        return False
    if kind is FaultKind.STUCK:
        return float(np.std(healthy)) > _MOVES * spread
    if kind is FaultKind.CORRELATION_BREAK:
        return features > 1 and float(np.abs(donor - healthy).mean()) > spread / 2
    return True
