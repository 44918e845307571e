"""Held-out scores, boiled down to what a threshold needs; and a threshold in force. `thresholds` computes one from the other.

Both sides use it: training writes the calibration, the operator computes thresholds from it, so that a new threshold
needs no new training. Nothing here knows about models or Kubernetes.
"""

from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field

from anomaly_api.schema import Contract, Duration, list_map
from anomaly_api.source import Name
from anomaly_api.tails import Tail

MAX_PEAKS: Final = 256
"""Peaks that are kept one by one: enough to fit a tail to."""
MAX_FURTHER_PEAKS: Final = 64


class Quantile(Contract):
    """One point of the distribution of held-out scores."""

    level: float
    """Level of the quantile, between 0 and 1."""
    score: float
    """Score at this level, as the model computes it."""


class RankedPeak(Contract):
    """One point of the peaks beyond those that are kept one by one."""

    rank: int
    """Number of excursions that were at least as high."""
    score: float
    """Height of the lowest of these excursions."""


class Calibration(Contract):
    """What the held-out part of the data said about one window's scores."""

    window: Name
    """Name of the window that the figures are about."""
    windows: int
    """Number of windows that were held out."""
    entity_seconds: float
    """Event time that the held-out windows cover, in seconds, added up over entities."""
    mean: float
    """Mean of the scores of held-out windows."""
    standard_deviation: float
    """Standard deviation of the held-out scores."""
    maximum: float
    """Largest of the held-out scores."""
    quantiles: Annotated[list[Quantile], Field(min_length=2, max_length=64)]
    """Distribution of the held-out scores, by rising level from 0 to 1."""
    entities: int | None = None
    """Number of entities whose windows were held out. Unset: an older version made it."""
    peaks: Annotated[list[float], Field(max_length=MAX_PEAKS)]
    """Largest score of each separate excursion of an entity, falling: what an episode would have been."""
    further_peaks: Annotated[list[RankedPeak], Field(max_length=MAX_FURTHER_PEAKS)] | None = None
    """Excursions lower than those in `peaks`, at growing ranks: where many entities are watched, a budget tolerates more than
    `peaks` holds. Unset: there are none."""


Calibrations = Annotated[list[Calibration], Field(min_length=1, max_length=8, json_schema_extra=list_map("window"))]


class ThresholdSource(StrEnum):
    """How a threshold came about."""

    BUDGET = "Budget"
    PEAKS_OVER_THRESHOLD = "PeaksOverThreshold"
    CONFORMAL = "Conformal"
    QUANTILE = "Quantile"
    STANDARD_DEVIATIONS = "StandardDeviations"
    VALUE = "Value"
    FALLBACK = "Fallback"


class WindowBaseline(Contract):
    """The trailing baseline of one window's scores."""

    over: Duration
    """Event time that it forgets over."""
    most: float
    """Greatest multiple of `usual` that counts."""
    usual: Annotated[float, Field(gt=0)]
    """Median of the held-out scores, as the model computes them."""


class WindowFactors(Contract):
    """Factors of entities on one window's scores."""

    after: Duration
    """Event time of an entity after which its own scores say half of its factor."""
    most: float
    """Greatest factor; its inverse is the smallest."""
    usual: Annotated[float, Field(gt=0)]
    """Geometric mean of the held-out scores of all entities, as the model computes them."""


class WindowThreshold(Contract):
    """The threshold in force for one window."""

    window: Name
    """Name of the window."""
    value: float
    """Score, as the model computes it, that is shown as 1.0."""
    source: ThresholdSource
    """How it came about."""
    asked: str
    """What was asked for, for people: `1/1w`, `0.999`, `3`."""
    asked_episodes: float | None = None
    """False episodes an entity in the budget's `per` that were asked for. Unset where no budget was asked for."""
    expected_episodes: float | None = None
    """The same as they are to be expected at `value`; in a week, where no budget was asked for. More than were asked for while
    the held-out part is too short to know what is rarer."""
    supported: str | None = None
    """What the held-out part supports, written as `asked`. Unset: what was asked for."""
    entities: int | None = None
    """Number of entities that a budget of the fleet is shared by; episodes are those of all of them. Unset: of one entity."""
    exposure_seconds: float | None = None
    """Event time that was held out, added up over entities: what the estimate stands on."""
    tail: Tail | None = None
    """How rare scores above it are, by which they are shown. Unset: they are shown as multiples of it."""
    baseline: WindowBaseline | None = None
    """What is forgiven of an entity's scores before they decide. Unset: nothing."""
    per_entity: WindowFactors | None = None
    """The factors that make entities equal before scores decide. Unset: scores are taken as they are."""
    factor: float | None = None
    """By what labels have moved it. Unset: they have not."""
    live: float | None = None
    """By what realised alerts, or grown exposure, have moved it besides. Unset: they have not."""
