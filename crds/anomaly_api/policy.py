"""When a score is unusual, and how many pods there are: threshold, delivery, fallback, scaling."""

from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field

from anomaly_api.schema import Contract, Duration, exactly_one, rule

Opaque = Annotated[dict[str, Any], Field(json_schema_extra={"x-kubernetes-preserve-unknown-fields": True})]
"""A value that Kubernetes itself checks when the pod is made."""


class BudgetScope(StrEnum):
    """Whose episodes a budget counts."""

    ENTITY = "Entity"
    FLEET = "Fleet"


class Budget(Contract):
    """How many false alerts are acceptable."""

    episodes: Annotated[int, Field(ge=1, le=10_000)] = 1
    """Number of false episodes that are acceptable within `per`, default 1."""
    of: BudgetScope = BudgetScope.ENTITY
    """Scope of `episodes`, default Entity: of each entity. Fleet: of all entities together, however many there are; the
    threshold follows when their number has changed by more than a half."""
    per: Duration = "1w"
    """Length of event time that `episodes` refers to, default 1w."""
    max_factor: Annotated[float, Field(ge=1, le=100)] = 4.0
    """Factor by which realised alerts raise or lower the threshold at most, default 4: where they certainly miss the budget, the
    threshold follows in steps. 1: it stays where the held-out data say, and what was moved is undone."""
    margin: Annotated[float, Field(ge=1, le=100)] = 1.0
    """Factor by which the threshold lies above the level that the held-out data say, default 1: it trusts that what is normal
    stays as it was. Raise it, say to 1.5, where loads and machines change slowly: a level just above the usual scores would
    then be exceeded for days."""


class Baseline(Contract):
    """A trailing baseline of an entity's scores: what has been usual for it lately is forgiven, within bounds."""

    over: Duration = "1d"
    """Length of event time that the baseline forgets over, default 1d. Take several times the length of the longest anomaly that
    is to stay one."""
    most: Annotated[float, Field(gt=1, le=100)] = 3.0
    """Greatest multiple of the usual score of the held-out part that counts as a baseline, default 3. Scores are divided by the
    mean of 1 and the baseline, so 3 halves them at the most: a score above twice the threshold stays an anomaly for as long as it
    lasts."""


class PerEntity(Contract):
    """A factor of each entity's own, learned from its scores as they come, and shrunk to that of all while it is young."""

    after: Duration = "1w"
    """Length of event time of an entity after which its own scores say half of its factor, default 1w. Until then the
    scores of all entities say more."""
    most: Annotated[float, Field(gt=1, le=100)] = 3.0
    """Greatest factor that an entity's scores are divided by, or multiplied with, default 3."""


class PeaksOverThreshold(Contract):
    """Peaks over threshold, as SPOT sets them (Siffer et al., KDD 2017): the tail of held-out peaks, by maximum likelihood."""

    risk: Annotated[float, Field(gt=0, le=0.1)] = 0.0001
    """Probability for each window that an excursion above the threshold begins, default 0.0001: one in 10,000 windows."""
    level: Annotated[float, Field(ge=0.5, lt=1)] = 0.98
    """Quantile of the held-out scores beyond which peaks belong to the tail, default 0.98. Lower it where there are few."""


class Conformal(Contract):
    """Conformal p-values: the rank of a score among held-out excursions. It assumes no distribution, and extrapolates nothing."""

    significance: Annotated[float, Field(gt=0, le=0.5)] = 0.001
    """Probability that a normal excursion is taken for an anomaly, default 0.001. Among m held-out excursions no less than
    1 / (m + 1) is known; the status says what is supported."""


@rule(
    "!has(self.baseline) || !has(self.perEntity)",
    "threshold.baseline and threshold.perEntity both change an entity's scores: set one of them",
)
@exactly_one("budget", "quantile", "standardDeviations", "value", "peaksOverThreshold", "conformal")
class Threshold(Contract):
    """The score at which a window is unusual. It is computed from held-out scores, never from training error."""

    budget: Budget | None = None
    """Number of false alerts that you accept: the threshold is the level that normal data are expected to exceed so often.
    Beyond what the held-out part of the data has seen, the tail of its peaks is extrapolated (generalised Pareto)."""
    quantile: Annotated[float, Field(gt=0.5, lt=1)] | None = None
    """Quantile of the held-out scores, such as 0.995: of normal windows five in a thousand would be above it."""
    standard_deviations: Annotated[float, Field(gt=0, le=100)] | None = None
    """Number of standard deviations that the threshold lies above the mean of the held-out scores, such as 3."""
    value: Annotated[float, Field(gt=0)] | None = None
    """Score itself, as the model computes it (mean squared error of the scaled window), for those who know their model. It
    serves one window only."""
    peaks_over_threshold: PeaksOverThreshold | None = None
    """Extreme value theory: the level that excursions exceed with a given probability a window. It trusts every held-out peak,
    so clean data tell it more than a budget does."""
    conformal: Conformal | None = None
    """Conformal p-values of excursions: the level that a given share of the held-out ones exceeds."""
    per_entity: PerEntity | None = None
    """Factor of each entity on its scores, for machines that are alike but not equal, so that a shared threshold means the
    same for all. Each entity's factor is written to the state topic every 96th of `after`. Unset: scores are taken as they
    are."""
    baseline: Baseline | None = None
    """Trailing baseline of each entity's scores, for machines whose normal behaviour changes slowly, and for good: an alarm that
    a level just above the usual ones opened then ends. Each entity's level is written to the state topic every 96th of `over`.
    Unset: scores are taken as they are."""


class Delivery(StrEnum):
    """What a crash may do to the alerts topic.

    ExactlyOnce: nothing. AtLeastOnce: alerts come earlier, and those of readings that were not committed come again, with their
    ids; where a change of the spec fell in between, they are decided again by what decides then.
    """

    EXACTLY_ONCE = "ExactlyOnce"
    AT_LEAST_ONCE = "AtLeastOnce"


class Fallback(Contract):
    """The robust statistical scorer, which decides until there is a model and when the model fails. It compares each window with
    what the entity's own readings have been so far; while a model decides it goes on learning, so that it can stand in at once.
    """

    standard_deviations: Annotated[float, Field(gt=0, le=1000)] = 8.0
    """Distance of a window from the entity's own running level, in robust standard deviations, that is unusual: score 1.0.
    Default 8: lower it to be told of less, raise it for fewer alerts. A distance that has come three times is not unusual."""
    warmup: Annotated[int, Field(ge=2, le=100_000)] = 60
    """Number of readings of an entity, with a value of the feature, before the feature is scored this way, default 60. The
    running level forgets over as many (but at least 32), the scale over five times as many: raise it where readings are
    frequent and change slowly."""


@rule(
    "!has(self.maxReplicas) || !has(self.minReplicas) || self.maxReplicas >= self.minReplicas",
    "scaling.maxReplicas must not be less than scaling.minReplicas",
)
class Scaling(Contract):
    """How many pods score. Where an autoscaler sets the replicas of the Deployment `<name>-detector`, it has the say."""

    min_replicas: Annotated[int, Field(ge=1, le=256)] = 1
    """Least number of pods, default 1. An autoscaler that sets replicas never goes below it."""
    max_replicas: Annotated[int, Field(ge=1, le=256)] | None = None
    """Greatest number of pods. Set it, and the operator scales: up while the stream is further behind than `maxLag`, down
    when fewer pods would do; never beyond the number of partitions. Unset: the operator does not scale."""
    max_lag: Duration = "30s"
    """Age of the oldest unread reading beyond which the operator adds pods, default 30s. It counts with maxReplicas only."""


class LocalReference(Contract):
    """Something in the same namespace, by name."""

    name: Annotated[str, Field(min_length=1, max_length=253)]
    """Name of the object, in the namespace of this resource."""
