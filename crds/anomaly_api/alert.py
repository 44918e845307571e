"""The alert: a CloudEvents 1.0 envelope in structured mode, keyed by entity. Ids come from what happened, never from chance."""

from enum import StrEnum
from typing import Literal

from anomaly_api.schema import Contract


class EpisodeEvent(StrEnum):
    """What happened to an episode."""

    OPENED = "dev.anomaly-operator.episode.opened"
    CLOSED = "dev.anomaly-operator.episode.closed"


class ScorerKind(StrEnum):
    """What computed a score."""

    AUTOENCODER = "Autoencoder"
    STATISTICAL = "Statistical"
    IMPORTED = "Imported"


class Contributor(Contract):
    """How much a feature added to a score."""

    feature: str
    share: float
    """Of the window's error, 0 to 1."""
    actual: float
    """Newest value in the window, in the reading's own unit."""
    expected: float
    """What the model would have found normal for it, in the same unit."""


class AlertData(Contract):
    """The episode."""

    episode: str
    """Id of the episode."""
    entity: str
    window: str
    """Name of the window."""
    start: str
    """Event time of the window that opened it, RFC 3339."""
    end: str | None = None
    """Event time of the window that closed it."""
    score: float
    """1.0 is the threshold."""
    peak: float
    """Highest score of the episode so far."""
    threshold: float
    """As the model computes scores."""
    severity: str
    scorer: ScorerKind
    model: str | None = None
    """Digest of the model's artifact."""
    revision: str
    contributors: list[Contributor]
    """By falling share; at most five."""


class Alert(Contract):
    """The record of the alerts topic. Its attribute names are CloudEvents', lower case throughout."""

    specversion: Literal["1.0"] = "1.0"
    type: EpisodeEvent
    source: str
    id: str
    """Derived from detector, entity, window, start of the episode and kind of event."""
    subject: str
    """The entity."""
    time: str
    """Event time, RFC 3339."""
    datacontenttype: Literal["application/json"] = "application/json"
    data: AlertData


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
