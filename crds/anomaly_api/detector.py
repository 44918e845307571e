"""The AnomalyDetector resource: what a user asks for."""

from functools import cached_property
from typing import Annotated, Any, Final, Literal

from pydantic import Field

from anomaly_api.alerting import Alerts
from anomaly_api.drift import Drift
from anomaly_api.feedback import Feedback
from anomaly_api.learning import ModelKind, ModelStore, Training, default_model
from anomaly_api.meta import API_VERSION
from anomaly_api.pods import PodSettings
from anomaly_api.policy import Budget, Delivery, Fallback, Scaling, Threshold
from anomaly_api.quantity import Memory
from anomaly_api.rollout import Rollout
from anomaly_api.schema import Contract, Empty, rule
from anomaly_api.source import Entity, Features, Pipeline, Source, Time, TopicName, WatchedEntity, Window, Windows
from anomaly_api.status import DetectorStatus

MAX_WINDOW_VALUES: Final = 16_384
"""Values in a window, over all features: what goes into one network."""
BESIDES_THE_BUDGET: Final = "160Mi"
"""What a scoring pod needs besides: its process, the scoring session, batches, the client's buffers."""
_ALERTS: Final = "(has(self.alerts.topic) ? self.alerts.topic : self.source.kafka.topic + '.alerts')"
_ALL_READ: Final = ".all(name, self.features.exists(read, read.name == name && !has(read.derived)))"
_DERIVED_FROM_READ: Final = " && ".join(
    f"(!has(feature.derived.{arm}) || [{', '.join(f'feature.derived.{arm}.{name}' for name in names)}]{_ALL_READ})"
    for arm, names in (
        ("difference", ("of", "minus")),
        ("ratio", ("of", "to")),
        ("rollingMean", ("of",)),
        ("rateOfChange", ("of",)),
    )
)
_DEAD_LETTERS: Final = (
    "(has(self.alerts.deadLetterTopic) ? self.alerts.deadLetterTopic : self.source.kafka.topic + '.dead-letters')"
)


def _by_key() -> WatchedEntity:
    return WatchedEntity()


def _one_window() -> list[Window]:
    return [Window(name="short", size=12, every=1, max_gap="5m")]


def _budget() -> Threshold:
    return Threshold(budget=Budget())


def _config_maps() -> ModelStore:
    return ModelStore(config_map=Empty())


@rule(
    "!has(self.alerts.topic) || self.alerts.topic != self.source.kafka.topic",
    "alerts.topic must not be the source topic: the detector would read its own alerts",
)
@rule(
    "!has(self.alerts.deadLetterTopic) || self.alerts.deadLetterTopic != self.source.kafka.topic",
    "alerts.deadLetterTopic must not be the source topic: what cannot be read would come back for ever",
)
@rule(
    f"!has(self.stateTopic) || !(self.stateTopic in [self.source.kafka.topic, {_ALERTS}, {_DEAD_LETTERS}])",
    "stateTopic must be a topic of its own: it is compacted, and only the detector can read it",
)
@rule(
    "!has(self.feedback) || !has(self.feedback.topic) || "
    f"!(self.feedback.topic in [self.source.kafka.topic, {_ALERTS}, {_DEAD_LETTERS}])",
    "feedback.topic must be a topic of its own: what is in the others is no label",
)
@rule(
    f"{_ALERTS} != {_DEAD_LETTERS}",
    "alerts.topic and alerts.deadLetterTopic must differ: who reads alerts would be sent what cannot be read",
)
@rule(
    f"size({_ALERTS}) <= 249 && size({_DEAD_LETTERS}) <= 249",
    "the source topic's name is too long to add .alerts or .dead-letters: set alerts.topic and alerts.deadLetterTopic",
)
@rule(
    f"!has(self.windows) || self.windows.all(window, window.size * self.features.size() <= {MAX_WINDOW_VALUES})",
    f"a window's size times the number of features must not be greater than {MAX_WINDOW_VALUES}: "
    "choose a smaller window or fewer features",
)
@rule(
    "!has(self.threshold) || !has(self.threshold.value) || !has(self.windows) || self.windows.size() == 1",
    "threshold.value is one number and cannot serve several windows: use budget, quantile or standardDeviations",
)
@rule(
    "!has(self.training.data) || !has(self.training.data.files) "
    "|| !self.training.data.files.exists(file, file.startsWith('file://')) "
    "|| (has(self.modelStore) && has(self.modelStore.uri) && has(self.modelStore.uri.claimName))",
    "training.data.files with file:// needs modelStore.uri.claimName: the volume that holds the files",
)
@rule(
    "!has(self.pod.resources.limits) || !('memory' in self.pod.resources.limits) || "
    f"!isQuantity(string(self.pod.resources.limits['memory'])) || !isQuantity(string(self.memoryBudget)) || "
    "quantity(string(self.pod.resources.limits['memory'])).compareTo("
    f"quantity(string(self.memoryBudget)).add(quantity('{BESIDES_THE_BUDGET}'))) >= 0",
    f"pod.resources.limits.memory must be at least memoryBudget and {BESIDES_THE_BUDGET}: the pods would be killed once the "
    "budget is used up. Raise the limit, or lower the budget",
)
@rule(
    f"self.features.all(feature, !has(feature.derived) || ({_DERIVED_FROM_READ}))",
    "features[].derived must name other features of the list that are read and not derived themselves: correct the name, or add "
    "the feature",
)
@rule(
    "self.features.exists(feature, !has(feature.role) || feature.role == 'Scored')",
    "features[].role must be Scored of one feature at least: nothing would be watched",
)
@rule(
    "!has(self.model) || !(has(self.model.isolationForest) || has(self.model.localOutlierFactor) || has(self.model.ensemble) "
    "&& self.model.ensemble.members.exists(member, has(member.isolationForest) || has(member.localOutlierFactor))) "
    "|| self.features.all(feature, (!has(feature.role) || feature.role == 'Scored') && !has(feature.leastDeviation))",
    "role Context and leastDeviation need a model that says what it expected: choose autoencoder, pca, seasonal, bounds or "
    "statistical in place of isolationForest and localOutlierFactor",
)
@rule(
    "!has(self.model) || !has(self.model.bounds) || self.features.all(feature, !has(feature.scale) || feature.scale == 'Shared')",
    "model.bounds are in the features' own units: leave out scale PerEntity",
)
class DetectorSpec(Contract):
    """What is watched, by what, and what is to be done about it."""

    source: Source
    """The stream of readings that is watched."""
    entity: WatchedEntity = Field(default_factory=_by_key)
    """The thing that a reading is of: a pump, a server, an account. Each has windows and alerts of its own. Unset: the
    message key."""
    time: Time = Field(default_factory=Time)
    """The moment at which a reading was taken, and how much disorder is tolerated. Unset: the message's own timestamp."""
    features: Features
    """The numbers of a reading that are watched together, at least one. The model learns how they belong together, so list
    what one machine or process measures. A change trains a new model."""
    windows: Windows = Field(default_factory=_one_window)
    """Sequences of readings that are looked at together, each scored by a model of its own. Unset: one window, named short,
    of 12 readings."""
    model: ModelKind = Field(default_factory=default_model)
    """The scorer that decides whether a window is unusual. Unset: an autoencoder that is trained on the source topic."""
    training: Training = Field(default_factory=Training)
    """The training of the model: its data, how much is needed, and the pod that does it. The defaults suit most detectors."""
    threshold: Threshold = Field(default_factory=_budget)
    """The score at which a window is unusual. Unset: a budget of one false episode an entity and week. It can be changed at any
    time without a new training."""
    fallback: Fallback = Field(default_factory=Fallback)
    """The statistical scorer that decides until there is a trained model, and whenever the model fails."""
    alerts: Alerts = Field(default_factory=Alerts)
    """The rules that make alerts of scores: when an episode opens and closes, how severe it is, when nobody is to be told,
    and the topics."""
    rollout: Rollout = Field(default_factory=Rollout)
    """The way on which a new model, or other thresholds and alert rules, replace what decides: beside it first, compared on the
    very same windows, and taken back when they are worse."""
    drift: Drift = Field(default_factory=Drift)
    """The comparison of what arrives with what the model was trained on, feature by feature and by the score, at the same hours
    of the day. Unset: it is told when a population stability index over a day is above 0.2."""
    feedback: Feedback | None = None
    """The labels that people and programs give: true alarm, false alarm, missed, normal now. Unset: none are read; `{}` reads
    them from `<source topic>.labels`."""
    delivery: Delivery = Delivery.EXACTLY_ONCE
    """The promise about alerts when a pod crashes. ExactlyOnce, the default: alerts and input offsets are one transaction, so
    that readers of committed records see each alert once. AtLeastOnce: alerts come some milliseconds sooner; after a crash
    the last ones may come again, with the same ids."""
    state_topic: TopicName | None = None
    """Compacted topic for what the detector remembers: windows and open episodes. Unset: `<source topic>.<consumer
    group>.state`. The detector creates it if it may, with as many partitions as the source topic. Set it where names of
    topics are given to you."""
    memory_budget: Memory = "256Mi"
    """Memory for what is remembered of all entities together: windows, baselines, episodes, names. Default 256Mi. An entity
    of six features and a window of 12 takes about 1,400 bytes, one of three features and a window of 120 two kilobytes; with
    time.lateness, maxWaiting readings are counted, too. The partitions of the topic have equal shares, so that what is
    forgotten does not depend on which pod has them; one share more is set aside for checkpoints. Beyond it the entity that
    was seen longest ago is forgotten, and counted: raise it when status.memory.evicted grows. Each pod needs as much, and
    160Mi besides."""
    replicas: Annotated[int, Field(ge=1, le=256)] = 1
    """Number of scoring pods, as `kubectl scale`, a HorizontalPodAutoscaler or KEDA set it; the greater of it and
    scaling.minReplicas counts. More pods than the topic has partitions stand idle. To stop them all, set paused."""
    scaling: Scaling = Field(default_factory=Scaling)
    """Bounds for the number of scoring pods, and whether the operator itself scales them by the lag of the stream."""
    pod: PodSettings = Field(default_factory=PodSettings)
    """The scoring pods: image, resources, scheduling, identity, environment and volumes. Training pods share most of it."""
    model_store: ModelStore = Field(default_factory=_config_maps)
    """Place where the archives of trained models are kept. Unset: in ConfigMaps, which hold up to 900 KiB. Set uri for larger
    ones."""
    paused: bool = False
    """Whether scoring and training are stopped. The consumer group keeps its place, so that nothing is missed when it is
    false again. Default false."""

    @cached_property
    def pipeline(self) -> Pipeline:
        """What training and scoring must agree on."""
        known_by = Entity(**{name: getattr(self.entity, name) for name in Entity.model_fields})
        source = self.source
        return Pipeline(
            entity=known_by,
            time=self.time,
            features=self.features,
            windows=self.windows,
            filter=source.filter,
            pairs=source.pairs,
            merge=source.merge,
            silent_after=self.entity.silent_after,
            labels=self.entity.labels,
            format=source.notation,
            envelope=source.envelope,
        )

    @property
    def fewest_pods(self) -> int:
        """The fewest pods that somebody asks for."""
        return max(self.replicas, self.scaling.min_replicas)

    @property
    def most_pods(self) -> int:
        """The most pods that the operator may ask for."""
        return max(self.scaling.max_replicas or 1, self.fewest_pods)

    def group_id(self, namespace: str, name: str) -> str:
        """Consumer group of the detector with this name."""
        return self.source.kafka.group_id or f"anomaly-operator.{namespace}.{name}"

    @property
    def alerts_topic(self) -> str:
        """Topic for alerts."""
        return self.alerts.topic or f"{self.source.kafka.topic}.alerts"

    @property
    def labels_topic(self) -> str:
        """Topic of the labels; empty where none are read."""
        return "" if self.feedback is None else self.feedback.topic or f"{self.source.kafka.topic}.labels"

    @property
    def dead_letter_topic(self) -> str:
        """Topic for messages that could not be read."""
        return self.alerts.dead_letter_topic or f"{self.source.kafka.topic}.dead-letters"


@rule(
    "size(self.metadata.name) <= 40",
    "metadata.name must have at most 40 characters: the names of its pods, Jobs and models are made from it",
)
@rule(
    "self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",
    "metadata.name must consist of lower-case letters, digits and dashes: it becomes part of host names",
)
class AnomalyDetector(Contract):
    """Watches a stream of readings for anomalies with a learned model of normal behaviour."""

    api_version: Literal["anomaly-operator.dev/v1alpha1"] = API_VERSION
    kind: Literal["AnomalyDetector"] = "AnomalyDetector"
    metadata: Annotated[dict[str, Any], Field(default_factory=dict)]
    spec: DetectorSpec
    """The detector as you want it. The operator never writes it."""
    status: DetectorStatus | None = None
    """The state of the detector as the operator sees it. Only the operator writes it."""
