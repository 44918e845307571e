"""Drift: what a user asks for, the reference in a model, what pods count, and the measures. Nothing here counts or decides.

A reference knows how values were distributed at each hour of the day; what pods count is laid beside what the same hours of the
reference would have given. So a daily cycle is no drift, and counts of pods add up without the reference.
"""

import math
from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field

from anomaly_api.schema import Contract, Duration, seconds

HOURS: Final = 24
PARTS: Final = 10_000
"""Shares in a reference are whole parts of so many."""
_LEAST: Final = 1e-3
"""A share that is smaller counts as this one: the logarithm of an empty bin would be infinite."""
LONGEST: Final = 30 * 86_400.0
"""Seconds that are counted at most."""


class DriftMeasure(StrEnum):
    """How two distributions are compared.

    Psi: population stability index, the sum over bins of (observed - expected) * ln(observed / expected) (Siddiqi 2006); 0.1 is
    little, 0.25 is much. KolmogorovSmirnov: the largest distance between the two cumulative distributions, 0 to 1.
    """

    PSI = "Psi"
    KOLMOGOROV_SMIRNOV = "KolmogorovSmirnov"


class DriftAction(StrEnum):
    """What follows from drift.

    Alert: the condition DriftDetected, an Event and the metrics say so. Retrain: a training is asked for as well.
    """

    ALERT = "Alert"
    RETRAIN = "Retrain"


class Drift(Contract):
    """When readings or scores count as different from what the model was trained on, and what follows."""

    measure: DriftMeasure = DriftMeasure.PSI
    """Measure by which readings and scores are compared with those of the training, default Psi. Psi: population stability
    index. KolmogorovSmirnov: largest distance of the cumulative distributions."""
    above: Annotated[float, Field(gt=0, le=100)] = 0.2
    """Measure above which a feature, or the score, has drifted, default 0.2. What chance makes of so little data is allowed for
    besides."""
    over: Duration = "1d"
    """Event time over which readings are counted, default 1d, at most 30d. Shorter tells sooner and is misled more easily; half
    of it must have been seen before anything is said."""
    action: DriftAction = DriftAction.ALERT
    """Consequence of drift, default Alert. Alert: it is told. Retrain: it is told, and a training is asked for."""

    @property
    def seconds(self) -> float:
        """Length of `over`."""
        return min(LONGEST, seconds(self.over))


class NoiseLevel(Contract):
    """By how much stretches of the training data of one length differ from each other."""

    seconds: float
    """Length of a stretch."""
    psi: float
    """Half of the population stability index between two stretches: the share of one of them."""
    ks: float


class ReferenceBins(Contract):
    """How a feature, or a window's score, was distributed in the training data."""

    name: str
    """Of the feature, or of the window."""
    edges: Annotated[list[float], Field(min_length=1, max_length=32)]
    """Inner edges of the bins, rising. A value that equals an edge belongs below it."""
    hours: Annotated[list[list[int]], Field(min_length=HOURS, max_length=HOURS)]
    """For each hour of the day (UTC) the share of each bin in parts of ten thousand; empty: the training has not had the hour."""
    noise: list[NoiseLevel] = []
    span: float = 0.0
    """Event time that the shares come from, in seconds."""

    def noise_over(self, covered: float, hours: int) -> tuple[float, float]:
        """The population stability index and the distance by which so many seconds of readings, at so many hours of the day,
        differ without any drift.

        Stretches add up as independent ones do: of twice the time, the index is half, and the distance less by the root of two.
        The longest ones that the training had speak for what is slower than an hour.
        """
        known = sum(bool(shares) for shares in self.hours)
        compared = self.span * min(1.0, hours / max(1, known))
        found = [(0.0, 0.0)]
        for level in self.noise:
            here, there = (min(1.0, level.seconds / max(span, 1.0)) for span in (covered, compared))
            found.append((level.psi * (here + there), level.ks * math.sqrt(here + there)))
        return max(psi for psi, _ in found), max(ks for _, ks in found)


class DriftReference(Contract):
    """Distributions of the training data: part of a model's manifest."""

    features: list[ReferenceBins]
    """Of the newest reading of each window."""
    scores: list[ReferenceBins] = []
    """Of held-out windows, as the model computes scores."""


class BinnedEvidence(Contract):
    """Values counted in bins, beside what the reference would have given at the same hours."""

    name: str
    observed: list[int]
    expected: list[float]
    covered: float = 0.0
    """Seconds of event time in which there were values, at hours that the reference knows."""
    psi_noise: float = 0.0
    """Index that is to be expected of so little data without drift."""
    ks_noise: float = 0.0


class DriftEvidence(Contract):
    """What a pod has counted of `drift.over`, the last of event time, for one model. Counts of pods can be added up."""

    model: str
    """Digest of the model whose reference it is."""
    unknown: int = 0
    """Readings counted at hours of the day that the training has not seen; they are compared with nothing."""
    features: list[BinnedEvidence] = []
    scores: list[BinnedEvidence] = []


def psi(observed: Sequence[float], expected: Sequence[float]) -> float:
    """Population stability index of two lists of counts or shares of the same bins; 0 where one of them is empty.

    >>> round(psi([50, 50], [50, 50]), 3), round(psi([80, 20], [50, 50]), 3)
    (0.0, 0.416)
    """
    ours, theirs = sum(observed), sum(expected)
    if not (ours > 0 and theirs > 0):
        return 0.0
    pairs = ((max(a / ours, _LEAST), max(b / theirs, _LEAST)) for a, b in zip(observed, expected, strict=True))
    return sum((a - b) * math.log(a / b) for a, b in pairs)


def kolmogorov_smirnov(observed: Sequence[float], expected: Sequence[float]) -> float:
    """Largest distance of the cumulative distributions, at the edges of the bins; 0 where one of them is empty.

    >>> kolmogorov_smirnov([80, 20], [50, 50])
    0.3
    """
    ours, theirs = sum(observed), sum(expected)
    if not (ours > 0 and theirs > 0):
        return 0.0
    most = here = there = 0.0
    for a, b in zip(observed, expected, strict=True):
        here, there = here + a / ours, there + b / theirs
        most = max(most, abs(here - there))
    return round(most, 12)
