"""When a score is unusual, and how the pods run: threshold, delivery, fallback, scaling, pod."""

from enum import StrEnum
from typing import Annotated, Any, Final

from pydantic import Field

from anomaly_api.quantity import Quantity
from anomaly_api.schema import Contract, Duration, exactly_one, rule

_QUANTITIES: Final = {
    "rule": "self.all(name, isQuantity(string(self[name])))",
    "message": "write Kubernetes quantities, such as cpu: 500m or memory: 256Mi",
}
Opaque = Annotated[dict[str, Any], Field(json_schema_extra={"x-kubernetes-preserve-unknown-fields": True})]
"""A value that Kubernetes itself checks when the pod is made."""


class Budget(Contract):
    """How many false alerts are acceptable."""

    episodes: Annotated[int, Field(ge=1, le=10_000)] = 1
    """False episodes an entity."""
    per: Duration = "1w"
    """In this much event time."""


@exactly_one("budget", "quantile", "standardDeviations", "value")
class Threshold(Contract):
    """The score at which a window is unusual. It is computed from held-out scores, never from training error."""

    budget: Budget | None = None
    """So that at most so many false episodes an entity are to be expected; beyond what the held-out part has seen,
    the tail of its peaks is extrapolated (generalised Pareto)."""
    quantile: Annotated[float, Field(gt=0.5, lt=1)] | None = None
    """This quantile of the held-out scores."""
    standard_deviations: Annotated[float, Field(gt=0, le=100)] | None = None
    """Mean of the held-out scores plus so many standard deviations."""
    value: Annotated[float, Field(gt=0)] | None = None
    """This value, as the model computes it (mean squared error of the scaled window)."""


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
    """Distance of a window from the entity's own running level, in robust standard deviations, that is unusual: score 1.0. Lower
    it to be told of less, raise it for fewer alerts. A distance that has come three times is not unusual."""
    warmup: Annotated[int, Field(ge=2, le=100_000)] = 60
    """Readings of an entity, with a value of the feature, before the feature is scored this way. The running level forgets over
    as many (but at least 32), the scale over five times as many: raise it where readings are frequent and change slowly."""


@rule(
    "!has(self.maxReplicas) || !has(self.minReplicas) || self.maxReplicas >= self.minReplicas",
    "scaling.maxReplicas must not be less than scaling.minReplicas",
)
class Scaling(Contract):
    """How many pods score. Where an autoscaler sets the replicas of the Deployment `<name>-detector`, it has the say."""

    min_replicas: Annotated[int, Field(ge=1, le=256)] = 1
    """Pods, or the fewest of them. More than the topic has partitions stand idle. `kubectl scale` sets this."""
    max_replicas: Annotated[int, Field(ge=1, le=256)] | None = None
    """The most pods. Set it, and the operator scales: up while the stream is further behind than `lagSeconds`, down when fewer
    pods would do; never beyond the number of partitions. Unset: as many as minReplicas."""
    lag_seconds: Annotated[int, Field(ge=1, le=86_400)] = 30
    """How old the oldest reading that was not read yet may be before there are to be more pods."""

    @property
    def most(self) -> int:
        """The most pods that the operator may ask for."""
        return self.max_replicas or self.min_replicas


Quantities = Annotated[dict[str, Quantity], Field(max_length=16, json_schema_extra={"x-kubernetes-validations": [_QUANTITIES]})]


@rule(
    "!has(self.requests) || !has(self.limits) || self.requests.all(name, !(name in self.limits) "
    "|| !isQuantity(string(self.requests[name])) || !isQuantity(string(self.limits[name])) "
    "|| quantity(string(self.requests[name])).compareTo(quantity(string(self.limits[name]))) <= 0)",
    "requests must not be greater than limits: no node would take the pod",
)
class Resources(Contract):
    """Compute resources of a container."""

    requests: Quantities | None = None
    """What the scheduler reserves."""
    limits: Quantities | None = None
    """What the container may not exceed."""


class LocalReference(Contract):
    """Something in the same namespace, by name."""

    name: Annotated[str, Field(min_length=1, max_length=253)]
    """Its name."""


def _detector_resources() -> Resources:
    return Resources(requests={"cpu": "100m", "memory": "192Mi"}, limits={"memory": "512Mi"})


_OWN_PREFIXES: Final = {
    "rule": "self.all(name, !name.startsWith('anomaly-operator.dev/') && !name.startsWith('app.kubernetes.io/'))",
    "message": "names beginning with anomaly-operator.dev/ or app.kubernetes.io/ are the operator's own: choose others",
}
PodTexts = Annotated[
    dict[str, Annotated[str, Field(max_length=4096)]],
    Field(max_length=64, json_schema_extra={"x-kubernetes-validations": [_OWN_PREFIXES]}),
]


class PodSettings(Contract):
    """The scoring pods. Security settings are the operator's own and cannot be weakened here."""

    image: Annotated[str, Field(min_length=1, max_length=512)] | None = None
    """Image of the detector. Unset: the one that the operator was installed with."""
    image_pull_secrets: Annotated[list[LocalReference], Field(max_length=16)] | None = None
    """Secrets for pulling the image."""
    resources: Resources = Field(default_factory=_detector_resources)
    """Compute resources of a scoring pod."""
    node_selector: Annotated[dict[str, Annotated[str, Field(max_length=63)]], Field(max_length=64)] | None = None
    """Labels a node must have."""
    tolerations: Annotated[list[Opaque], Field(max_length=64)] | None = None
    """Taints that are tolerated."""
    affinity: Opaque | None = None
    """Scheduling constraints."""
    labels: PodTexts | None = None
    """Further labels of the pods."""
    annotations: PodTexts | None = None
    """Further annotations of the pods."""
    priority_class_name: Annotated[str, Field(max_length=253)] | None = None
    """PriorityClass of the pods."""
