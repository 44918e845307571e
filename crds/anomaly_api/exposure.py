"""What pods count of a revision's alerts: how often it alerted, in how much entity-time, and how high its scores went.

Peaks are counted in buckets whose borders never change: bucket n holds scores from 2 ** (n / 8) up to the next, in the model's
own unit. So counts of pods, of revisions of one model, and of times add up.
"""

import math
from typing import Annotated, Final

from pydantic import Field

from anomaly_api.schema import Contract, list_map

PER_DOUBLING: Final = 8
"""Buckets: a peak is known within nine percent."""
FLOOR: Final = 0.5
"""Share of the threshold above which peaks are counted."""
_MOST_BUCKETS: Final = 160


def bucket(score: float) -> int:
    """The bucket of a positive score.

    >>> bucket(1.0), bucket(2.0), bucket(0.6)
    (0, 8, -6)
    """
    return math.floor(PER_DOUBLING * math.log2(score))


class PeakCounts(Contract):
    """Peaks by bucket."""

    first: int = 0
    """Number of the first bucket that `counts` speaks of."""
    counts: Annotated[list[int], Field(max_length=_MOST_BUCKETS)] = []
    """Number of peaks in each bucket from `first` on."""

    @classmethod
    def of(cls, by_bucket: dict[int, int]) -> "PeakCounts":
        """From counts by bucket; of a wider range than is kept, the highest buckets."""
        known = {each: count for each, count in by_bucket.items() if count}
        if not known:
            return cls()
        last = max(known)
        first = max(min(known), last - _MOST_BUCKETS + 1)
        return cls(first=first, counts=[known.get(each, 0) for each in range(first, last + 1)])

    def __add__(self, other: "PeakCounts") -> "PeakCounts":
        """The counts of both together."""
        found = dict(enumerate(self.counts, self.first))
        for each, count in enumerate(other.counts, other.first):
            found[each] = found.get(each, 0) + count
        return PeakCounts.of(found)

    def heights(self, most: int) -> list[float]:
        """The `most` highest peaks, falling; those of a bucket evenly over it."""
        found = list[float]()
        for place in range(len(self.counts) - 1, -1, -1):
            count = self.counts[place]
            for each in range(min(count, most - len(found))):
                found.append(2 ** ((self.first + place + 1 - (each + 0.5) / count) / PER_DOUBLING))
            if len(found) >= most:
                break
        return found

    def above(self, level: float) -> float:
        """Number of peaks above a level, within its bucket by proportion."""
        at = PER_DOUBLING * math.log2(level) - self.first
        whole = math.floor(at)
        over = sum(self.counts[max(whole + 1, 0) :])
        return over + (self.counts[whole] * (whole + 1 - at) if 0 <= whole < len(self.counts) else 0.0)


class WindowExposure(Contract):
    """What was counted of one kind of window. All counts are cumulative and can be added."""

    window: str
    """Name of the window that was counted."""
    episodes: int = 0
    """Number of episodes that were announced."""
    squares: int = 0
    """Sum over hours of event time of the square of the number of episodes: whether they come in bursts."""
    hours: int = 0
    """Number of hours of event time in which windows were scored, of each pod."""
    entity_seconds: float = 0.0
    """Event time that was scored, in seconds, added up over entities."""
    peaks: PeakCounts = PeakCounts()
    """Highest scores of separate excursions above half the threshold, in the model's own unit."""

    def __add__(self, other: "WindowExposure") -> "WindowExposure":
        """The counts of both together."""
        names = ("episodes", "squares", "hours", "entity_seconds", "peaks")
        return WindowExposure(window=self.window, **{name: getattr(self, name) + getattr(other, name) for name in names})


Exposures = Annotated[list[WindowExposure], Field(max_length=8, json_schema_extra=list_map("window"))]


class ExposureEvidence(Contract):
    """What one pod counted of the revision that decides, since it began to decide there."""

    revision: str
    model: str
    """Digest."""
    since: float
    """When the counting began, Unix seconds: with the pod's name it names the instance that counts."""
    windows: list[WindowExposure] = []


def added(one: Exposures, other: Exposures) -> Exposures:
    """The counts of both, by window."""
    found = {each.window: each for each in one}
    for each in other:
        found[each.window] = found[each.window] + each if each.window in found else each
    return [found[name] for name in sorted(found)]


class InstanceExposure(Contract):
    """What one instance of a pod told last."""

    instance: str
    """Name of the pod, and when it began to count."""
    windows: Exposures
    """Counts of each window by this instance."""


class ExposureLedger(Contract):
    """What is known of the alerts of the model that decides: it survives restarts of pods and of the operator."""

    revision: str
    """Name of the revision that decides."""
    model: str
    """Digest of the model of the revision."""
    earlier: Exposures = []
    """Counts under earlier revisions of the same model, with other thresholds or another alert policy."""
    settled: Exposures = []
    """Counts of the revision by pods that are gone."""
    instances: Annotated[list[InstanceExposure], Field(max_length=512, json_schema_extra=list_map("instance"))] = []
    """Counts of the revision by each pod, as it told them last."""

    @property
    def total(self) -> Exposures:
        """The counts of the revision."""
        found = self.settled
        for each in self.instances:
            found = added(found, each.windows)
        return found
