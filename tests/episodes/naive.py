"""What an alert is, said again in the simplest way: one window after the other, whole histories, no shortcuts. No test.

It shares the policy's numbers with the real thing, and nothing else.
"""

from __future__ import annotations

import fnmatch
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from anomaly_api.alerting import AlertPolicy
from anomaly_api.schema import seconds
from tests.episodes.stories import Reading

Line = tuple[Any, ...]


@dataclass
class _Course:
    """An entity in one kind of window."""

    scores: list[tuple[int, float]] = field(default_factory=list)
    """All there were since it was calm last: time in seconds, score."""
    opened: int | None = None
    """Index of the window that opened it."""
    told: list[tuple[str, int, float, str, bool]] = field(default_factory=list)
    """Records of this episode: turn, time, peak, severity, whether for people."""
    quiet_until: float = -math.inf
    quiet_unless: str = ""
    counted: set[tuple[str, int]] = field(default_factory=set)
    last_reason: str = ""


@dataclass
class _Period:
    begin: int
    end: float
    announced: int = 1
    dropped: int = 0


class Naive:
    """Lines: ("opened" | "updated" | "closed", entity, window, time, suppressed by) and ("limited", what, over, dropped)."""

    def __init__(self, policy: AlertPolicy, windows: Sequence[str], partitions: int = 1) -> None:
        self.policy, self.windows, self.partitions = policy, windows, partitions
        self.courses: dict[tuple[int, str, str], _Course] = {}
        self.periods: dict[tuple[str, object], _Period] = {}
        self.lines: list[Line] = []
        self.now: tuple[int, str, str, int] = (0, "", "", 0)

    def see(self, reading: Reading) -> None:
        for window in self.windows:
            score = dict(reading.scores).get(window, math.nan)
            if not math.isnan(score):
                self.now = (reading.partition, reading.entity, window, reading.time)
                self._end_periods()
                self._window(score)

    def change(self, windows: Sequence[str], *, anew: bool) -> None:
        """Only these windows go on; `anew`: and they know nothing."""
        for key, course in sorted(self.courses.items(), key=lambda item: (item[0][:2], self.windows.index(item[0][2]))):
            if anew or key[2] not in windows:
                if course.told:
                    self.now = (*key, course.scores[-1][0])
                    self._close(course)
                del self.courses[key]
        if anew:
            self.lines += [("limited", key, True, period.dropped) for key, period in self.periods.items() if period.dropped]
            self.periods = {}
        self.windows = windows

    def _end_periods(self) -> None:
        partition, entity, _, time = self.now
        for key in (("total", partition), ("entity", (partition, entity))):
            period = self.periods.get(key)
            if period and time >= period.end and (period.dropped or key[0] == "entity"):
                if period.dropped:
                    self.lines.append(("limited", key, True, period.dropped))
                del self.periods[key]

    def _window(self, score: float) -> None:
        partition, entity, window, time = self.now
        course = self.courses.setdefault((partition, entity, window), _Course())
        if course.opened is None:
            if not score > self.policy.open.above:
                course.scores = []
                return
            course.scores.append((time, score))
            if len(course.scores) == self.policy.open.windows:
                course.opened = len(course.scores) - 1
                self._go_on(course)
            return
        course.scores.append((time, score))
        latest = [score for _, score in course.scores[course.opened + 1 :]][-self.policy.close.windows :]
        if len(latest) == self.policy.close.windows and all(score < self.policy.close.below for score in latest):
            self._close(course)
        else:
            self._go_on(course)

    def _severity(self, course: _Course) -> str:
        """The highest that was reached at any of its windows."""
        ordered = sorted(self.policy.severities, key=lambda each: (each.above, seconds(each.for_) if each.for_ else 0))
        reached = ordered[0].name
        for severity in ordered:
            since: int | None = None
            for time, score in course.scores:
                since = None if score < severity.above else time if since is None else since
                if since is not None and time - since >= (seconds(severity.for_) if severity.for_ else 0):
                    reached = severity.name
        return reached

    def _rank(self, severity: str) -> int:
        ordered = sorted(self.policy.severities, key=lambda each: (each.above, seconds(each.for_) if each.for_ else 0))
        return [each.name for each in ordered].index(severity) if severity else 0

    def _suppressed(self) -> str | None:
        """Rules of these tests begin at whole hours of the day, in UTC."""
        _, entity, _, time = self.now
        for rule in self.policy.suppress or ():
            assert rule.schedule is not None
            assert rule.duration is not None
            hours = [int(hour) for hour in rule.schedule.split()[1].split(",")]
            starts = [day * 86400 + hour * 3600 for day in (time // 86400 - 1, time // 86400) for hour in hours]
            holds = any(start <= time < start + seconds(rule.duration) for start in starts)
            if holds and fnmatch.fnmatchcase(entity, rule.entities):
                return rule.name
        return None

    def _go_on(self, course: _Course) -> None:
        time = self.now[3]
        suppressed = self._suppressed()
        for_people = [entry for entry in course.told if entry[4]]
        if for_people:
            due = self._due(course)
            owed = not course.told[-1][4]
            if (owed and suppressed is None) or due:
                self._tell(course, "updated", suppressed)
            return
        no_worse = self._rank(self._severity(course)) <= self._rank(course.quiet_unless)
        if suppressed is None and time < course.quiet_until and no_worse:
            suppressed = "cooldown"
        if suppressed is not None:
            if not course.told:
                self._tell(course, "opened", suppressed)
            elif self._due(course):
                self._tell(course, "updated", suppressed)
        elif self._admitted(course):
            self._tell(course, "opened", None)

    def _due(self, course: _Course) -> bool:
        _, time, peak, severity, _ = course.told[-1]
        every = seconds(self.policy.update.every)
        return (
            self._rank(self._severity(course)) > self._rank(severity)
            or self._peak(course) >= peak * self.policy.update.growth
            or (every > 0 and self.now[3] - time >= every)
        )

    def _peak(self, course: _Course) -> float:
        return max(score for _, score in course.scores)

    def _admitted(self, course: _Course) -> bool:
        partition, entity, _, time = self.now
        limits = self.policy.limits
        asked = []
        if limits and limits.per_entity:
            asked.append((("entity", (partition, entity)), limits.per_entity.episodes, seconds(limits.per_entity.per)))
        if limits and limits.total:
            asked.append((("total", partition), math.ceil(limits.total.episodes / self.partitions), seconds(limits.total.per)))
        for key, most, _ in asked:
            period = self.periods.get(key)
            if period and time < period.end and period.announced >= most:
                if (key[0], period.begin) not in course.counted:
                    course.counted = {(key[0], period.begin)}
                    period.dropped += 1
                    if period.dropped == 1:
                        self.lines.append(("limited", key, False, 1))
                return False
        for key, _, per in asked:
            period = self.periods.get(key)
            if period and time < period.end:
                period.announced += 1
            else:
                self.periods[key] = _Period(time, time + per)
        return True

    def _tell(self, course: _Course, turn: str, suppressed: str | None) -> None:
        course.told.append((turn, self.now[3], self._peak(course), self._severity(course), suppressed is None))
        course.last_reason = suppressed or ""
        self._line(course, turn, suppressed)

    def _close(self, course: _Course) -> None:
        severity, time = self._severity(course), self.now[3]
        announced = any(entry[4] for entry in course.told)
        if course.told:
            self._line(course, "closed", None if announced else course.last_reason)
        kept = course.quiet_until, course.quiet_unless
        if announced and seconds(self.policy.cooldown):
            kept = time + seconds(self.policy.cooldown), severity
        partition, entity, window, _ = self.now
        self.courses[partition, entity, window] = _Course(quiet_until=kept[0], quiet_unless=kept[1])

    def _line(self, course: _Course, turn: str, suppressed: str | None) -> None:
        _, entity, window, time = self.now
        assert course.opened is not None
        start = course.scores[course.opened][0]
        windows = len(course.scores) - course.opened
        self.lines.append((turn, entity, window, time, start, windows, self._peak(course), self._severity(course), suppressed))
