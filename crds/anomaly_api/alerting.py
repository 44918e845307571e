"""When a score becomes an alert: opening, closing, severity, updates, and what holds alerts back. It decides nothing."""

from typing import Annotated, Final

from pydantic import Field

from anomaly_api.alert import ACCEPTED, COOLDOWN
from anomaly_api.schema import Contract, Duration, DurationOrZero, list_map, matching, rule
from anomaly_api.source import Name, TopicName


class Opening(Contract):
    """What opens an episode."""

    above: Annotated[float, Field(gt=0, le=1000)] = 1.0
    """Score above which a window counts towards an opening, default 1.0, which is the threshold."""
    windows: Annotated[int, Field(ge=1, le=1000)] = 2
    """Number of such windows in a row that open an episode, default 2. Raise it to ignore short peaks."""


class Closing(Contract):
    """What closes an episode."""

    below: Annotated[float, Field(gt=0, le=1000)] = 0.8
    """Score below which a window counts towards the closing, default 0.8. Keep it below open.above, so that episodes do not
    flap."""
    windows: Annotated[int, Field(ge=1, le=1000)] = 5
    """Number of such windows in a row that close an episode, default 5. Raise it where alarms come and go."""


class Updating(Contract):
    """When an open episode is reported again; a severity that rises is reported at once, whatever stands here."""

    every: DurationOrZero = "15m"
    """Event time since the last record after which an open episode is reported again, default 15m. 0s: never for this
    reason."""
    growth: Annotated[float, Field(gt=1, le=1000)] = 2.0
    """Growth of the peak since the last record, as a factor, at which an open episode is reported again, default 2."""


class Severity(Contract):
    """A name for how bad an episode is."""

    name: Name
    """Name of the severity in alerts, for example warning or critical."""
    above: Annotated[float, Field(ge=0, le=100_000)]
    """Score from which the severity applies. 1.0 is the threshold, 2.0 has the square of its probability, whatever the model."""
    for_: Annotated[Duration | None, Field(alias="for")] = None
    """Event time for which the score must have stayed that high, in every window, before the severity applies. Unset: it
    applies at once."""


_FOR: Final = "(has({0}.__for__) ? {0}.__for__ : '')"
_DISTINCT: Final = {
    "rule": f"self.all(one, self.exists_one(other, other.above == one.above && {_FOR.format('other')} == {_FOR.format('one')}))",
    "message": "severities must differ in above or in for: a score would have two of them",
}
Severities = Annotated[
    list[Severity],
    Field(min_length=1, max_length=8, json_schema_extra={**list_map("name"), "x-kubernetes-validations": [_DISTINCT]}),
]


_WARNING: Final = 1.0


def _severities() -> list[Severity]:
    return [Severity(name="warning", above=_WARNING), Severity(name="critical", above=2.0)]


def _cron_field(number: str, names: str = "") -> str:
    value = f"({number}|{names})" if names else f"({number})"
    item = rf"(\*|{value}(-{value})?)(/[1-9][0-9]?)?"
    return f"{item}(,{item})*"


_MONTHS: Final = "(?i:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)"
_DAYS: Final = "(?i:sun|mon|tue|wed|thu|fri|sat)"
_CRON: Final = " +".join(
    (
        _cron_field("[0-5]?[0-9]"),
        _cron_field("[01]?[0-9]|2[0-3]"),
        _cron_field("0?[1-9]|[12][0-9]|3[01]"),
        _cron_field("0?[1-9]|1[0-2]", _MONTHS),
        _cron_field("[0-7]", _DAYS),
    )
)
Cron = Annotated[
    str,
    Field(max_length=128),
    matching("write five fields of cron: minute, hour, day of month, month, day of week, such as 0 2 * * 6", f"^{_CRON}$"),
]
"""When something begins, as in crontab(5)."""
TimeZone = Annotated[
    str,
    Field(max_length=64),
    matching("write the name of a time zone, such as Europe/Berlin or UTC", "^[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*$"),
]
_DATE: Final = "[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
_CLOCK: Final = "([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]"
_MOMENT: Final = rf"^{_DATE}T{_CLOCK}(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$"
Moment = Annotated[
    str,
    Field(max_length=32),
    matching("write a time with its offset, such as 2026-12-24T18:00:00Z or 2026-12-24T18:00:00+01:00", _MOMENT),
]


@rule(
    "has(self.schedule) != has(self.from) && has(self.schedule) == has(self.duration) && has(self.from) == has(self.until)",
    "set either schedule and duration, or from and until",
)
@rule(
    f"!has(self.from) || !has(self.until) || !self.from.matches(r'{_MOMENT}') || !self.until.matches(r'{_MOMENT}') "
    "|| timestamp(self.from) < timestamp(self.until)",
    "until must be later than from: nothing would be suppressed",
)
@rule(f"self.name != '{COOLDOWN}'", f"{COOLDOWN} is what records say that the cooldown suppresses: choose another name")
@rule(f"self.name != '{ACCEPTED}'", f"{ACCEPTED} is what records say of what somebody called normal: choose another name")
@rule("!has(self.timeZone) || has(self.schedule)", "timeZone says where schedule is read: set schedule as well")
class Suppression(Contract):
    """A time during which new episodes are recorded, marked as suppressed, and announced to nobody, such as maintenance."""

    name: Name
    """Name of the rule; records that it suppresses have it as `suppressedBy`."""
    schedule: Cron | None = None
    """Times at which the suppression begins: cron, minute to day of week, such as 0 2 * * 6. Set duration, too."""
    duration: Duration | None = None
    """Length of the suppression after each time of schedule. Set it with schedule."""
    time_zone: TimeZone | None = None
    """Time zone in which schedule is read, such as Europe/Berlin. Unset: UTC."""
    from_: Annotated[Moment | None, Field(alias="from")] = None
    """Time at which a suppression begins that comes only once. Set until, too."""
    until: Moment | None = None
    """Time at which a suppression ends that comes only once; it is not part of it. Set it with from."""
    entities: Annotated[str, Field(min_length=1, max_length=253)] = "*"
    """Entities that are suppressed: a pattern with * for any text, ? for any character and [abc] for one of some. Default *,
    all."""


Suppressions = Annotated[list[Suppression], Field(max_length=32, json_schema_extra=list_map("name"))]


class Limit(Contract):
    """How many episodes are announced at most."""

    episodes: Annotated[int, Field(ge=1, le=1_000_000)]
    """Number of episodes that are announced at most within `per`."""
    per: Duration
    """Length of event time that `episodes` refers to; it begins with the first of them."""


@rule("has(self.perEntity) || has(self.total)", "set perEntity, total, or both")
class Limits(Contract):
    """How many episodes are announced at most. What is beyond leaves no record of its own: it is counted, and a record of type
    dev.anomaly-operator.alerts.limited says so when it begins and when it is over; what is still open then is announced.
    """

    per_entity: Limit | None = None
    """Limit for each entity, over all its windows. Unset: none."""
    total: Limit | None = None
    """Limit for all entities together. Every partition of the topic has an equal share of it, rounded up, because what
    becomes of a partition may not depend on the others. Unset: none."""


class AlertPolicy(Contract):
    """When episodes open and close, how bad they are, and which are announced. Part of a revision."""

    open: Opening = Field(default_factory=Opening)
    """Condition on which an episode opens: by default two windows in a row above the threshold."""
    close: Closing = Field(default_factory=Closing)
    """Condition on which an episode closes again: by default five windows in a row below 80 percent of the threshold."""
    update: Updating = Field(default_factory=Updating)
    """Conditions on which an open episode is reported again; a severity that rises is reported at once, whatever stands
    here."""
    severities: Severities = Field(default_factory=_severities)
    """Severities by score. An episode has the highest one that it has reached: the one with the highest `above`, then the
    longest `for`. It never falls while the episode is open. Unset: warning above 1.0 and critical above 2.0."""
    cooldown: DurationOrZero = "10m"
    """Event time after an announced episode has closed in which another one of the same entity and window is recorded, marked
    as suppressed, and not announced, unless it is more severe; if it is still open afterwards, it is announced. Default 10m.
    0s: none."""
    suppress: Suppressions | None = None
    """Times, such as maintenance, during which new episodes are recorded, marked as suppressed, and announced to nobody;
    those still open when it is over are announced then. Unset: none."""
    limits: Limits | None = None
    """Limits on the number of episodes that are announced, so that one broken sensor does not drown the others. What is
    beyond is counted. Unset: no limit."""


@rule("self.close.below <= self.open.above", "close.below must not be above open.above: an episode would close as it opens")
@rule(
    "has(self.severities) ? self.severities.exists(severity, severity.above <= self.open.above && !has(severity.__for__)) "
    f": self.open.above >= {_WARNING}",
    "one severity must begin at or below open.above, without for: an episode could open without any",
)
class Alerts(AlertPolicy):
    """What becomes an alert, and where alerts go."""

    topic: TopicName | None = None
    """Topic for alerts. Unset: `<source topic>.alerts`. It must exist, or the broker must create topics."""
    dead_letter_topic: TopicName | None = None
    """Topic for messages that could not be read, with the reason. Unset: `<source topic>.dead-letters`. It must exist, or the
    broker must create topics."""
