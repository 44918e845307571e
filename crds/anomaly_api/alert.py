"""The alert: a CloudEvents 1.0 envelope in structured mode, keyed by entity. Ids come from what happened, never from chance."""

from enum import StrEnum
from typing import Final, Literal

from anomaly_api.schema import Contract


class EpisodeEvent(StrEnum):
    """What happened to an episode."""

    OPENED = "dev.anomaly-operator.episode.opened"
    UPDATED = "dev.anomaly-operator.episode.updated"
    CLOSED = "dev.anomaly-operator.episode.closed"


class EpisodeReason(StrEnum):
    """Why there is a record."""

    OPENED = "Opened"
    """Enough windows in a row were above the threshold."""
    RELEASED = "Released"
    """What held it back (a suppression, the cooldown, a limit) is over, and it is still open; or it became more severe than
    the episode whose cooldown held it back."""
    SEVERITY_ROSE = "SeverityRose"
    PEAK_GREW = "PeakGrew"
    STILL_OPEN = "StillOpen"
    RECOVERED = "Recovered"
    """Enough windows in a row were low."""
    EVICTED = "Evicted"
    """The entity was forgotten to stay within the memory budget: nobody knows how it goes on."""
    IDLE = "Idle"
    """The entity was forgotten because it has sent nothing for long."""
    REPLACED = "Replaced"
    """An edit of the spec took its window away, or changed entity, time or features, so that all windows begin anew."""
    ACCEPTED = "Accepted"
    """Somebody said that this is normal now (a label of kind Normal)."""
    BEGUN_ANEW = "BegunAnew"
    """What was known of its partition is void: the topic was made anew, or the group has lost its position."""


COOLDOWN: Final = "cooldown"
"""In `suppressedBy`, where no rule's name stands."""
ACCEPTED: Final = "accepted"
"""The same, of what comes after an episode that somebody called normal, until it is worse or another model decides."""
LIMITED: Final = "dev.anomaly-operator.alerts.limited"


class ScorerKind(StrEnum):
    """What computed a score."""

    AUTOENCODER = "Autoencoder"
    PCA = "Pca"
    ISOLATION_FOREST = "IsolationForest"
    LOCAL_OUTLIER_FACTOR = "LocalOutlierFactor"
    SEASONAL = "Seasonal"
    BOUNDS = "Bounds"
    ENSEMBLE = "Ensemble"
    STATISTICAL = "Statistical"
    IMPORTED = "Imported"
    SILENCE = "Silence"
    """None: the entity has sent nothing for longer than entity.silentAfter."""


class Contributor(Contract):
    """How much a feature added to a score."""

    feature: str
    share: float
    """Of the window's error, 0 to 1."""
    actual: float
    """Newest value in the window, in the reading's own unit."""
    expected: float | None = None
    """What the model would have found normal for it, in the same unit; unset where its kind has no such value."""
    imputed: bool = False
    """Whether the reading lacked the value, and `actual` was filled in."""


class CloudEvent(Contract):
    """What all records of the alerts topic have. Attribute names are CloudEvents', lower case throughout."""

    specversion: Literal["1.0"] = "1.0"
    type: str
    source: str
    id: str
    """Derived from what happened, and when in event time: the same whenever it is written."""
    subject: str
    """What it is about; also the record's key."""
    time: str
    """Event time, RFC 3339."""
    datacontenttype: Literal["application/json"] = "application/json"
    traceparent: str | None = None
    """W3C trace context of the reading that led to it, where it had one; also a header of the record."""
    tracestate: str | None = None


class AlertData(Contract):
    """The episode, as of this record.

    Without the records that are `suppressed`, an episode has either none, or one that opens it, any number that update it,
    and one that closes it, in this order. With them it may have a second one that opens it, when it is announced at last.
    """

    episode: str
    """Id of the episode: the same in all its records."""
    entity: str
    window: str
    """Name of the window."""
    reason: EpisodeReason
    """Why there is this record."""
    suppressed: bool
    """Whether it is for the record only, and nobody is to be told."""
    suppressed_by: str | None = None
    """Name of the rule in alerts.suppress, `cooldown` or `accepted`."""
    start: str
    """Event time of the window that opened the episode, RFC 3339."""
    end: str | None = None
    """Event time at which it closed."""
    duration_seconds: float
    """Event time from start to this record."""
    windows: int
    """Windows from the one that opened it to this one."""
    score: float
    """Of this window, or of the last one where none led to the record; 1.0 is the threshold."""
    peak: float
    """Highest score of the episode so far."""
    severity: str
    """Highest severity of the episode so far."""
    threshold: float
    """As the model computes scores."""
    scorer: ScorerKind
    model: str | None = None
    """Digest of the model's artifact."""
    revision: str
    """That decided; of an episode that a change of the revision ended, the one before."""
    contributors: list[Contributor]
    """Of this window, by falling share; at most five. None where no window led to the record."""
    labels: dict[str, str] = {}
    """Of the entity (`entity.labels`), as the reading has them that led to the record; none where no reading of its own did."""
    imputed: int = 0
    """Values of the window that were filled in, because they were missing."""


class Alert(CloudEvent):
    """A record of an episode. Its `id` is derived from detector, entity, window, start of the episode, kind of event and time."""

    type: EpisodeEvent
    subject: str
    """The entity."""
    data: AlertData

    @property
    def announces(self) -> bool:
        """Whether people hear of the episode by it."""
        return self.type is EpisodeEvent.OPENED and not self.data.suppressed


class LimitKind(StrEnum):
    """Which limit of alerts.limits; a metric label."""

    PER_ENTITY = "PerEntity"
    TOTAL = "Total"


class LimitData(Contract):
    """A limit that holds episodes back."""

    limit: LimitKind
    entity: str | None = None
    """Of PerEntity."""
    partition: int | None = None
    """Of Total: partition of the source topic."""
    episodes: int
    """Episodes that are announced at most, of this entity or in this partition."""
    start: str
    """Event time of the first of them, RFC 3339."""
    until: str
    """Event time up to which they are counted, and no more are announced."""
    end: str | None = None
    """Event time at which it was over; unset: it has begun."""
    dropped: int
    """Episodes held back so far. Those that are still open when it is over are announced then."""


class LimitAlert(CloudEvent):
    """A record of the alerts topic that says that others are missing: one when it begins, one when it is over."""

    type: Literal["dev.anomaly-operator.alerts.limited"] = LIMITED
    subject: str
    """The entity, or `partition-<number>` of the source topic."""
    data: LimitData


class DeadLetterReason(StrEnum):
    """Why a message could not be read; a header of its dead-letter record and a metric label."""

    NOT_JSON = "NotJson"
    NOT_AN_OBJECT = "NotAnObject"
    ENTITY_MISSING = "EntityMissing"
    ENTITY_INVALID = "EntityInvalid"
    TIME_MISSING = "TimeMissing"
    TIME_INVALID = "TimeInvalid"
    FUTURE_TIME = "FutureTime"
    FEATURE_MISSING = "FeatureMissing"
    FEATURE_INVALID = "FeatureInvalid"
    TOO_LARGE = "TooLarge"
    EMPTY = "Empty"
    MALFORMED = "Malformed"
    """It is not written in the format of `source.format`."""
    SCHEMA_UNKNOWN = "SchemaUnknown"
    """It has no schema's id, or one that the registry does not know or that cannot be read."""
    NOT_A_LABEL = "NotALabel"
    """A record of the labels topic (spec.feedback)."""


class NotReading(StrEnum):
    """Why a message is no reading of this detector, though nothing is wrong with it; a metric label."""

    TOMBSTONE = "Tombstone"
    """It has no value: a compacted topic deletes a key by it."""
    NO_FEATURE = "NoFeature"
    """It has none of the fields of the features: it is about something else."""
    FILTERED = "Filtered"
    """source.filter leaves it out."""


class UndeliverableReason(StrEnum):
    """Why the dead-letter topic takes a message in no form, so that it is lost; a metric label."""

    KEY_MISSING = "KeyMissing"
    """The topic is compacted, and the message has no key."""
    TOO_LARGE = "TooLarge"
    """Not even its beginning fits into the topic's max.message.bytes."""
