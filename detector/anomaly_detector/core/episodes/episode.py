"""One entity's episode in one kind of window: what is remembered of it, and how a score moves it. It writes no record.

Opening with 2 windows above 1.0 and closing with 5 below 0.8 (`#` above, `-` between, `.` below):

    windows   . . # . . # # - # . . # . . . . . .
    episode               |opened             |closed

The second window above in a row opens, the fifth below in a row closes. A severity with `for` is reached as an alert of
Prometheus fires: `!` is at or above its `above`, one window every 5 minutes, for: 10m

    windows   # # ! ! # ! ! ! !
    severity  . w w w w w w c c      it has stood there for 10 minutes; one window below would have begun the count anew
"""

from collections.abc import Mapping
from enum import Enum
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import asdict

from anomaly_api.alert import ACCEPTED, COOLDOWN, EpisodeReason
from anomaly_detector.core.episodes.policy import EpisodePolicy

_ACCEPTED_FOR: Final = 7 * 86_400 * 1_000_000
"""Microseconds for which something is normal because somebody said so, where no other model decides before."""


class Transition(Enum):
    """What happened to an episode."""

    OPENED = "opened"
    UPDATED = "updated"
    CLOSED = "closed"


class Episode(Struct):
    """Times are event times in microseconds since 1970 UTC. A state holds the fields that differ from these defaults."""

    streak: int = 0
    """Windows in a row above, or of an open one below."""
    open: bool = False
    start: int = 0
    """Time of the window that opened it."""
    windows: int = 0
    """Since then, that one included."""
    seen: int = 0
    """Time of the last window, of an open one."""
    score: float = 0.0
    """Of the last window."""
    peak: float = 0.0
    severity: str = ""
    """The highest one so far; of a closed one, that of the last announced one, for as long as its cooldown lasts."""
    since: dict[str, int] = {}
    """Of severities that need time: since when the score has been that high."""
    recorded: bool = False
    """Whether there is a record of its opening."""
    announced: bool = False
    """Whether that was one for people."""
    owed: bool = False
    """Whether people have not been told of its last update."""
    said_at: int = 0
    said_peak: float = 0.0
    said_severity: str = ""
    """What the last record said."""
    suppressed_by: str = ""
    """In the last record."""
    refused: str = ""
    """Which limit has counted it, and in which of its periods."""
    cooling: int | None = None
    """Until when its successor is held back."""
    cooling_severity: str = ""
    """Unless it is more severe than this."""
    accepted: float = 0.0
    """Peak of the episode of which somebody said that this is normal now: until `cooling`, its successors are held back unless
    they grow beyond it. 0: nobody did."""

    def advance(self, time: int, score: float, policy: EpisodePolicy) -> Transition | None:
        """Takes in a score (1.0 is the threshold)."""
        self.score = score
        if self.open:
            return self._go_on(time, score, policy)
        if not score > policy.above:
            self._rest()
            return None
        if self.streak == 0:
            self.peak, self.severity = score, policy.degrees[0].name
        self.streak += 1
        self._measure(time, score, policy)
        if self.streak < policy.opening:
            return None
        self.open, self.streak, self.start, self.seen, self.windows = True, 0, time, time, 1
        return Transition.OPENED

    def due(self, time: int, policy: EpisodePolicy) -> EpisodeReason | None:
        """Why it is to be reported again, if it is."""
        if self.severity != self.said_severity and policy.rank(self.severity) > policy.rank(self.said_severity):
            return EpisodeReason.SEVERITY_ROSE
        if self.peak >= self.said_peak * policy.growth:
            return EpisodeReason.PEAK_GREW
        return EpisodeReason.STILL_OPEN if policy.every and time - self.said_at >= policy.every else None

    def held(self, time: int, policy: EpisodePolicy) -> str | None:
        """Why nobody is to be told of it, though no suppression holds."""
        if self.accepted and self.cooling is not None and time < self.cooling:
            return ACCEPTED if self.peak < self.accepted * policy.growth else None
        return COOLDOWN if self.cools(time, policy) else None

    def cools(self, time: int, policy: EpisodePolicy) -> bool:
        """Whether it comes too soon after the one before, and is no worse."""
        return (
            self.cooling is not None and time < self.cooling and policy.rank(self.severity) <= policy.rank(self.cooling_severity)
        )

    def say(self, time: int, suppressed_by: str | None) -> None:
        """A record is written."""
        self.recorded = True
        self.suppressed_by = suppressed_by or ""
        self.announced = self.announced or suppressed_by is None
        self.owed = self.announced and suppressed_by is not None
        self.said_at, self.said_peak, self.said_severity = time, self.peak, self.severity

    @property
    def hushed(self) -> str | None:
        """Why nobody is to be told of its end; None: somebody waits for it."""
        return None if self.announced else self.suppressed_by

    def close(self, time: int, policy: EpisodePolicy) -> None:
        """It is over. Only one that people were told of has a cooldown: else one that flaps would never be announced again."""
        if self.announced and (policy.cooldown or self.accepted):
            self.cooling = time + policy.cooldown if policy.cooldown else None
            self.cooling_severity, self.accepted = self.severity, 0.0
        self._end()

    def accept(self) -> None:
        """It is over, because somebody said that this is normal now."""
        self.cooling, self.cooling_severity, self.accepted = self.seen + _ACCEPTED_FOR, self.severity, self.peak
        self._end()

    def renounce(self) -> "Episode":
        """Nothing is normal any more because somebody said so: another model decides, which may know it."""
        self.cooling, self.cooling_severity, self.accepted = None, "", 0.0
        return self

    def _end(self) -> None:
        self._rest()
        self.open = self.recorded = self.announced = self.owed = False
        self.start = self.seen = self.windows = self.said_at = 0
        self.peak = self.said_peak = 0.0
        self.severity = self.said_severity = self.suppressed_by = self.refused = ""

    def blank(self, time: int) -> bool:
        """Whether there is nothing to remember from this time on."""
        if self.open or self.streak:
            return False
        return self.cooling is None or time >= self.cooling

    def state(self) -> dict[str, Any]:
        """What differs from a new one: plain values."""
        found = asdict(self) | {"since": dict(self.since)}
        return {name: value for name, value in found.items() if value != _NEW[name]}

    @staticmethod
    def of(state: Mapping[str, Any]) -> "Episode":
        """From what `state` gave."""
        return Episode(**{**state, "since": dict(state.get("since", {}))})

    def _go_on(self, time: int, score: float, policy: EpisodePolicy) -> Transition | None:
        self.windows += 1
        self.seen = time
        self._measure(time, score, policy)
        if score >= policy.below:
            self.streak = 0
            return None
        self.streak += 1
        return Transition.CLOSED if self.streak >= policy.closing else None

    def _measure(self, time: int, score: float, policy: EpisodePolicy) -> None:
        """Peak and severity."""
        if score > self.peak:
            self.peak = score
        reached = self.severity
        for degree in policy.degrees:
            if score < degree.above:
                if self.since:
                    self.since.pop(degree.name, None)
            elif not degree.lasting or time - self.since.setdefault(degree.name, time) >= degree.lasting:
                reached = degree.name
        if reached != self.severity and policy.rank(reached) > policy.rank(self.severity):
            self.severity = reached

    def _rest(self) -> None:
        self.streak = 0
        if self.since:
            self.since = {}


_NEW: Final = asdict(Episode())
