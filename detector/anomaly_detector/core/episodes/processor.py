"""Scored windows of a batch in the order of the stream, one by one: which turns of episodes become records, and for whom.

    a new episode is    suppressed, or cools down    over a limit        none of it
    record              opened, suppressed           none, counted       opened
    as it goes on       updated, suppressed          looked at again     updated
    when that is over   opened                       opened              -
    closed before       closed, suppressed           none                closed

An episode that was announced is closed for all to see, and a suppression that begins meanwhile marks its updates only; what they
missed is told when it is over.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from msgspec import Struct

from anomaly_api.alert import EpisodeReason, LimitKind
from anomaly_detector.core.columns import Float32, Int64
from anomaly_detector.core.episodes.episode import Episode, Transition
from anomaly_detector.core.episodes.limits import Limits, LimitTransition
from anomaly_detector.core.episodes.policy import EpisodePolicy
from anomaly_detector.core.episodes.transitions import EpisodeTransition, EvictedEntity, LimitReached


class WindowScores(Struct, frozen=True):
    """Windows of one kind with their scores."""

    window: str
    messages: Int64
    """[readings] Index of the message that each reading came in."""
    places: Int64
    """[n] Newest reading of each; they rise with time, of one entity."""
    slots: Int64
    """[n] Slot of the entity."""
    times: Int64
    """[n] Event time, microseconds since 1970 UTC."""
    scores: Float32
    """[n] 1.0 is the threshold; not a number: not scored, or another revision decides it."""
    by_candidate: bool = False
    """Whether they are the candidate's."""


Key = tuple[int, int, int]
"""Where a window stands in the stream: row, place, kind of window."""


class ScoredWindow(Struct, frozen=True):
    """A window that is looked at."""

    key: Key
    index: int
    """Which of its kind."""
    slot: int
    time: int
    """Event time, microseconds since 1970 UTC."""
    score: float


class _Place(NamedTuple):
    """Where an `EpisodeTransition` happens; its first fields."""

    row: int
    window: str
    which: int | None
    entity: str
    time: int


class Policies(NamedTuple):
    """By which windows are judged: those of entities that the stable revision decides, and those of the others."""

    stable: EpisodePolicy
    candidate: EpisodePolicy


class Processed(Struct):
    """What scores led to."""

    records: list[EpisodeTransition | LimitReached] = []
    """In the order of the stream."""
    opened: int = 0
    """Episodes, announced or not."""
    opened_in: dict[str, int] = {}
    """The same, by window."""
    dropped: list[LimitKind] = []
    """Episodes held back by a limit, each once in a period."""
    partitions: set[int] = set()
    """Whose limit may have changed."""
    unsettled: set[int] = set()
    """Slots of entities that may want to be looked at from another time on."""


class EpisodeProcessor:
    """One batch. `names`: entity of each slot; `partitions` [messages]."""

    def __init__(
        self, policies: Policies, limits: Limits, names: Sequence[str], kinds: Sequence[WindowScores], partitions: Int64
    ) -> None:
        self.found = Processed()
        self._policies, self._limits, self._names, self._kinds, self._partitions = policies, limits, names, kinds, partitions
        self._dues: dict[int, tuple[Key, int]] = {}
        """Of partitions whose limit holds something back: where in this batch that is over, and the event time there."""
        for partition in limits.partitions.pending():
            self._await(partition, (-1, -1, -1))

    @property
    def waits(self) -> bool:
        """Whether a limit will be over in this batch."""
        return bool(self._dues)

    def window(self, step: ScoredWindow, episodes: dict[int, Episode]) -> None:
        """The next window; `episodes` are those of its kind, by slot."""
        slot, time, score, policy = step.slot, step.time, step.score, self._policies[self._kinds[step.key[2]].by_candidate]
        if self._dues:
            self.until(step.key)
        tally = self._limits.entities.of.get(slot)
        if tally is not None and time >= tally.until:
            self._end_entity(step.key[0], slot, self._names[slot], time, policy)
        episode = episodes.get(slot)
        if episode is None:
            if not score > policy.above:
                return
            episode = episodes[slot] = Episode()
            self.found.unsettled.add(slot)
        turn = episode.advance(time, score, policy)
        if turn is Transition.CLOSED:
            self._close(self._place(step), episode, EpisodeReason.RECOVERED, policy)
            episode.close(time, policy)
        elif episode.open:
            if turn is Transition.OPENED:
                self._count(self._kinds[step.key[2]].window)
            self._go_on(step, episode, policy, opened=turn is Transition.OPENED)
        if turn is Transition.OPENED or not episode.open:
            self.found.unsettled.add(slot)
        if not episode.open and episode.blank(time):
            del episodes[slot]

    def forgotten(self, ended: EvictedEntity, episodes: dict[str, dict[int, Episode]]) -> None:
        """An entity is forgotten; `episodes` by kind of window."""
        self.until((ended.row, -1, -1))
        policy = self._policies[ended.by_candidate]
        for window, of_kind in episodes.items():
            episode = of_kind.pop(ended.slot, None)
            self.found.unsettled.add(ended.slot)
            if episode is not None and episode.open:
                self._close(_Place(ended.row, window, None, ended.entity, ended.time), episode, ended.reason, policy)
        if ended.slot in self._limits.entities.of:
            self._end_entity(ended.row, ended.slot, ended.entity, ended.time, policy)

    def until(self, key: Key | None) -> None:
        """Ends the limits of partitions that are over before `key`; None: all that are over in this batch."""
        for partition, (due, time) in sorted(self._dues.items(), key=lambda item: item[1]):
            if key is None or due <= key:
                del self._dues[partition]
                self._say(due[0], time, "", self._limits.partitions.end(partition, self._policies.stable.total))
                self.found.partitions.add(partition)

    def _count(self, window: str) -> None:
        self.found.opened += 1
        self.found.opened_in[window] = self.found.opened_in.get(window, 0) + 1

    def _go_on(self, step: ScoredWindow, episode: Episode, policy: EpisodePolicy, *, opened: bool) -> None:
        """An open episode at one of its windows."""
        time, entity = step.time, self._names[step.slot]
        if episode.announced:
            reason = episode.due(time, policy)
            if reason is None and not episode.owed:
                return
            suppressed = policy.suppressed(entity, time)
            if suppressed is None and episode.owed:
                reason = EpisodeReason.RELEASED
            if reason is not None:
                self._record(step, episode, Transition.UPDATED, reason, suppressed)
            return
        suppressed = policy.suppressed(entity, time) or episode.held(time, policy)
        if suppressed is None:
            self._announce(step, episode, policy, EpisodeReason.OPENED if opened else EpisodeReason.RELEASED)
        elif not episode.recorded:
            self._record(step, episode, Transition.OPENED, EpisodeReason.OPENED, suppressed)
        elif (reason := episode.due(time, policy)) is not None:
            self._record(step, episode, Transition.UPDATED, reason, suppressed)

    def _announce(self, step: ScoredWindow, episode: Episode, policy: EpisodePolicy, reason: EpisodeReason) -> None:
        """As far as the limits allow."""
        limits, partition = self._limits, int(self._partitions[step.key[0]])
        if policy.total:
            self.found.partitions.add(partition)
        if limits.admit(step.slot, partition, step.time, policy):
            self.found.unsettled.add(step.slot)
            self._record(step, episode, Transition.OPENED, reason, None)
            return
        counted, turn = limits.refuse(step.slot, partition, step.time, policy, episode)
        if counted is not None:
            self.found.dropped.append(counted)
        if turn is not None:
            self._say(step.key[0], step.time, self._names[step.slot], turn)
            if turn.kind is LimitKind.TOTAL:
                self._await(partition, step.key)

    def _close(self, place: "_Place", episode: Episode, reason: EpisodeReason, policy: EpisodePolicy) -> None:
        """An episode without a record of its opening has none of its end."""
        if episode.recorded:
            self._add(place, episode, Transition.CLOSED, reason, episode.hushed, policy)

    def _record(
        self, step: ScoredWindow, episode: Episode, turn: Transition, reason: EpisodeReason, suppressed: str | None
    ) -> None:
        episode.say(step.time, suppressed)
        self._add(self._place(step), episode, turn, reason, suppressed, self._policies[self._kinds[step.key[2]].by_candidate])

    def _place(self, step: ScoredWindow) -> "_Place":
        row, _, kind = step.key
        return _Place(row, self._kinds[kind].window, step.index, self._names[step.slot], step.time)

    def _add(
        self,
        place: "_Place",
        episode: Episode,
        turn: Transition,
        reason: EpisodeReason,
        suppressed: str | None,
        policy: EpisodePolicy,
    ) -> None:
        measured = episode.start, episode.windows, episode.score, episode.peak, policy.named(episode.severity)
        by_candidate = policy is not self._policies.stable
        self.found.records.append(EpisodeTransition(*place, turn, reason, *measured, suppressed, by_candidate))

    def _end_entity(self, row: int, slot: int, entity: str, time: int, policy: EpisodePolicy) -> None:
        self.found.unsettled.add(slot)
        self._say(row, time, entity, self._limits.entities.end(slot, policy.per_entity))

    def _say(self, row: int, time: int, entity: str, turn: LimitTransition | None) -> None:
        if turn is not None:
            self.found.records.append(LimitReached(row, time, entity if turn.kind is LimitKind.PER_ENTITY else "", turn))

    def _await(self, partition: int, after: Key) -> None:
        """Finds the first window of a partition at or after its period's end, behind `after`."""
        until = self._limits.partitions.of[partition].until
        found: list[tuple[Key, int]] = []
        for kind, scored in enumerate(self._kinds):
            rows = scored.messages[scored.places]
            over = (self._partitions[rows] == partition) & (scored.times >= until) & (rows >= after[0])
            index = np.flatnonzero(over & ~np.isnan(scored.scores))
            for at in index[np.lexsort((scored.places[index], rows[index]))].tolist():
                key = (int(rows[at]), int(scored.places[at]), kind)
                if key > after:
                    found.append((key, int(scored.times[at])))
                    break
        if found:
            self._dues[partition] = min(found)
