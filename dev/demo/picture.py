"""The picture of one moment, put together from producer, detector and alerts. Pure; screens draw it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from anomaly_api.alert import Alert
from dev.demo.judge import Opened, Verdict, judge
from dev.demo.producer import Progress
from dev.demo.recording import Anomaly, Recording
from dev.demo.scenario import Judged, Scenario
from dev.demo.topics import Arrival
from dev.demo.watching import Seen


@dataclass(frozen=True)
class Picture:
    """One moment of the demo."""

    scenario: Scenario
    phase: str
    since_apply: float
    """Seconds."""
    seen: Seen
    progress: Progress
    judged: Judged | None
    arrivals: tuple[Arrival, ...]

    @property
    def recording(self) -> Recording:
        return self.judged.recording if self.judged else self.scenario.recording

    @property
    def put_in(self) -> tuple[Anomaly, ...]:
        """The anomalies that have begun."""
        return tuple(a for a in self.judged.anomalies if a.start < self.progress.tick) if self.judged else ()

    @property
    def opened(self) -> tuple[tuple[Opened, Alert], ...]:
        """Alerts that opened an episode, in the order in which they came."""
        alerts = (arrival.alert for arrival in self.arrivals if arrival.alert.announces)
        return tuple((Opened(alert.subject, alert_tick(self.recording, alert)), alert) for alert in alerts)

    def explained(self, opened: Opened) -> Anomaly | None:
        """The anomaly that an alert is about."""
        if self.judged is None:
            return None
        grace = self.judged.stretch.grace
        fitting = (a for a in self.judged.anomalies if a.entity == opened.entity and a.start <= opened.tick < a.end + grace)
        return next(fitting, None)

    def found(self, anomaly: Anomaly) -> bool | None:
        """None: not yet, and it is not too late."""
        if any(self.explained(opened) == anomaly for opened, _ in self.opened):
            return True
        assert self.judged is not None
        return None if self.progress.tick <= anomaly.end + self.judged.stretch.grace else False

    def verdict(self) -> Verdict:
        """Of everything that came until now; to be asked when the stream is at its end."""
        assert self.judged is not None, "nothing is judged before a model serves"
        opened = [opened for opened, _ in self.opened]
        return judge(self.judged.recording, self.judged.anomalies, opened, self.judged.stretch)

    @property
    def model(self) -> str:
        """For people."""
        return self.seen.model or "none yet: the statistical scorer decides"

    @property
    def training(self) -> str:
        """For people."""
        training = self.seen.status.training
        if training is None:
            return "not begun"
        parts: list[str] = [training.state]
        if training.state in ("Reading", "Training", "Storing") and training.progress is not None:
            parts.append(f"{training.progress}%")
        if training.windows is not None:
            parts.append(f"{training.windows:,} windows")
        if training.message:
            parts.append(training.message)
        return ", ".join(parts)


def alert_tick(recording: Recording, alert: Alert) -> int:
    """The tick of the reading that an alert is about."""
    return recording.tick(datetime.fromisoformat(alert.time).timestamp())


def latencies(recording: Recording, arrivals: Sequence[Arrival], written: dict[int, float]) -> list[float]:
    """Seconds from the writing of the reading that decided an alert to the alert's being there to be read."""
    ticks = ((arrival.at, alert_tick(recording, arrival.alert)) for arrival in arrivals)
    return [at - written[tick] for at, tick in ticks if tick in written]


def clock(time: float) -> str:
    """Event time for people."""
    return datetime.fromtimestamp(time).astimezone().strftime("%d %b %H:%M:%S")


def described(alert: Alert) -> str:
    """Returns what an alert says, in a few words."""
    top = alert.data.contributors[0] if alert.data.contributors else None
    why = f", {top.feature} {top.actual:g} instead of {top.expected:.4g}" if top else ""
    return f"{alert.data.severity}, score {alert.data.score:.1f}{why}"
