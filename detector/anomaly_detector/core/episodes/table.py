"""Episodes of all entities and windows: which windows of a batch are looked at, and what is remembered. It writes no alert.

It costs next to nothing for entities whose scores are low: a window is looked at if its score is above, or if its entity has
something to remember (`wake`: the event time from which on it wants to be looked at).
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
from msgspec import Struct

from anomaly_detector.core.columns import Float32, Int64, Mask
from anomaly_detector.core.entities.table import Entities, grown, row_bytes
from anomaly_detector.core.episodes.episode import Episode
from anomaly_detector.core.episodes.factors import adjusting
from anomaly_detector.core.episodes.limits import Limits
from anomaly_detector.core.episodes.policy import EpisodePolicy
from anomaly_detector.core.episodes.processor import EpisodeProcessor, Policies, Processed, ScoredWindow, WindowScores
from anomaly_detector.core.episodes.trailing import TrailingLevels
from anomaly_detector.core.episodes.transitions import EvictedEntity
from anomaly_detector.core.preprocess.windows import WindowBatch

_ALWAYS: Final = np.iinfo(np.int64).min
_NEVER: Final = np.iinfo(np.int64).max
TALLY: Final = "*"
"""Where the entity's limit stands among the windows of its state; no window has this name."""
_LEVEL: Final = "level of "
"""Begins the places of trailing levels there, before the window's name; no window's name has a space."""


def is_window(place: str) -> bool:
    """Whether a place of an entity's state is a window's name."""
    return place != TALLY and not is_level(place)


def is_level(place: str) -> bool:
    """Whether it is a window's trailing level."""
    return place.startswith(_LEVEL)


class _Watch(Struct):
    """One kind of window."""

    wake: Int64
    """[capacity] Event time from which on an entity's windows are looked at, however low."""
    episodes: dict[int, Episode] = {}
    """By slot: of those that have something to remember."""


class Episodes:
    """Open and beginning episodes, cooldowns and limits. State belongs to entities, and of the limit in all, to partitions."""

    def __init__(self, entities: Entities, policy: EpisodePolicy, windows: Sequence[str]) -> None:
        self._entities, self._policies = entities, Policies(policy, policy)
        self._watches: dict[str, _Watch] = {}
        self._trailing: dict[str, TrailingLevels] = {}
        self._limits = Limits()
        self._dirty = np.empty(0, bool)
        self._dirty_partitions: set[int] = set()
        self.scored = np.empty(0, bool)
        """[capacity] Which entities have had a score."""
        entities.attach(self)
        self.adopt(policy, windows)

    def adopt(self, policy: EpisodePolicy, windows: Sequence[str], candidate: EpisodePolicy | None = None) -> None:
        """Goes over to another policy and other windows; what is known of those that stay remains.

        `candidate`: the policy of entities that a candidate decides, where it decides any; `windows` are those of both then.
        """
        self._policies = Policies(policy, candidate or policy)
        self._watches = {name: self._watches.get(name) or _Watch(np.full(len(self.scored), _NEVER)) for name in windows}
        before, capacity = self._trailing, len(self.scored)
        self._trailing = {name: adjusting(before.get(name), each, capacity) for name, each in policy.baselines.items()}

    def trails(self, window: str) -> bool:
        """Whether scores of this kind of window have a trailing baseline."""
        return window in self._trailing

    def adjusted(self, windows: WindowBatch, scores: Float32, mine: Mask, threshold: float) -> Float32:
        """[n] The scores that decide, of a kind of window that has a trailing baseline; see `TrailingLevels.adjusted`."""
        found, changed = self._trailing[windows.name].adjusted(windows, scores, mine, threshold)
        self._dirty[changed] = True
        return found

    @property
    def limiting(self) -> int:
        """Limits that hold something back: of entities and of partitions."""
        return len(self._limits.entities.pending()) + len(self._limits.partitions.pending())

    def observe(self, kinds: Sequence[WindowScores], partitions: Int64, ended: Sequence[EvictedEntity] = ()) -> Processed:
        """Takes in the scores that a batch of messages led to, at most one `WindowScores` for each kind of window; `partitions`
        [messages] are the messages' own.
        """
        processor = EpisodeProcessor(self._policies, self._limits, self._entities.names, kinds, partitions)
        concerned = self._concerned(kinds)
        if concerned is None and not ended and not processor.waits:
            return processor.found
        waiting = sorted(ended, key=lambda each: each.row, reverse=True)
        for step in self._steps(kinds, concerned, processor) if concerned is not None else ():
            while waiting and waiting[-1].row <= step.key[0]:
                self._forget(processor, waiting.pop())
            processor.window(step, self._watches[kinds[step.key[2]].window].episodes)
        while waiting:
            self._forget(processor, waiting.pop())
        processor.until(None)
        self._dirty_partitions |= processor.found.partitions
        if concerned is not None:
            self._dirty |= concerned
        self._settle(processor.found.unsettled)
        return processor.found

    @property
    def row_bytes(self) -> int:
        """Bytes of one entity that has no episode. One that has takes half a kilobyte more; there are few at a time."""
        levels = sum(trailing.row_bytes for trailing in self._trailing.values())
        return levels + row_bytes(self._dirty, self.scored, *(watch.wake for watch in self._watches.values()))

    def resize(self, capacity: int) -> None:
        """Room for so many entities."""
        before = len(self.scored)
        self._dirty, self.scored = grown(self._dirty, capacity), grown(self.scored, capacity)
        for watch in self._watches.values():
            watch.wake = grown(watch.wake, capacity)
            watch.wake[before:] = _NEVER
        for trailing in self._trailing.values():
            trailing.resize(capacity)

    def clear(self, slots: Int64) -> None:
        """Forgets these entities."""
        self._dirty[slots] = self.scored[slots] = False
        for trailing in self._trailing.values():
            trailing.clear(slots)
        for slot in self.remembered().intersection(slots.tolist()):
            self._drop(slot)

    def remembers(self, slot: int) -> bool:
        """Whether there is anything to remember of an entity; of most there is not."""
        return slot in self._limits.entities.of or any(slot in watch.episodes for watch in self._watches.values())

    def dirty(self) -> Int64:
        """Slots of the entities whose state may have changed since it was last asked."""
        slots = np.flatnonzero(self._dirty)
        self._dirty[slots] = False
        return slots

    def dirty_partitions(self) -> set[int]:
        """Partitions whose limit may have changed since it was last asked."""
        found, self._dirty_partitions = self._dirty_partitions, set()
        return found

    def remembered(self) -> set[int]:
        """Slots of the entities of which there is anything to remember."""
        return self._limits.entities.of.keys() | {slot for watch in self._watches.values() for slot in watch.episodes}

    def limited(self) -> list[int]:
        """Partitions of which there is a limit to remember, by number."""
        return sorted(self._limits.partitions.of)

    def state(self, slot: int) -> dict[str, dict[str, Any]]:
        """By window, what there is to remember of an entity: plain values. Nothing, for most."""
        found = {name: watch.episodes[slot].state() for name, watch in self._watches.items() if slot in watch.episodes}
        tally = self._limits.entities.state(slot)
        levels = {_LEVEL + name: level for name, each in self._trailing.items() if (level := each.state(slot))}
        return found | ({TALLY: tally} if tally else {}) | levels

    def restore(self, slot: int, state: Mapping[str, Mapping[str, Any]]) -> None:
        """Sets an entity's episodes to what `state` gave; those of windows that are no more are left out."""
        self._drop(slot)
        for name, watch in self._watches.items():
            if name in state:
                watch.episodes[slot] = Episode.of(state[name])
                self.scored[slot] = True
        for name, trailing in self._trailing.items():
            if _LEVEL + name in state:
                trailing.restore(slot, state[_LEVEL + name])
        if TALLY in state:
            self._limits.entities.restore(slot, state[TALLY])
        self._settle([slot])

    def open_ones(self) -> list[tuple[int, str, Episode]]:
        """Slot, window and episode of all that are open."""
        return [
            (slot, name, episode)
            for name, watch in self._watches.items()
            for slot, episode in sorted(watch.episodes.items())
            if episode.open
        ]

    def inherit(self, other: "Episodes") -> None:
        """Takes over the trailing levels of a revision that was compared: they are of its own scores."""
        self._trailing = other._trailing

    def keep(self, slot: int, windows: Collection[str]) -> None:
        """Drops an entity's episodes in other windows: who decides it now has none of these."""
        for name, watch in self._watches.items():
            if name not in windows and watch.episodes.pop(slot, None) is not None:
                self._dirty[slot] = True
        self._settle([slot])

    def accept(self, slot: int, window: str) -> None:
        """Ends an open episode, because somebody said that this is normal now."""
        self._watches[window].episodes[slot].accept()
        self._dirty[slot] = True
        self._settle([slot])

    def renounce(self, slots: Collection[int]) -> list[tuple[int, str, Episode]]:
        """Another model decides: of these entities nothing is normal any more because somebody said so.

        Slot, window and episode of those that end with it: they were open, and nobody was told of them.
        """
        ended = []
        for name, watch in self._watches.items():
            for slot, episode in [(slot, each) for slot, each in watch.episodes.items() if each.accepted and slot in slots]:
                if episode.open and not episode.announced:
                    ended.append((slot, name, watch.episodes.pop(slot)))
                elif episode.renounce() == Episode():
                    del watch.episodes[slot]
                self._dirty[slot] = True
                self._settle([slot])
        return ended

    def state_of_partition(self, partition: int) -> dict[str, Any] | None:
        """What there is to remember of a partition's limit: plain values."""
        return self._limits.partitions.state(partition)

    def restore_partition(self, partition: int, state: Mapping[str, Any]) -> None:
        """Sets it to what `state_of_partition` gave."""
        self._limits.partitions.restore(partition, state)

    def forget_partition(self, partition: int) -> None:
        """Forgets a partition's limit; its entities are cleared by themselves."""
        self._limits.partitions.of.pop(partition, None)
        self._dirty_partitions.discard(partition)

    def take(self, slots: Int64) -> dict[str, Any]:
        """State of these entities."""
        return {"episodes": [self.state(slot) for slot in slots.tolist()], "scored": self.scored[slots]}

    def put(self, slots: Int64, rows: Mapping[str, Any]) -> None:
        """Sets the state of these entities."""
        for slot, state in zip(slots.tolist(), rows["episodes"], strict=True):
            self.restore(slot, state)
        self.scored[slots] = rows["scored"]

    def _concerned(self, kinds: Sequence[WindowScores]) -> Mask | None:
        """[capacity] Entities that are to be looked at; None: there are none."""
        concerned = None
        for kind in kinds:
            self.scored[kind.slots[~np.isnan(kind.scores)]] = True
            above = self._policies[kind.by_candidate].above
            hot = (kind.scores > above) | (kind.times >= self._watches[kind.window].wake[kind.slots])
            if hot.any():
                concerned = np.zeros(len(self.scored), bool) if concerned is None else concerned
                concerned[kind.slots[hot]] = True
        return concerned

    def _steps(self, kinds: Sequence[WindowScores], concerned: Mask, processor: EpisodeProcessor) -> Iterator[ScoredWindow]:
        """The windows of these entities in the order of the stream, but for those at which nothing could happen."""
        chosen = [np.flatnonzero(concerned[kind.slots] & ~np.isnan(kind.scores)) for kind in kinds]
        which = np.repeat(np.arange(len(kinds)), [len(index) for index in chosen])
        parts = [
            np.concatenate([getattr(kind, name)[index] for kind, index in zip(kinds, chosen, strict=True)])
            for name in ("places", "slots", "times", "scores")
        ]
        rows = kinds[0].messages[parts[0]]
        order = np.lexsort((which, parts[0], rows))
        columns = [column[order].tolist() for column in (which, np.concatenate(chosen), rows, *parts)]
        episodes, tallies = [self._watches[kind.window].episodes for kind in kinds], self._limits.entities.of
        above = [self._policies[kind.by_candidate].above for kind in kinds]
        for kind, index, row, place, slot, time, score in zip(*columns, strict=True):
            if score <= above[kind] and slot not in episodes[kind] and slot not in tallies and not processor.waits:
                continue
            yield ScoredWindow((row, place, kind), index, slot, time, score)

    def _forget(self, processor: EpisodeProcessor, ended: EvictedEntity) -> None:
        processor.forgotten(ended, {name: watch.episodes for name, watch in self._watches.items()})

    def _settle(self, slots: Iterable[int]) -> None:
        """When these entities want to be looked at."""
        for slot in slots:
            tally = self._limits.entities.of.get(slot)
            until = tally.until if tally else _NEVER
            for watch in self._watches.values():
                episode = watch.episodes.get(slot)
                if episode is None:
                    watch.wake[slot] = until
                elif episode.open or episode.streak:
                    watch.wake[slot] = _ALWAYS
                else:
                    watch.wake[slot] = until if episode.cooling is None else min(until, episode.cooling)

    def _drop(self, slot: int) -> None:
        for watch in self._watches.values():
            watch.episodes.pop(slot, None)
            watch.wake[slot] = _NEVER
        for trailing in self._trailing.values():
            trailing.clear(np.array([slot]))
        self._limits.entities.of.pop(slot, None)
