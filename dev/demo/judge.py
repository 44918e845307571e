"""Holds alerts against the anomalies that are known: what was found, missed, or alerted for nothing. Pure.

    anomaly      |=========|
    counts for   |=========|-------|  grace: windows that still hold a bad reading
    opened:   x  ^ found     ^ found  x false

One alert is enough to find an anomaly; nothing else is adjusted. An episode that was open before the anomaly began does not
find it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dev.demo.recording import Anomaly, Recording


@dataclass(frozen=True)
class Opened:
    """An alert that said that an episode opened."""

    entity: str
    tick: int
    """Of the reading that opened it."""


@dataclass(frozen=True)
class Finding:
    """One anomaly and the first alert that found it, if any did."""

    anomaly: Anomaly
    alert: Opened | None

    @property
    def delay(self) -> int | None:
        """Ticks from the anomaly's first reading to the reading that opened the episode."""
        return None if self.alert is None else self.alert.tick - self.anomaly.start


@dataclass(frozen=True)
class Verdict:
    """The fate of every anomaly and every alert."""

    findings: tuple[Finding, ...]
    false: tuple[Opened, ...]
    entity_days: float
    """Event time that was judged, added up over entities."""

    @property
    def false_per_entity_day(self) -> float:
        return len(self.false) / self.entity_days if self.entity_days else 0.0

    def of(self, kind: str) -> tuple[Finding, ...]:
        """The findings of one kind."""
        return tuple(finding for finding in self.findings if finding.anomaly.kind == kind)

    @property
    def kinds(self) -> tuple[str, ...]:
        """In the order in which they first occurred."""
        return tuple(dict.fromkeys(finding.anomaly.kind for finding in self.findings))


@dataclass(frozen=True)
class Stretch:
    """Which ticks are judged, and for how many ticks after its end an anomaly may still open an episode."""

    first: int
    end: int
    grace: int


def judge(recording: Recording, anomalies: Iterable[Anomaly], opened: Iterable[Opened], stretch: Stretch) -> Verdict:
    """Only anomalies that are over, grace included, within the stretch count; so do only alerts within it."""
    over = [anomaly for anomaly in anomalies if anomaly.start >= stretch.first and anomaly.end + stretch.grace <= stretch.end]
    unfinished = [anomaly for anomaly in anomalies if anomaly.end + stretch.grace > stretch.end]
    alerts = sorted((alert for alert in opened if stretch.first <= alert.tick < stretch.end), key=lambda alert: alert.tick)
    findings = tuple(Finding(anomaly, _first(anomaly, alerts, stretch.grace)) for anomaly in over)
    false = tuple(alert for alert in alerts if not any(_explains(a, alert, stretch.grace) for a in (*over, *unfinished)))
    seconds = (stretch.end - stretch.first) * recording.step * len(recording.entities)
    return Verdict(findings, false, seconds / 86_400)


def joined(anomalies: Sequence[Anomaly], distance: int) -> list[Anomaly]:
    """Anomalies of an entity that lie closer together than `distance` ticks are one: no window lies between them."""
    out: list[Anomaly] = []
    for anomaly in sorted(anomalies, key=lambda item: (item.entity, item.start)):
        last = out[-1] if out else None
        if last and last.entity == anomaly.entity and anomaly.start - last.end < distance:
            out[-1] = Anomaly(last.kind, last.entity, last.start, max(last.end, anomaly.end))
        else:
            out.append(anomaly)
    return sorted(out, key=lambda item: item.start)


def percentile(values: Sequence[float], share: float) -> float:
    """Nearest rank; not a number when there are no values."""
    if not values:
        return float("nan")
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def _first(anomaly: Anomaly, alerts: Iterable[Opened], grace: int) -> Opened | None:
    return next((alert for alert in alerts if _explains(anomaly, alert, grace)), None)


def _explains(anomaly: Anomaly, alert: Opened, grace: int) -> bool:
    return anomaly.entity == alert.entity and anomaly.start <= alert.tick < anomaly.end + grace
