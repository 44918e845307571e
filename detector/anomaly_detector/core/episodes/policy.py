"""An alert policy made ready: lengths of time in microseconds, severities by rank, suppressions as functions. It has no state."""

import logging
import re
from collections.abc import Callable, Sequence
from fnmatch import translate
from typing import Final

from msgspec import Struct

from anomaly_api.alerting import AlertPolicy, Limit, Suppression
from anomaly_api.calibration import WindowThreshold
from anomaly_api.schedule import ScheduleError, holding
from anomaly_api.schema import seconds
from anomaly_detector.core.columns import MICROSECONDS

log: Final = logging.getLogger(__name__)


class Degree(Struct, frozen=True):
    """A severity."""

    name: str
    above: float
    lasting: int
    """Microseconds for which the score must have been that high."""


class Quota(Struct, frozen=True):
    """At most so many in a length of time."""

    most: int
    per: int
    """Microseconds."""


class _Suppressor(Struct, frozen=True):
    name: str
    concerns: Callable[[str], object]
    holds: Callable[[int], bool]


class EpisodePolicy:
    """A policy, as episodes need it. `partitions`: of the source topic."""

    def __init__(self, policy: AlertPolicy, partitions: int = 1, thresholds: Sequence[WindowThreshold] = ()) -> None:
        self.baselines = {each.window: kept for each in thresholds if (kept := each.baseline or each.per_entity) is not None}
        """By window, what changes scores of an entity before they decide: of those that have it."""
        self.above, self.opening = policy.open.above, policy.open.windows
        self.below, self.closing = policy.close.below, policy.close.windows
        self.every, self.growth = micros(policy.update.every), policy.update.growth
        self.cooldown = micros(policy.cooldown)
        degrees = [Degree(each.name, each.above, micros(each.for_) if each.for_ else 0) for each in policy.severities]
        self.degrees = tuple(sorted(degrees, key=lambda degree: (degree.above, degree.lasting)))
        """By rising rank."""
        self._ranks = {degree.name: rank for rank, degree in enumerate(self.degrees)}
        self._suppressors = [made for rule in policy.suppress or () if (made := _suppressor(rule)) is not None]
        limits = policy.limits
        self.per_entity = _quota(limits.per_entity, 1) if limits and limits.per_entity else None
        self.total = _quota(limits.total, partitions) if limits and limits.total else None
        """Of one partition."""

    def rank(self, severity: str) -> int:
        """Of a severity by its name; that of the lowest one if the policy does not have it."""
        return self._ranks.get(severity, 0)

    def named(self, severity: str) -> str:
        """The severity, or the lowest one if the policy does not have it."""
        return self.degrees[self.rank(severity)].name

    def suppressed(self, entity: str, time: int) -> str | None:
        """Name of the first suppression that holds for an entity at a time in microseconds since 1970 UTC."""
        return next((each.name for each in self._suppressors if each.holds(time) and each.concerns(entity)), None)


def micros(duration: str) -> int:
    """A length of time in microseconds."""
    return round(seconds(duration) * MICROSECONDS)


def _quota(limit: Limit, partitions: int) -> Quota:
    """An equal share of it, at least one.

    >>> _quota(Limit(episodes=1000, per="1h"), 24).most
    42
    """
    return Quota(-(-limit.episodes // partitions), micros(limit.per))


def _suppressor(rule: Suppression) -> _Suppressor | None:
    try:
        return _Suppressor(rule.name, re.compile(translate(rule.entities)).match, holding(rule))
    except ScheduleError as error:  # the operator refuses it; a pod that is told all the same goes on alerting
        log.warning("spec.alerts.suppress[%s] suppresses nothing: %s", rule.name, error)
        return None
