"""What a time in a message is, in microseconds since 1970: numbers of four units, ISO 8601, RFC 2822, patterns, local times."""

import math
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from anomaly_api.source import Time, TimeFormat
from anomaly_detector.core.columns import MICROSECONDS

EARLIEST: Final = -62_135_596_800 * MICROSECONDS
LATEST: Final = 253_402_300_800 * MICROSECONDS - 1
"""The years 1 to 9999: what an alert can write down."""
WRITTEN: Final = {
    TimeFormat.ISO8601: "text such as 2026-01-31T10:00:00Z",
    TimeFormat.RFC2822: "text such as Sat, 31 Jan 2026 10:00:00 +0000",
    TimeFormat.UNIX_SECONDS: "a number of seconds since 1970",
    TimeFormat.UNIX_MILLIS: "a number of milliseconds since 1970",
    TimeFormat.UNIX_MICROS: "a number of microseconds since 1970",
    TimeFormat.UNIX_NANOS: "a number of nanoseconds since 1970",
    TimeFormat.PATTERN: "text as time.pattern says",
}
PER_MICROSECOND: Final = {
    TimeFormat.UNIX_SECONDS: 1e6,
    TimeFormat.UNIX_MILLIS: 1e3,
    TimeFormat.UNIX_MICROS: 1.0,
    TimeFormat.UNIX_NANOS: 1e-3,
}
"""Microseconds in a unit."""
_NO_TIME: Final = 10**21
"""A number that is in no calendar in any unit; a whole number may have thousands of digits, and then becomes no float."""
_PLAUSIBLE: Final = (631_152_000 * MICROSECONDS, 4_102_444_800 * MICROSECONDS)
"""The years 1990 to 2100: what another unit has to mean before it is thought of."""
DOUBTFUL: Final = (365 * 86_400 * MICROSECONDS, 7_258_118_400 * MICROSECONDS)
"""The years 1971 to 2200: nothing is asked of times in these."""
_FRACTION: Final = re.compile(r"(\.\d{6})\d{1,3}(?!\d)")
_FEW: Final = 64
"""Characters of a time that is text."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_TICK: Final = timedelta(microseconds=1)

_Parse = Callable[[str], datetime]


def doubtful(micros: int) -> bool:
    """Whether a time is so far off that its unit may be another one."""
    return not DOUBTFUL[0] <= micros <= DOUBTFUL[1]


class TimeReader:
    """Reads times as a spec says."""

    def __init__(self, time: Time) -> None:
        self.format = time.format
        self.factor = PER_MICROSECOND.get(time.format)
        """Microseconds in a unit; None: it is text."""
        self._zone = _zone(time.zone) if time.zone else None
        self._parse = _parser(time)

    @property
    def plain(self) -> bool:
        """Whether it is text that msgspec reads as well: ISO 8601, in UTC where it has no offset."""
        return self.format is TimeFormat.ISO8601 and self._zone is None

    def read(self, found: Any, stamp_ms: int) -> int | None:
        """Microseconds since 1970 UTC; `stamp_ms` is the message's own timestamp. None: it is no time of the years 1 to 9999."""
        if self.factor is not None:
            return self._number(found)
        if not isinstance(found, str) or len(found) > _FEW:
            return None
        try:
            at = self._parse(found)
            micros = (self._local(at, stamp_ms) if at.tzinfo is None else at - _EPOCH) // _TICK
        except (TypeError, ValueError, OverflowError):
            return None
        return micros if EARLIEST <= micros <= LATEST else None

    def wrong_unit(self, found: Any) -> str:
        """The unit that would make a plausible time of a number, with the year, for people; empty where its own unit does."""
        if self.factor is None:
            return ""
        number = _number(found)
        if number is None or not doubtful(_rounded(number * self.factor)):
            return ""
        now = _year(_rounded(number * self.factor))
        for other, factor in PER_MICROSECOND.items():
            micros = _rounded(number * factor)
            if other is not self.format and _PLAUSIBLE[0] <= micros <= _PLAUSIBLE[1]:
                return f"as {self.format.value} it is {now}, as {other.value} it would be {_year(micros)}"
        return ""

    def _number(self, found: Any) -> int | None:
        number = _number(found)
        if number is None:
            return None
        micros = _rounded(number * (self.factor or 1.0))
        if not EARLIEST <= micros <= LATEST or (doubtful(micros) and self.wrong_unit(found)):
            return None
        return micros

    def _local(self, at: datetime, stamp_ms: int) -> timedelta:
        """Since 1970; of the two times that a repeated hour may mean, the one that is nearer to the message's own."""
        if self._zone is None:
            return at.replace(tzinfo=UTC) - _EPOCH
        first, second = (at.replace(tzinfo=self._zone, fold=fold) - _EPOCH for fold in (0, 1))
        if first < second and stamp_ms >= 0:
            own = timedelta(milliseconds=stamp_ms)
            return second if abs(second - own) < abs(first - own) else first
        return first


def _number(found: Any) -> float | None:
    """A number, or text that is one."""
    if isinstance(found, str):
        try:
            found = float(found) if len(found) <= _FEW and "_" not in found else None
        except ValueError:
            return None
    if type(found) is float:
        return found if math.isfinite(found) and abs(found) < _NO_TIME else None
    return float(found) if type(found) is int and abs(found) < _NO_TIME else None


def _rounded(micros: float) -> int:
    return round(micros)


def _year(micros: int) -> str:
    """The year, about, of any number of microseconds.

    >>> _year(0), _year(1_764_000_000_000_000_000)
    ('the year 1970', 'the year 57,869')
    """
    year = 1970 + micros // (31_556_952 * MICROSECONDS)
    return f"the year {year:,}" if year >= 10_000 else f"the year {year}"


def _zone(name: str) -> ZoneInfo | timezone:
    """UTC where nobody knows the name: the operator has refused such a spec."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return UTC


def _parser(time: Time) -> _Parse:
    if time.format is TimeFormat.RFC2822:
        return _rfc2822
    if time.format is TimeFormat.PATTERN:
        pattern = time.pattern or ""
        return lambda text: datetime.strptime(_FRACTION.sub(r"\1", text), pattern)  # noqa: DTZ007 - it may well be a local time
    return lambda text: datetime.fromisoformat(text)


def _rfc2822(text: str) -> datetime:
    at = parsedate_to_datetime(text)
    return at if at.tzinfo else at.replace(tzinfo=UTC)
