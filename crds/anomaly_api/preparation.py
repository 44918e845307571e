"""What becomes of a value before a model sees it: kinds of features, and features that are derived from others."""

from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field

from anomaly_api.schema import Contract, exactly_one, matching, rule

_FEATURE_NAME: Final = (r"^[-A-Za-z0-9_]+(\.[-A-Za-z0-9_]+)*$",)

FeatureName = Annotated[
    str,
    Field(max_length=63),
    matching("write letters, digits, dashes, underscores and single dots, such as temperature or sensors.temp_1", *_FEATURE_NAME),
]
"""A field's name as producers write them, or a path into nested objects."""


Other = Annotated[str, Field(min_length=1, max_length=63)]
"""The name of another feature of the list, which a rule of the spec looks for."""


class FeatureKind(StrEnum):
    """What kind of number a feature is."""

    GAUGE = "Gauge"
    COUNTER = "Counter"
    RATIO = "Ratio"
    LATENCY = "Latency"


class Scaler(StrEnum):
    """How a model makes features comparable."""

    STANDARD = "Standard"
    ROBUST = "Robust"
    MIN_MAX = "MinMax"
    LOG1P = "Log1p"
    ARC_SINE = "ArcSine"


class Role(StrEnum):
    """What a feature is for."""

    SCORED = "Scored"
    CONTEXT = "Context"


class EntityScale(StrEnum):
    """By what a feature is measured."""

    SHARED = "Shared"
    PER_ENTITY = "PerEntity"


class Direction(StrEnum):
    """Which deviations of a feature count."""

    BOTH = "Both"
    ABOVE = "Above"
    BELOW = "Below"


@rule("self.of != self.minus", "a feature minus itself is nothing: name two features")
class Difference(Contract):
    """One feature minus another one, such as what flows in minus what flows out."""

    of: Other
    """Name of the feature that is subtracted from."""
    minus: Other
    """Name of the feature that is subtracted."""


@rule("self.of != self.to", "a feature over itself is always 1: name two features")
class RatioOfTwo(Contract):
    """One feature over another one, such as errors to requests. Where the other one is 0 there is no value."""

    of: Other
    """Name of the feature that is divided."""
    to: Other
    """Name of the feature that it is divided by."""


class RollingMean(Contract):
    """The mean of the newest readings of a feature, this one included; it begins anew after a gap longer than maxGap."""

    of: Other
    """Name of the feature that the mean is of."""
    readings: Annotated[int, Field(ge=2, le=256)] = 12
    """Number of readings that the mean is of, default 12. Raise it for what is noisy and drifts slowly."""


class RateOfChange(Contract):
    """By how much a feature changes in a second, up or down."""

    of: Other
    """Name of the feature whose change is taken."""


@exactly_one("difference", "ratio", "rollingMean", "rateOfChange")
class Derived(Contract):
    """A feature that is computed from others of the same reading, or of those before it."""

    difference: Difference | None = None
    """One feature minus another one."""
    ratio: RatioOfTwo | None = None
    """One feature over another one, missing where that is 0."""
    rolling_mean: RollingMean | None = None
    """Mean of the newest readings of a feature."""
    rate_of_change: RateOfChange | None = None
    """Change of a feature in a second."""

    @property
    def sources(self) -> list[str]:
        """Names of the features that it is computed from."""
        if self.difference is not None:
            return [self.difference.of, self.difference.minus]
        if self.ratio is not None:
            return [self.ratio.of, self.ratio.to]
        one = self.rolling_mean or self.rate_of_change
        return [one.of] if one is not None else []
