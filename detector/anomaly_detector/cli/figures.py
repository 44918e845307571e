"""How good a replay is, given labels: precision, recall, F1, VUS-PR, delay, false alerts a day. No point adjustment.

VUS-PR: Paparrizos et al., "Volume Under the Surface", VLDB 2022, in the variant with 250 thresholds that TSB-AD uses.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

_DAY: Final = 86_400
_THRESHOLDS: Final = 250

Labels = NDArray[np.bool_]
Scores = NDArray[np.float64]


def segments(marks: Labels) -> list[tuple[int, int]]:
    """First and last place of each run of true values."""
    steps = np.diff(np.concatenate(([0], marks.astype(np.int8), [0])))
    return list(zip(np.flatnonzero(steps == 1).tolist(), (np.flatnonzero(steps == -1) - 1).tolist(), strict=True))


def vus_pr(labels: Labels, scores: Scores, most: int = 100) -> float:
    """Volume under the precision-recall surface over buffers of 0 to `most` rows; not a number without labels.

    A buffer of w gives each event w // 2 rows of soft label sqrt(1 - distance / w) on both sides; recall is also multiplied by
    the share of the widened events that were hit.
    """
    events = segments(labels)
    if not events:
        return math.nan
    positive, count = int(labels.sum()), len(labels)
    scores = np.where(np.isfinite(scores), scores, np.nanmin(np.where(np.isfinite(scores), scores, np.nan)))
    order = np.argsort(-scores, kind="stable")
    falling = scores[order]
    levels = falling[np.linspace(0, count - 1, _THRESHOLDS).astype(int)]
    above = np.searchsorted(-falling, -levels, side="right")
    hard = np.concatenate(([0], np.cumsum(labels[order])))[above].astype(float)
    areas = []
    for width in range(most + 1):
        half = width // 2
        soft = _soft(labels, events, width, half)
        buffered = np.concatenate(([0.0], np.cumsum(soft[order])))[above]
        hits = hard + buffered
        peaks = np.array([scores[first : last + 1].max() for first, last in _widened(events, half, count)])
        existence = (peaks[None, :] >= levels[:, None]).mean(1)
        recall = np.minimum(hits / ((2 * positive + buffered) / 2.0), 1.0) * existence
        areas.append(float(np.dot(np.diff(np.concatenate(([0.0], recall))), hits / above)))
    return float(np.mean(areas))


def _soft(labels: Labels, events: Sequence[tuple[int, int]], width: int, half: int) -> NDArray[np.float64]:
    soft = np.zeros(len(labels))
    if width:
        for first, last in events:
            after = np.arange(last + 1, min(last + half + 1, len(labels)))
            soft[after] += np.sqrt(1 - (after - last) / width)
            before = np.arange(max(first - half, 0), first)
            soft[before] += np.sqrt(1 - (first - before) / width)
    soft = np.minimum(soft, 1.0)
    soft[labels] = 0.0
    return soft


def _widened(events: Sequence[tuple[int, int]], half: int, count: int) -> list[tuple[int, int]]:
    """Events with their buffers, merged where these touch."""
    wide, begin = [], max(events[0][0] - half, 0)
    for (_, last), (following, _) in pairwise(events):
        if last + half < following - half:
            wide.append((begin, last + half))
            begin = following - half
    return [*wide, (begin, min(events[-1][1] + half, count - 1))]


@dataclass(frozen=True)
class Figures:
    """Of one or several entities."""

    hits: int
    false: int
    missed: int
    normal: int
    """Readings that are anomalous and alarmed, alarmed only, anomalous only, neither."""
    events: int
    found: int
    """Labelled events, and those with an alarm in them."""
    delays: tuple[float, ...]
    """Seconds from the beginning of each event that was found to the first alarm in it."""
    false_episodes: int
    """Episodes without a labelled reading in them."""
    days: float
    """Entity-days that were watched."""
    vus: tuple[float, ...]
    """VUS-PR of each entity with labels."""

    @property
    def f1(self) -> float:
        total = self.hits + (self.false + self.missed) / 2
        return self.hits / total if total else 0.0

    @property
    def far(self) -> float:
        """Percent of the normal readings that were alarmed: time in alarm without cause."""
        return _percent(self.false, self.false + self.normal)

    @property
    def mar(self) -> float:
        """Percent of the anomalous readings that were not alarmed."""
        return _percent(self.missed, self.missed + self.hits)

    def document(self) -> dict[str, Any]:
        """For people and programs."""
        delays, vus = self.delays, [value for value in self.vus if not math.isnan(value)]
        return {
            "precision": _share(self.hits, self.hits + self.false),
            "recall": _share(self.hits, self.hits + self.missed),
            "F1": round(self.f1, 4),
            "FAR": round(self.far, 3),
            "MAR": round(self.mar, 3),
            "VUS_PR": round(float(np.mean(vus)), 4) if vus else None,
            "events": self.events,
            "eventsFound": self.found,
            "medianDelaySeconds": float(np.median(delays)) if delays else None,
            "falseEpisodes": self.false_episodes,
            "falseEpisodesPerDay": round(self.false_episodes / self.days, 4) if self.days else None,
        }


def judge(labels: Labels, alarms: Labels, scores: Scores, times: NDArray[np.int64], most: int = 100) -> Figures:
    """Figures of an entity's readings in order of time (`times` in microseconds); `most`: VUS-PR's buffer, negative for none."""
    events = segments(labels)
    delays = []
    for first, last in events:
        hit = np.flatnonzero(alarms[first : last + 1])
        if len(hit):
            delays.append(float(times[first + hit[0]] - times[first]) / 1e6)
    steps = np.diff(times)
    usual = float(np.median(steps)) if len(steps) else 0.0
    watched = float(np.minimum(steps, 10 * usual).sum()) / 1e6  # a pause is nobody's watch
    return Figures(
        hits=int((labels & alarms).sum()),
        false=int((~labels & alarms).sum()),
        missed=int((labels & ~alarms).sum()),
        normal=int((~labels & ~alarms).sum()),
        events=len(events),
        found=len(delays),
        delays=tuple(delays),
        false_episodes=sum(not labels[first : last + 1].any() for first, last in segments(alarms)),
        days=watched / _DAY,
        vus=(vus_pr(labels, scores, most),) if most >= 0 and np.isfinite(scores).any() else (),
    )


def together(parts: Sequence[Figures]) -> Figures:
    """Of all of them: counts are added up, VUS-PR stays by entity."""
    return Figures(
        hits=sum(part.hits for part in parts),
        false=sum(part.false for part in parts),
        missed=sum(part.missed for part in parts),
        normal=sum(part.normal for part in parts),
        events=sum(part.events for part in parts),
        found=sum(part.found for part in parts),
        delays=tuple(delay for part in parts for delay in part.delays),
        false_episodes=sum(part.false_episodes for part in parts),
        days=sum(part.days for part in parts),
        vus=tuple(value for part in parts for value in part.vus),
    )


def _share(part: int, whole: int) -> float:
    return round(part / whole, 4) if whole else 0.0


def _percent(part: int, whole: int) -> float:
    return 100 * part / whole if whole else math.nan
