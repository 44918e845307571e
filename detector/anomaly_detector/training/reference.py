"""The drift reference of a model: how features and scores were distributed, hour by hour, and how far that varies by itself.

How far, is found from the training data: stretches of the same hours on two days in a row, or, of less than two days, stretches
that follow each other. Readings of an hour are alike, so counting readings would believe far too much (autocorrelation).

    two days    |  1 h  |  ..  |  1 h  |      psi / 2 of each pair is the share of one stretch; the mean, or of few pairs the most
                   `--- same hour --'
"""

from collections.abc import Iterable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from anomaly_api.drift import HOURS, PARTS, DriftReference, NoiseLevel, ReferenceBins, kolmogorov_smirnov, psi
from anomaly_detector.core.columns import MICROSECONDS

BINS: Final = 10
_HOUR: Final = 3600
_LARGEST: Final = 3e38
"""What is beyond it is in the last bin: edges are float32, and a manifest is JSON, which has finite numbers only."""
_STRETCHES: Final = 12
"""In how many a training of some hours is divided."""
_SHORTEST: Final = 60
_LENGTHS: Final = (1, 4, 12, 24)
"""Hours of a stretch."""
_FEWEST: Final = 20
"""Values in a stretch, below which it says nothing."""
_ENOUGH: Final = 10
"""Pairs, below which the most that any differs by counts."""
_CAUTION: Final = 2.0
"""Times the noise of less than two days: what wanders slower than a quarter of them cannot be seen in them."""
_POOL: Final = 0.02
"""Weight of all hours together in the shares of one: an hour has fewer values."""


def drift_reference(
    times: NDArray[np.int64],
    values: NDArray[np.float32],
    names: Iterable[str],
    scores: Iterable[tuple[str, NDArray[np.int64], NDArray[np.float64]]],
) -> DriftReference:
    """The reference of readings `values` [n, features] at `times` [n], microseconds, and of held-out scores by window."""
    features = [binned(name, times, values[:, place].astype(np.float64)) for place, name in enumerate(names)]
    return DriftReference(
        features=[each for each in features if each is not None],
        scores=[found for name, at, values in scores if (found := binned(name, at, values)) is not None],
    )


def binned(name: str, times: NDArray[np.int64], values: NDArray[np.float64]) -> ReferenceBins | None:
    """The bins of one feature or score; None where there is no value to speak of."""
    known = np.isfinite(values)
    times, values = times[known] // MICROSECONDS, values[known]
    if len(values) < BINS:
        return None
    edges = edges_of(values)
    codes = np.searchsorted(edges, values.astype(np.float32))
    count = len(edges) + 1
    hours = times // _HOUR % HOURS
    counts = np.bincount(hours * count + codes, minlength=HOURS * count).reshape(HOURS, count)
    span = float(np.unique(times // _SHORTEST).size * _SHORTEST)
    return ReferenceBins(
        name=name,
        edges=edges.astype(float).tolist(),
        hours=_shares(counts),
        noise=_noise(times, codes, count),
        span=span,
    )


def edges_of(values: NDArray[np.float64]) -> NDArray[np.float32]:
    """Inner edges, rising: tenths of the values, and below the least one where many values are equal to it."""
    values = np.clip(values, -_LARGEST, _LARGEST)
    found = np.unique(np.quantile(values, np.linspace(0, 1, BINS + 1)[1:-1], method="lower").astype(np.float32))
    least = np.float32(values.min())
    if found[0] == least:  # else what falls below a floor where values rest would go unseen
        found = np.concatenate([[np.nextafter(least, np.float32(-np.inf))], found])
    return found.astype(np.float32)


def _shares(counts: NDArray[np.int64]) -> list[list[int]]:
    """[hours, bins] In parts of ten thousand."""
    pool = counts.sum(axis=0) / counts.sum()
    found: list[list[int]] = []
    for here in counts:
        if not here.sum():
            found.append([])
            continue
        share = (1 - _POOL) * here / here.sum() + _POOL * pool
        found.append([round(each) for each in (share * PARTS).tolist()])
    return found


def _noise(times: NDArray[np.int64], codes: NDArray[np.int64], bins: int) -> list[NoiseLevel]:
    """For stretches of several lengths, how far two of them differ."""
    first, last = int(times.min()), int(times.max())
    spanned = last - first
    if spanned >= 2 * HOURS * _HOUR * 0.9:
        found = [
            _level(length * _HOUR, _pairs(_stretches(times, codes, bins, length * _HOUR), HOURS // length)) for length in _LENGTHS
        ]
    else:
        lengths = (max(_SHORTEST, min(_HOUR, spanned // _STRETCHES)), max(_SHORTEST, spanned // 4))
        found = [_level(length, _pairs(_stretches(times - first, codes, bins, length), 1), _CAUTION) for length in lengths]
    known = [level for level in found if level is not None]
    chance = (bins - 1) / len(codes)
    return known or [NoiseLevel(seconds=max(1.0, float(spanned)), psi=chance, ks=chance**0.5)]


def _stretches(times: NDArray[np.int64], codes: NDArray[np.int64], bins: int, length: int) -> dict[int, NDArray[np.int64]]:
    """[bins] counts by number of the stretch."""
    numbers, place = np.unique(times // length, return_inverse=True)
    counts = np.bincount(place * bins + codes, minlength=len(numbers) * bins).reshape(len(numbers), bins)
    return dict(zip(numbers.tolist(), counts, strict=True))


def _pairs(counts: dict[int, NDArray[np.int64]], apart: int) -> list[tuple[list[int], list[int]]]:
    """Stretches that are so many apart."""
    both = ((here, counts.get(number + apart)) for number, here in counts.items())
    return [(a.tolist(), b.tolist()) for a, b in both if b is not None and min(a.sum(), b.sum()) >= _FEWEST]


def _level(length: int, pairs: list[tuple[list[int], list[int]]], caution: float = 1.0) -> NoiseLevel | None:
    if not pairs:
        return None
    by_psi = [psi(*pair) / 2 for pair in pairs]
    by_ks = [kolmogorov_smirnov(*pair) / 2**0.5 for pair in pairs]
    summed = max if len(pairs) < _ENOUGH else _mean
    return NoiseLevel(seconds=float(length), psi=round(caution * summed(by_psi), 6), ks=round(caution**0.5 * summed(by_ks), 6))


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)
