"""The queue of trainings: at most so many run at once, over all detectors. An index that is kept up to date; nobody scans.

    rank      detectors without a model of their own first, then those whose model is oldest, then the older detector
    running   a Job that works, or is about to be made; not one that waits for data, nor one that has long not got a pod
    free      the trainings that run and those that come first leave room for one more

The reconciler asks for a detector's room, plans, and settles what came of it, without a pause in between: no two detectors take
the same room. Whoever leaves tells whose turn it is. After a restart Jobs and statuses tell what was queued.
"""

from bisect import bisect_left, insort
from dataclasses import dataclass
from enum import Enum

from anomaly_operator.core.snapshot import Snapshot, TrainingRoom

Key = tuple[str, str]
"""Namespace and name of a detector."""


class Standing(Enum):
    """What a detector is to the queue."""

    NONE = "none"
    WAITING = "waiting"
    RUNNING = "running"


@dataclass(frozen=True, order=True)
class Rank:
    """Of two that wait, the smaller one comes first."""

    model_age: float
    """When the model in use was made, Unix seconds; 0: there is none."""
    created: float
    key: Key


def rank(snapshot: Snapshot) -> Rank:
    """The rank of a detector."""
    detector, stable = snapshot.detector, snapshot.detector.status.stable
    model = snapshot.models.get(stable.model) if stable and stable.model else None
    return Rank(model.created if model else 0.0, detector.created, (detector.namespace, detector.name))


class TrainingQueue:
    """Which detectors train, and which wait in what order."""

    def __init__(self, limit: int | None) -> None:
        self._limit = limit
        self._running: set[Key] = set()
        self._ranks: dict[Key, Rank] = {}
        self._order: list[Rank] = []

    @property
    def running(self) -> int:
        """Detectors whose training counts."""
        return len(self._running)

    @property
    def waiting(self) -> int:
        """Detectors that wait."""
        return len(self._order)

    def room(self, own: Rank) -> TrainingRoom:
        """How much room there is for the detector with this rank: those that run or come first are others."""
        known = self._ranks.get(own.key)
        ahead = bisect_left(self._order, own) - (known is not None and known < own)
        return TrainingRoom(limit=self._limit, running=len(self._running) - (own.key in self._running), ahead=ahead)

    def settle(self, key: Key, standing: Standing, own: Rank | None = None) -> list[Key]:
        """Takes over what a detector is now; `own` is its rank, if it waits. Returns those whose turn it may be now."""
        running, waits = standing is Standing.RUNNING, standing is Standing.WAITING and own is not None
        before = Standing.RUNNING if key in self._running else Standing.WAITING if key in self._ranks else Standing.NONE
        self._running.discard(key)
        known = self._ranks.pop(key, None)
        if known is not None:
            del self._order[bisect_left(self._order, known)]
        if running:
            self._running.add(key)
        if own is not None and waits:
            self._ranks[key] = own
            insort(self._order, own)
        left = (before is Standing.RUNNING and not running) or (before is Standing.WAITING and not (running or waits))
        return self._next() if left else []

    def clear(self) -> None:
        """Another process acts now."""
        self._running.clear()
        self._ranks.clear()
        self._order.clear()

    def _next(self) -> list[Key]:
        free = len(self._order) if self._limit is None else max(0, self._limit - len(self._running))
        return [rank.key for rank in self._order[:free]]
