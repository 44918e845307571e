"""How many episodes are announced: a count for each entity and for each partition, in periods of event time.

At most 3 in an hour (`o` announced, `x` held back):

    episodes      o   o  o x  x          o
    period        |====== 1h ======|     |====== 1h ======|
    records                |limited      |over, 2 held back: with the first window at or after the period's end

A period begins with the first episode that is announced in it. What comes of a partition's readings depends on that partition
alone, so each has a share of what is allowed in all.
"""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct
from msgspec.structs import asdict

from anomaly_api.alert import LimitKind
from anomaly_detector.core.episodes.episode import Episode
from anomaly_detector.core.episodes.policy import EpisodePolicy, Quota


class LimitPeriod(Struct):
    """A period. Times are event times in microseconds since 1970 UTC."""

    since: int
    until: int
    count: int = 0
    """Announced."""
    dropped: int = 0
    """Held back."""
    at: int = 0
    """When one was announced or counted as held back last."""


class LimitTransition(Struct, frozen=True):
    """A limit that begins to hold back, or is over."""

    kind: LimitKind
    where: int
    """Slot of the entity, or number of the partition."""
    most: int
    since: int
    until: int
    dropped: int
    over: bool


class LimitPeriods:
    """Of one kind, by slot or partition."""

    def __init__(self, kind: LimitKind) -> None:
        self.kind = kind
        self.of: dict[int, LimitPeriod] = {}

    def room(self, where: int, quota: Quota | None, time: int) -> bool:
        """Whether one more may be announced."""
        tally = self.of.get(where)
        return quota is None or tally is None or tally.count < quota.most or time >= tally.until

    def count(self, where: int, quota: Quota | None, time: int) -> None:
        """One more is announced. Periods that held something back have been ended before."""
        if quota is None:
            return
        tally = self.of.get(where)
        if tally is None or time >= tally.until:
            tally = self.of[where] = LimitPeriod(time, time + quota.per)
        tally.count += 1
        tally.at = time

    def refuse(self, where: int, time: int, quota: Quota, episode: Episode) -> tuple[bool, LimitTransition | None]:
        """An episode is held back: whether it is counted, which happens once a period, and what is to be said about it."""
        tally = self.of[where]
        mark = f"{self.kind}/{tally.since}"
        if episode.refused == mark:
            return False, None
        episode.refused = mark
        tally.dropped += 1
        tally.at = time
        return True, self._turn(where, tally, quota, over=False) if tally.dropped == 1 else None

    def end(self, where: int, quota: Quota | None) -> LimitTransition | None:
        """The period is over; what is to be said about it."""
        tally = self.of.pop(where)
        return self._turn(where, tally, quota, over=True) if tally.dropped else None

    def pending(self) -> list[int]:
        """Where something is held back: each is to be told when it is over."""
        return [where for where, tally in self.of.items() if tally.dropped]

    def state(self, where: int) -> dict[str, Any] | None:
        """Plain values; None: there is nothing to remember."""
        tally = self.of.get(where)
        return asdict(tally) if tally else None

    def restore(self, where: int, state: Mapping[str, Any]) -> None:
        """Sets it to what `state` gave."""
        self.of[where] = restored(state)

    def _turn(self, where: int, tally: LimitPeriod, quota: Quota | None, *, over: bool) -> LimitTransition:
        most = quota.most if quota else tally.count
        return LimitTransition(self.kind, where, most, tally.since, tally.until, tally.dropped, over)


def restored(state: Mapping[str, Any]) -> LimitPeriod:
    """What `LimitPeriods.state` gave."""
    return LimitPeriod(**{name: int(value) for name, value in state.items()})


class Limits:
    """Both kinds."""

    def __init__(self) -> None:
        self.entities = LimitPeriods(LimitKind.PER_ENTITY)
        self.partitions = LimitPeriods(LimitKind.TOTAL)

    def admit(self, slot: int, partition: int, time: int, policy: EpisodePolicy) -> bool:
        """Whether an episode may be announced; if so, it is counted."""
        if not (self.entities.room(slot, policy.per_entity, time) and self.partitions.room(partition, policy.total, time)):
            return False
        self.entities.count(slot, policy.per_entity, time)
        self.partitions.count(partition, policy.total, time)
        return True

    def refuse(
        self, slot: int, partition: int, time: int, policy: EpisodePolicy, episode: Episode
    ) -> tuple[LimitKind | None, LimitTransition | None]:
        """An episode that was not admitted: by what it is counted, if it is, and what is to be said about it."""
        tallies, where, quota = self.entities, slot, policy.per_entity
        if tallies.room(slot, quota, time):
            tallies, where, quota = self.partitions, partition, policy.total
        assert quota is not None, "without one there is room"
        counted, turn = tallies.refuse(where, time, quota, episode)
        return (tallies.kind if counted else None), turn
