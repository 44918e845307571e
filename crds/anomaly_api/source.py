"""Where readings come from and how one is read: source, entity, time, features, windows."""

from enum import StrEnum
from typing import Annotated, Any, Final

from pydantic import Field

from anomaly_api.entity import Entity as Entity
from anomaly_api.entity import KeyFormat as KeyFormat
from anomaly_api.entity import WatchedEntity as WatchedEntity
from anomaly_api.event_time import SameTime as SameTime
from anomaly_api.event_time import Time as Time
from anomaly_api.event_time import TimeFormat as TimeFormat
from anomaly_api.formats import Envelope, Format, SchemaRegistry
from anomaly_api.input import Condition, FieldPath, Merge, Number, Pairs, TextNumbers
from anomaly_api.kafka_source import OWNED_PROPERTIES as OWNED_PROPERTIES
from anomaly_api.kafka_source import BootstrapServers as BootstrapServers
from anomaly_api.kafka_source import GroupProtocol as GroupProtocol
from anomaly_api.kafka_source import KafkaSource as KafkaSource
from anomaly_api.kafka_source import StartFrom as StartFrom
from anomaly_api.kafka_source import TopicName as TopicName
from anomaly_api.preparation import Derived, Direction, EntityScale, FeatureKind, FeatureName, Role, Scaler
from anomaly_api.schema import Contract, Duration, list_map, matching, rule

_OF_MODELS: Final = ("scaler", "whole", "role", "direction", "leastDeviation")
"""Fields of a feature that say what models make of it."""

Name = Annotated[
    str,
    Field(max_length=63),
    matching(
        "write lower-case letters, digits and dashes, with a letter or digit at both ends", "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
    ),
]
"""A lower-case DNS label."""


class Source(Contract):
    """Where the readings come from."""

    kafka: KafkaSource
    """Kafka topic with the readings, which is read by a consumer group."""
    format: Format | None = None
    """Notation of the readings in a message. Unset: one JSON object a message."""
    envelope: Envelope | None = None
    """Envelope around each reading. CloudEvents, in structured mode: the fields of a reading are those of the event's data, its
    attributes are in `cloudevent`. Debezium: they are those of the row after the change, what the event says besides is in
    `change`; deleted rows are no readings. Unset: none."""
    filter: Annotated[list[Condition], Field(min_length=1, max_length=16)] | None = None
    """Conditions of which all must hold of a message for it to be a reading; the others are counted (Filtered) and left alone.
    Unset: none. Set it where the topic holds messages of other kinds too; those without any of the features need none, they
    are left alone anyway (NoFeature)."""
    pairs: Pairs | None = None
    """Names and values as pairs, the long format: `{"name": "temperature", "value": 61.2}`. Unset: a message has a field for
    each feature. Together with merge the pairs of several messages become one reading."""
    merge: Merge | None = None
    """Merging of messages that are parts of one reading, by entity and time. Unset: each message is a reading. Set it where a
    message has one feature only, as those of many gateways do."""
    silent_after: Duration | None = None
    """Time without any reading after which the condition ReadingsArriving becomes False (Silent) and an Event says so; Ready
    stays as it is, for a quiet topic is no fault of the detector. Unset: 30 times the usual time between two readings of the
    stream, and not less than ten minutes. Set it where a topic uses to be silent for longer, at night or at weekends, or to
    hear of a silence sooner."""
    max_loss_ratio: Annotated[float, Field(ge=0, le=1)] = 0.01
    """Share of the readings that may be lost (late, there twice, deleted before they were read), default 0.01. When more are,
    the condition ReadingsUsed becomes False (ReadingsLeftOut) within a minute and says what helps; Ready stays as it is.
    Raise it where producers are known to repeat themselves; 1 says nothing, ever."""

    @property
    def schema_registry(self) -> SchemaRegistry | None:
        """Where the schemas of messages are looked up; None: nowhere."""
        return self.format.schema_registry if self.format is not None else None

    @property
    def notation(self) -> Format | None:
        """The format, without where its registry is; None: JSON."""
        return self.format.notation if self.format is not None else None


class Missing(StrEnum):
    """What becomes of a reading that lacks a value, or has null for it."""

    HOLD = "Hold"
    INTERPOLATE = "Interpolate"
    DROP = "Drop"


@rule("!has(self.derived) || !has(self.field)", "a derived feature is computed from others: set field or derived, not both")
@rule(
    "!has(self.derived) || !has(self.kind) || self.kind != 'Counter'",
    "kind Counter is for what stands in readings: give the feature that is derived from the kind Counter, or take rateOfChange",
)
@rule(
    "!has(self.whole) || has(self.kind) && self.kind == 'Ratio' || has(self.scaler) && self.scaler == 'ArcSine'",
    "whole is what a share is of: set kind Ratio, or leave it out",
)
@rule(
    "!has(self.scale) || self.scale == 'Shared' || (!has(self.leastDeviation) && !has(self.whole) "
    "&& (!has(self.scaler) || !(self.scaler in ['Log1p', 'ArcSine'])))",
    "a model sees a feature of scale PerEntity in its entity's own spreads: leave out leastDeviation and whole, and the scalers "
    "Log1p and ArcSine",
)
class Feature(Contract):
    """One number of a reading, or of what is computed from readings."""

    name: FeatureName
    """Name of the feature in models, alerts and reports."""
    field: FieldPath | None = None
    """Field of the reading with the value; dots lead into nested objects: `sensors.temperature`. Unset: the field that is
    called like the feature."""
    missing: Missing = Missing.HOLD
    """Treatment of readings that lack the value, or have null for it, as long as they have one of another feature. Hold, the
    default: the entity's last value, for at most the window's maxGap. Interpolate: a value on the way to the next one, for
    which the reading waits. Drop: windows with such a reading are not scored. What was filled in is counted, and alerts say
    so."""
    kind: FeatureKind = FeatureKind.GAUGE
    """Kind of the number. Gauge, the default: a value that goes up and down. Counter: it only rises, such as energy, bytes or
    requests so far; its rate per second is what is watched. A reading has no rate, as if the value were missing, where it is
    less than the one before (the counter was reset), and where it is the first one or comes after a gap longer than maxGap.
    Ratio: a share of a whole, such as errors by requests or the use of a processor. Latency: a duration or size that is never
    negative and sometimes many times as large as usual. Ratio and Latency decide the scaler."""
    scaler: Scaler | None = None
    """Way in which the model makes the feature comparable with others. Standard: mean and standard deviation, without the
    outermost values. Robust: median and quartiles. MinMax: least and largest value. Log1p: its logarithm, for what is
    sometimes many times as large as usual. ArcSine: the angular transformation of a share. Unset: by the kind, ArcSine for
    Ratio, Log1p for Latency, Standard for others."""
    whole: Annotated[float, Field(gt=0, le=1_000_000_000)] | None = None
    """Value of the whole that a Ratio is a share of: 1, or 100 for percent. Unset: 1 where no value learned from is above it,
    otherwise 100."""
    scale: EntityScale = EntityScale.SHARED
    """Measure of the feature. Shared, the default: values as they are, for all entities alike. PerEntity: each entity by its own
    running centre and spread, so that one model serves meters of 10 and of 10,000; the model decides from an entity's 17th
    reading on. What is out for weeks becomes the entity's size."""
    role: Role = Role.SCORED
    """Use of the feature. Scored, the default: what is unusual in it counts. Context: the model sees it and judges the others by
    it, such as the speed that was set or the temperature outside; its own error does not count."""
    direction: Direction = Direction.BOTH
    """Direction in which a deviation counts. Both, the default. Above: only values above what was expected, such as errors or
    latency, whose fall is good news. Below: only values below it."""
    least_deviation: Annotated[float, Field(gt=0)] | None = None
    """Least deviation from what was expected, in the feature's own unit (of a counter, by the second), that counts: smaller ones
    do not, however unusual they are. Unset: every one counts."""
    derived: Derived | None = None
    """Computation of the feature from others of this list, which are read from the messages. Where one of them is missing, so is
    this one. Unset: it is read itself."""
    text: TextNumbers | None = None
    """Reading of numbers that come as text, such as "181,2 °C"; `{}` reads plain ones, "181.2". Unset: text is no value of the
    feature, and the value is missing."""
    values: Annotated[dict[str, Number], Field(min_length=1, max_length=64)] | None = None
    """Numbers for states, by their names, such as `{RUNNING: 1, STOPPED: 0}`; true and false are states too. A state that is not
    named is missing. Unset: states are no values."""
    missing_values: Annotated[list[Number], Field(min_length=1, max_length=16)] | None = None
    """Numbers that stand for "no value", such as -9999. Unset: none do. What is no number at all (NaN, text, an empty text) is
    missing in any case."""

    @property
    def path(self) -> str:
        """Where the feature stands in a reading."""
        return self.field or self.name

    @property
    def scaling(self) -> Scaler:
        """The scaler, also where the kind decides."""
        if self.scaler is not None or self.scale is EntityScale.PER_ENTITY:
            return self.scaler or Scaler.STANDARD
        return {FeatureKind.RATIO: Scaler.ARC_SINE, FeatureKind.LATENCY: Scaler.LOG1P}.get(self.kind, Scaler.STANDARD)

    @property
    def reading(self) -> dict[str, Any]:
        """What windows depend on, as opposed to what models make of them."""
        counts = {"kind": self.kind is FeatureKind.COUNTER}
        return {name: value for name, value in (self.essentials() | counts).items() if name not in _OF_MODELS}

    @property
    def judged_by_deviation(self) -> bool:
        """Whether a scorer has to have expected values, to judge it as asked."""
        return self.role is Role.CONTEXT or self.least_deviation is not None


@rule("!has(self.every) || self.every <= self.size", "every must not be greater than size: readings would be skipped unseen")
class Window(Contract):
    """The last `size` readings of one entity, scored together; one model and one threshold each."""

    name: Name
    """Name of the window in models, thresholds and alerts."""
    size: Annotated[int, Field(ge=2, le=1024)] = 12
    """Number of readings in a window, default 12. Take a short one for what breaks suddenly, a long one for what drifts."""
    every: Annotated[int, Field(ge=1, le=1024)] = 1
    """Number of readings of the entity between two scores, default 1. Raise it for long windows, to save computing time."""
    max_gap: Duration = "5m"
    """Longest time between two readings of an entity in one window, default 5m: after a longer silence the window starts
    again. It must be longer than the usual interval of your readings."""


Features = Annotated[list[Feature], Field(min_length=1, max_length=128, json_schema_extra=list_map("name"))]
Windows = Annotated[list[Window], Field(min_length=1, max_length=8, json_schema_extra=list_map("name"))]


class Pipeline(Contract):
    """What turns messages into windows; training and scoring must agree on it."""

    entity: Entity
    time: Time
    features: Features
    windows: Windows
    filter: list[Condition] | None = None
    pairs: Pairs | None = None
    merge: Merge | None = None
    silent_after: Duration | None = None
    """Of `entity.silentAfter`: no part of what is learned."""
    labels: dict[str, str] | None = None
    """Of `entity.labels`: no part of what is learned, either."""
    format: Format | None = None
    """Without where its registry is. None: JSON."""
    envelope: Envelope | None = None

    @property
    def read(self) -> list[Feature]:
        """The features that stand in readings."""
        return [feature for feature in self.features if feature.derived is None]

    @property
    def prepares(self) -> bool:
        """Whether features are computed from what is read."""
        return any(feature.derived is not None or feature.kind is FeatureKind.COUNTER for feature in self.features)

    @property
    def is_json(self) -> bool:
        """Whether a message is a JSON object, with nothing around it."""
        return self.envelope is None and (self.format is None or self.format.is_json)

    @property
    def learned(self) -> dict[str, Any]:
        """What a model depends on, without defaults: all of it but how readings are written and waited for."""
        document = self.essentials()
        document.pop("silentAfter", None)
        document.pop("labels", None)
        for arrival in ("lateness", "maxAhead", "maxWaiting"):
            document["time"].pop(arrival, None)
        for written in ("format", "envelope"):
            document.pop(written, None)
        return document
