"""What happens to episodes and limits, as data: what is told, and entities that are forgotten. Nothing is decided here."""

from msgspec import Struct

from anomaly_api.alert import EpisodeReason
from anomaly_detector.core.episodes.episode import Transition
from anomaly_detector.core.episodes.limits import LimitTransition


class EvictedEntity(Struct, frozen=True):
    """An entity that is forgotten: its episodes end without a window."""

    row: int
    """Index of the message that led to it; it comes before the windows of that message."""
    slot: int
    entity: str
    time: int
    """Event time, microseconds since 1970 UTC."""
    reason: EpisodeReason
    by_candidate: bool = False
    """Whether the candidate decided it."""


class EpisodeTransition(Struct, frozen=True):
    """An episode of which there is to be a record."""

    row: int
    """Index of the message that led to it; -1: none did."""
    window: str
    index: int | None
    """Which window of that kind led to it; None: the entity is forgotten, or a change ends it."""
    entity: str
    time: int
    """Event time, microseconds since 1970 UTC."""
    turn: Transition
    reason: EpisodeReason
    start: int
    """Event time of the window that opened it."""
    windows: int
    """From that window to this one."""
    score: float
    """Of this window, or the last one; 1.0 is the threshold."""
    peak: float
    """Highest score of the episode."""
    severity: str
    suppressed_by: str | None = None
    """Why nobody is to be told."""
    by_candidate: bool = False
    """Whether the candidate decided, and not the stable revision."""


class LimitReached(Struct, frozen=True):
    """A limit of which there is to be a record."""

    row: int
    """Index of the message that led to it; -1: none did."""
    time: int
    """Event time, microseconds since 1970 UTC."""
    entity: str
    """That is limited; empty: a partition is."""
    turn: LimitTransition
