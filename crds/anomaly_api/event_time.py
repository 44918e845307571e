"""When a reading was taken: where its time stands, how it is written, how much disorder is tolerated."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from anomaly_api.input import FieldPath
from anomaly_api.schema import Contract, Duration, DurationOrZero, matching, rule


class TimeFormat(StrEnum):
    """How a time is written in a reading."""

    ISO8601 = "Iso8601"
    RFC2822 = "Rfc2822"
    UNIX_SECONDS = "UnixSeconds"
    UNIX_MILLIS = "UnixMillis"
    UNIX_MICROS = "UnixMicros"
    UNIX_NANOS = "UnixNanos"
    PATTERN = "Pattern"


class SameTime(StrEnum):
    """What becomes of a reading that has the entity and the time of another one."""

    DROP = "Drop"
    KEEP = "Keep"


@rule("has(self.field) || self.format == 'Iso8601'", "time.format says how time.field is written: set time.field as well")
@rule(
    "has(self.pattern) == (self.format == 'Pattern')",
    "time.pattern and time.format: Pattern belong together: set both, or neither",
)
@rule(
    "!has(self.zone) || self.format in ['Iso8601', 'Pattern']",
    "time.zone is for local times: the other formats say themselves what time they mean",
)
class Time(Contract):
    """When a reading was taken (event time)."""

    field: FieldPath | None = None
    """Field of the reading with the time at which it was taken. Unset: the message's own timestamp. Set it where messages are
    sent later than they were measured."""
    format: TimeFormat = TimeFormat.ISO8601
    """Notation of the time in `field`. Default Iso8601; Rfc2822 is that of mail and HTTP; UnixSeconds, UnixMillis, UnixMicros
    and UnixNanos are numbers, or text that is one; Pattern is any other, written in `pattern`."""
    pattern: (
        Annotated[
            str,
            Field(max_length=64),
            matching(
                "write the time by the directives %Y %y %m %d %j %b %B %a %A %H %I %M %S %f %p %z %%, such as %d.%m.%Y %H:%M:%S",
                r"^([^%]|%[YymdjbBaAHIMSfpz%])+$",
                r"%[YymdjbBaAHIMSfpz]",
            ),
        ]
        | None
    ) = None
    """Notation of the time by directives as those of strptime, such as `%d.%m.%Y %H:%M:%S`; %f takes up to nine digits, of which
    six count. Unset: `format` says it."""
    zone: (
        Annotated[
            str,
            Field(max_length=64),
            matching("write a time zone by its IANA name, such as Europe/Berlin", r"^[A-Za-z0-9_+/-]+$"),
        ]
        | None
    ) = None
    """Time zone of times without an offset, such as Europe/Berlin. In the hour that clocks go through twice, a time is the one
    that is nearer to the message's own timestamp. Unset: UTC."""
    same_time: SameTime = SameTime.DROP
    """Treatment of a reading with the entity and time of the one before. Drop, the default: it is a repetition and left out.
    Keep: it is one more reading, a microsecond later, in the order of the topic. Take Keep where clocks tell seconds only and
    there are several readings a second."""
    lateness: DurationOrZero = "0s"
    """Time, in event time, that a reading waits for earlier ones of its entity that come after it: it is used once its entity
    has sent one that is so much newer. Default 0s: no waiting, and what comes out of order is late. Late readings are counted
    and left out: raise it when there are many."""
    max_ahead: Duration = "1h"
    """Tolerance for clocks that are fast, default 1h. With `field` a reading's time is compared with the message's own
    timestamp, without with the pod's clock; beyond this the message becomes a dead letter. Were it believed, everything after
    it would be late."""
    max_waiting: Annotated[int, Field(ge=1, le=1024)] = 64
    """Number of further readings of its entity that a reading waits for at most, whatever `lateness` asks for, default 64:
    memory stays bounded. Raise it where an entity sends more than that within `lateness`."""
