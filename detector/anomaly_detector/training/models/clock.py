"""Hour and weekday as inputs of a model: cyclic, in a time zone, computed from the windows' event times inside the graph.

    hour      sin and cos of 1 to 6 times the angle of the hand of a 24-hour clock
    weekday   sin and cos of 1 to 3 times the angle of the day in its week
    both      these, and all products of one with the other: a Saturday has a course of its own

Summer time is a table of the moments at which the zone's offset changes, thirty years ahead; a model that is older than that, or
than a change of the law, is trained again.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import torch
from torch import nn

from anomaly_api.kinds import TimeInputs
from anomaly_detector.core.columns import MICROSECONDS

DAY: Final = 86_400 * MICROSECONDS
_HOURS, _WEEKDAYS = 6, 3
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_FROM_MONDAY: Final = 3
"""1970 began with a Thursday."""
_BEFORE: Final = timedelta(days=3660)
_AHEAD: Final = timedelta(days=30 * 366)


class UnknownZoneError(ValueError):
    """There is no such time zone."""


class Clock(nn.Module):
    """From event times [n], microseconds since 1970 UTC, to inputs [n, width]."""

    moments: torch.Tensor
    steps: torch.Tensor
    hours: torch.Tensor
    weekdays: torch.Tensor

    def __init__(self, inputs: TimeInputs, newest: int) -> None:
        """`newest`: event time of the newest window that is learned from. Raises UnknownZoneError."""
        super().__init__()
        self.hour, self.weekday = inputs.hour, inputs.weekday
        first, changes = _offsets(inputs.time_zone or "UTC", _EPOCH + timedelta(microseconds=newest))
        self.first, self.changing = first * MICROSECONDS, bool(changes)
        self.register_buffer("moments", torch.tensor([at for at, _ in changes], dtype=torch.int64))
        self.register_buffer("steps", torch.tensor([[float(step)] for _, step in changes]))
        self.register_buffer("hours", torch.arange(1.0, _HOURS + 1))
        self.register_buffer("weekdays", torch.arange(1.0, _WEEKDAYS + 1))

    def forward(self, times: torch.Tensor) -> torch.Tensor:
        local = times + self.first
        if self.changing:
            passed = (times.unsqueeze(1) >= self.moments).float() @ self.steps
            local = local + passed.squeeze(1).long() * MICROSECONDS
        of_day = local % DAY
        ones = torch.ones_like(of_day, dtype=torch.float32).unsqueeze(1)
        found = ones
        if self.hour:
            found = torch.cat([ones, _turned((of_day // MICROSECONDS).float() / 86_400.0, self.hours)], dim=1)
        if self.weekday:
            day = ((local - of_day) // DAY + _FROM_MONDAY) % 7
            of_week = torch.cat([ones, _turned(day.float() / 7.0, self.weekdays)], dim=1)
            found = (found.unsqueeze(2) * of_week.unsqueeze(1)).flatten(1)
        return found


def _turned(part: torch.Tensor, many: torch.Tensor) -> torch.Tensor:
    """[n, 2 * many] Of a part of a turn."""
    angle = part.unsqueeze(1) * many * (2 * torch.pi)
    return torch.cat([angle.sin(), angle.cos()], dim=1)


def _offsets(name: str, newest: datetime) -> tuple[int, list[tuple[int, int]]]:
    """Seconds that the zone is ahead of UTC at first, and at which moments (microseconds) that changes by how many."""
    try:
        zone = ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise UnknownZoneError(f"model.time.timeZone {name!r} is not known here: write a name such as Europe/Berlin") from error
    begin = (newest - _BEFORE).replace(hour=0, minute=0, second=0, microsecond=0)
    return _ahead(zone, begin), list(_changes(zone, begin, newest + _AHEAD))


def _changes(zone: ZoneInfo, begin: datetime, end: datetime) -> Iterator[tuple[int, int]]:
    at, offset = begin, _ahead(zone, begin)
    while at < end:
        after = at + timedelta(days=1)
        now = _ahead(zone, after)
        if now != offset:
            low, high = at, after
            while high - low > timedelta(minutes=1):
                middle = low + (high - low) // 2
                middle -= timedelta(seconds=middle.second, microseconds=middle.microsecond)
                if middle <= low:
                    break
                low, high = (middle, high) if _ahead(zone, middle) == offset else (low, middle)
            yield round((high - _EPOCH).total_seconds()) * MICROSECONDS, now - offset
            offset = now
        at = after


def _ahead(zone: ZoneInfo, at: datetime) -> int:
    offset = at.astimezone(zone).utcoffset()
    return round(offset.total_seconds()) if offset is not None else 0
