"""Feedback: labels that people and programs give, as records of a topic, and what a user asks to be done with them."""

from enum import StrEnum
from typing import Annotated, Any, Final

from pydantic import Field, model_validator

from anomaly_api.alerting import Moment
from anomaly_api.schema import Contract, Duration
from anomaly_api.source import TopicName

_MOST_NOTE: Final = 4096


class LabelKind(StrEnum):
    """What somebody says of an episode, or of a time.

    TrueAlarm: there was something. FalseAlarm: there was nothing. Missed: there was something, and no alert. Normal: what the
    entity does since then is normal now.
    """

    TRUE_ALARM = "TrueAlarm"
    FALSE_ALARM = "FalseAlarm"
    MISSED = "Missed"
    NORMAL = "Normal"


class Label(Contract):
    """A record of the labels topic, JSON: about an episode, or about an entity and a time. Of two about one, the later counts."""

    label: LabelKind
    episode: Annotated[str, Field(pattern="^[0-9a-f]{32}$")] | None = None
    """`data.episode` of its alerts."""
    entity: Annotated[str, Field(min_length=1, max_length=1024)] | None = None
    from_: Annotated[Moment | None, Field(alias="from")] = None
    """RFC 3339, with `until`: event time."""
    until: Moment | None = None
    by: Annotated[str, Field(min_length=1, max_length=253)]
    """Who says so."""
    note: Annotated[str, Field(max_length=_MOST_NOTE)] = ""

    @model_validator(mode="after")
    def _says_of_what(self) -> "Label":
        by_time = (self.entity, self.from_, self.until)
        if self.label is LabelKind.MISSED and (self.episode or None in by_time):
            raise ValueError("Missed needs entity, from and until: there is no episode of it")
        if not self.episode and None in by_time:
            raise ValueError("say of what: set episode, or entity, from and until")
        return self


class FeedbackThreshold(Contract):
    """How far labels move the threshold."""

    labels: Annotated[int, Field(ge=1, le=100_000)] = 20
    """Number of labels of a model's alerts before they move its threshold, default 20."""
    max_factor: Annotated[float, Field(ge=1, le=10)] = 1.5
    """Factor by which labels raise the threshold at most, and lower it at most, default 1.5. 1: they leave it alone."""


class Feedback(Contract):
    """What is done with labels. They keep what was wrong out of training, say how precise alerts are, and move the threshold."""

    topic: TopicName | None = None
    """Topic that the labels are read from. Unset: `<source topic>.labels`. Who may write to it has a say in what is alerted."""
    last: Duration = "30d"
    """Length of the past whose labels and alerts count, by message time, default 30d."""
    threshold: FeedbackThreshold = Field(default_factory=FeedbackThreshold)
    """The bounds within which labels move the threshold: false alarms raise it, missed ones lower it."""


class RevisionFeedback(Contract):
    """What people said of the alerts of one revision. The same in every pod that has read as far."""

    revision: str
    model: str | None = None
    """Digest of its model."""
    episodes: int = 0
    """Announced, of the time that counts."""
    true_alarms: int = 0
    false_alarms: int = 0
    """Of them, episodes that were said to be nothing, or to be normal now."""
    missed: int = 0
    """Times at which there should have been an alert, since its first one and before the next revision's."""


class FeedbackEvidence(Contract):
    """What a pod has read of labels. It is a function of the two topics, and not of the pod."""

    labels: int = 0
    """Labels read."""
    rejected: int = 0
    """Records that are no labels."""
    recent_reject: str = ""
    """For people."""
    revisions: list[RevisionFeedback] = []
    message: str = ""
    """Why labels cannot be read, for people; empty: they can."""
    normal_since: float | None = None
    """When somebody said last that something is normal now, in Unix seconds."""


def precision(feedback: RevisionFeedback) -> float | None:
    """Share of the labelled alerts that were right; None where none is labelled."""
    labelled = feedback.true_alarms + feedback.false_alarms
    return feedback.true_alarms / labelled if labelled else None


def record(label: Label) -> dict[str, Any]:
    """The record's value as a plain JSON value."""
    return label.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
