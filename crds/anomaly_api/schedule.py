"""Cron schedules in a time zone: when a suppression holds, when a training is due. Functions of time; nobody's clock is read.

    schedule 0 2 * * 6, duration 2h        Sat 02:00     04:00            Sat 02:00     04:00
                                           |= holds =====|                |= holds =====|

Clocks that change are treated as Debian's cron does: what falls into an hour that does not exist begins right after it, and a
job of a fixed hour does not begin twice in an hour that comes twice.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Final

from anomaly_api.alerting import AlertPolicy, Suppression
from anomaly_api.learning import Training
from anomaly_api.schema import seconds

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_MINUTE: Final = 60_000_000
_REPEATED: Final = timedelta(hours=3)
"""More than any clock is put back."""
_MINUTES_KEPT: Final = 4096
_ASKED_AGAIN: Final = 4096
"""Of a schedule at rest the same is asked at each look."""


class ScheduleError(ValueError):
    """A schedule that the schema allows and that makes no sense; the message says what to correct."""


def holding(suppression: Suppression) -> Callable[[int], bool]:
    """Whether it holds at a time in microseconds since 1970 UTC. Raises ScheduleError."""
    if suppression.schedule is None:
        assert suppression.from_ is not None and suppression.until is not None, "the schema asks for them"  # noqa: PT018 - for mypy
        begin, end = _moment("from", suppression.from_), _moment("until", suppression.until)
        return lambda time: begin <= time < end
    assert suppression.duration is not None, "the schema asks for it"
    latest = _latest(suppression.schedule, _zone(suppression.time_zone))
    length = round(seconds(suppression.duration) * 1_000_000)

    def holds(time: int) -> bool:
        start = latest(time // _MINUTE)
        return start is not None and time < start + length

    return holds


def flaws(policy: AlertPolicy, training: Training | None = None) -> list[str]:
    """What is wrong with the schedules of a spec, a sentence each; the API server cannot see it."""
    found = []
    for suppression in policy.suppress or ():
        try:
            holding(suppression)
        except ScheduleError as error:
            found.append(f"spec.alerts.suppress[{suppression.name}].{error}")
    if training is not None and training.schedule is not None:
        try:
            following(training.schedule, training.time_zone, 0.0)
        except ScheduleError as error:
            found.append(f"spec.training.{error}")
    return found


@lru_cache(_ASKED_AGAIN)
def following(schedule: str, time_zone: str | None, after: float) -> float | None:
    """When it begins next after a time in Unix seconds; None: never again. Raises ScheduleError."""
    zone = _zone(time_zone)
    _check(schedule)
    from cronsim import CronSim

    try:
        begin = datetime.fromtimestamp(after, UTC).astimezone(zone)
        return next(start for each in CronSim(schedule, begin) if (start := each.timestamp()) > after)
    except (StopIteration, OverflowError, ValueError):
        return None


def latest(schedule: str, time_zone: str | None, until: float) -> float | None:
    """When it began last, at or before a time in Unix seconds; None: never before. Raises ScheduleError."""
    found = _latest(schedule, _zone(time_zone))(int(until // 60))
    return None if found is None else found / 1_000_000


def _check(schedule: str) -> None:
    """Raises ScheduleError for one that never comes."""
    from cronsim import CronSim, CronSimError  # only those who have a schedule wait for it

    try:
        CronSim(schedule, _EPOCH)
    except CronSimError as error:
        text = f"schedule: {schedule!r} never comes or is no range ({error}): write for example 0 2 * * 6"
        raise ScheduleError(text) from None


def _latest(schedule: str, zone: tzinfo) -> Callable[[int], int | None]:
    """When it began last, at or before a minute since 1970 UTC; microseconds. It looks at most fifty years back."""
    _check(schedule)
    from cronsim import CronSim

    @lru_cache(_MINUTES_KEPT)
    def latest(minute: int) -> int | None:
        try:
            after = (_EPOCH + timedelta(minutes=minute + 1)).astimezone(zone)
            if after.fold:  # in an hour that comes again what began in its first run would not be found
                after = (_EPOCH + timedelta(minutes=minute + 1) + _REPEATED).astimezone(zone)
            starts = (_micros(start) for start in CronSim(schedule, after, reverse=True))
            return next(start for start in starts if start < (minute + 1) * _MINUTE)
        except (StopIteration, OverflowError, ValueError):  # at the ends of the calendar there is nothing to suppress
            return None

    return latest


def _zone(name: str | None) -> tzinfo:
    if name is None:
        return UTC
    from zoneinfo import ZoneInfo

    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ScheduleError(f"timeZone: there is no time zone {name!r}: write for example Europe/Berlin or UTC") from None


def _moment(field: str, text: str) -> int:
    try:
        return _micros(datetime.fromisoformat(text))
    except ValueError:
        raise ScheduleError(f"{field}: there is no such day or time: {text}") from None


def _micros(moment: datetime) -> int:
    return (moment - _EPOCH) // _MICROSECOND
