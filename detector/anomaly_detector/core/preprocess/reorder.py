"""Puts each entity's readings into the order of their event times, and leaves out what is late or there twice.

A reading waits until its entity has sent one that is `lateness` newer. Here lateness is 4 s; numbers are event times, and what is
given on stands under the message that lets it go:

    messages      1    3    2    9       4    5    9    15    8
    newest        1    3    3    9       9    9    9    15    15
    given on                     1 2 3   4    5         9
                                                   |          `- late: 9 has been given on
                                                   `- a duplicate: the first 9 waits, and it counts

So readings may come in any order, as long as none comes after one of its entity that is `lateness` newer: what is given on is
the same. One that comes even later is taken all the same while nothing newer has been given on (4 and 5, after 9).

A reading waits for at most `maxWaiting` further ones of its entity; then it is given on early, with all that are older, and
counted as released early. Nothing waits for the clock or for other entities: an entity's last readings wait until it sends
again. With a lateness of nothing nothing ever waits, and whatever is not newer than the readings before is late, or a duplicate.

What comes out depends on the readings of each entity and their order, not on how they were cut into batches.
"""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from msgspec import Struct

from anomaly_api.schema import seconds
from anomaly_api.source import Time
from anomaly_detector.core.columns import MICROSECONDS, NEVER, Batch, Float32, Int64, Mask, Readings
from anomaly_detector.core.entities.table import Entities, grown, row_bytes
from anomaly_detector.core.preprocess.delays import by_lateness
from anomaly_detector.core.preprocess.pending import PendingReadings, Queued
from anomaly_detector.core.preprocess.segments import first_of

_SINGLE: Final = np.dtype(np.float32)
_LONGEST: Final = 1 << 60
"""Microseconds, 36,000 years: event times plus this are still 64-bit numbers."""


class Ordered(Struct, frozen=True):
    """What a batch led to."""

    readings: Readings
    """Those that were given on, with the rows of the messages that let them go."""
    late: int = 0
    """Readings left out, because a newer one of their entity had been given on."""
    duplicates: int = 0
    """Readings left out, because one of the same entity and time waits or was the last to be given on."""
    released_early: int = 0
    """Readings that were given on before their time, because too many of their entity waited."""
    delays: Mapping[int, int] = {}
    """Readings that came after a newer one of their entity, by how much (`losses.by_lateness`)."""


class ReorderBuffer:
    """State: up to which time each entity's readings have been given on, and what waits of it."""

    def __init__(self, time: Time, width: int, entities: Entities, kind: np.dtype[Any] = _SINGLE) -> None:
        """`kind`: of the values that wait."""
        self._entities = entities
        self._reached = np.empty(0, np.int64)
        self.waiting = PendingReadings(width, kind)
        self.adapt(time)
        entities.attach(self)

    def adapt(self, time: Time) -> None:
        """Goes over to other settings. What waits stays, and an entity's next message is the first to which they apply."""
        self._lateness = min(_LONGEST, round(seconds(time.lateness) * MICROSECONDS))
        self._most = time.max_waiting

    @property
    def waits(self) -> bool:
        """Whether readings may have to wait."""
        return self._lateness > 0

    @property
    def row_bytes(self) -> int:
        """Bytes of one entity of which as much waits as may."""
        return row_bytes(self._reached) + self.waiting.row_bytes(self._most if self._lateness else 0)

    def order(self, batch: Batch, slots: Int64 | None = None) -> Ordered:
        """Takes in readings, gives on those whose time has come. `slots` [n] of their entities, where they are known."""
        slots = self._entities.slots(batch) if slots is None else slots
        order = np.argsort(slots, kind="stable")
        slots, times = slots[order], batch.times[order]
        first = first_of(slots)
        simple = not self._lateness and not self.waiting.total
        if not len(times) or (simple and self._rising(slots, times, np.flatnonzero(first))):
            return Ordered(Readings(batch.rows[order], slots, times, batch.values.take(order, axis=0), first))
        return self._sorted_out(batch.rows[order], slots, times, batch.values.take(order, axis=0), first)

    def resize(self, capacity: int) -> None:
        """Room for so many entities."""
        before = len(self._reached)
        self._reached = grown(self._reached, capacity)
        self._reached[before:] = NEVER
        self.waiting.resize(capacity)

    def clear(self, slots: Int64) -> None:
        """Forgets these entities."""
        self._reached[slots] = NEVER
        self.waiting.clear(slots)

    def take(self, slots: Int64) -> dict[str, Any]:
        """State of these entities."""
        return {"reached": self._reached[slots], "waiting": self.waiting.take(slots)}

    def put(self, slots: Int64, rows: Mapping[str, Any]) -> None:
        """Sets the state of these entities."""
        self._reached[slots] = rows["reached"]
        self.waiting.put(slots, rows["waiting"])

    def _rising(self, slots: Int64, times: Int64, starts: Int64) -> bool:
        """Whether each reading is newer than all before it of its entity; if so, they have been given on."""
        owners = slots[starts]
        before = np.empty_like(times)
        before[1:] = times[:-1]
        before[starts] = self._reached[owners]
        if not (times > before).all():
            return False
        self._reached[owners] = times[np.append(starts[1:], len(times)) - 1]
        return True

    def _sorted_out(self, rows: Int64, slots: Int64, times: Int64, values: Float32, first: Mask) -> Ordered:
        owners = slots[first]
        queued = self.waiting.of(owners)
        tape = _Tape(self._reached[owners], queued, np.cumsum(first) - 1, times)
        due = tape.due(self._lateness, self._most)
        kept, late, duplicates = tape.sift(due)
        released = _with_the_newer(due[kept])  # what is newer never goes before what is older
        goes = released < tape.end[tape.owner[kept]]
        released_early = np.count_nonzero(tape.newest[released[goes]] < tape.needed[kept[goes]])

        came = np.concatenate([np.zeros((len(owners), values.shape[1]), values.dtype), queued.values, values])
        rows_of = np.concatenate([np.full(len(owners) + len(queued.owner), -1), rows])
        gone, stays = kept[goes], np.sort(kept[~goes])
        self.waiting.set(owners, Queued(tape.owner[stays], tape.times[stays], came[tape.source[stays]], tape.after(stays)))
        self._reached[owners] = tape.reached(due)
        given = owners[tape.owner[gone]]
        readings = Readings(
            rows_of[tape.source[released[goes]]], given, tape.times[gone], came[tape.source[gone]], first_of(given)
        )
        return Ordered(readings, late, duplicates, int(released_early), by_lateness(tape.delays()))


class _Tape:
    """For each entity of a batch, in the order of arrival: how far it is, what waits of it, what has come.

    Times are compared as `keys`, which rise from entity to entity and with the time within each: so what holds for an entity's
    part can be accumulated and searched over the whole tape at once.
    """

    def __init__(self, reached: Int64, queued: Queued, owner: Int64, times: Int64) -> None:
        owners = np.arange(len(reached))
        self.source = np.argsort(np.concatenate([owners, queued.owner, owner]), kind="stable")
        self.owner = np.concatenate([owners, queued.owner, owner])[self.source]
        self.times = np.concatenate([reached, queued.times, times])[self.source]
        """[n] Event times."""
        self._age = np.concatenate([owners * 0, queued.after, owner * 0])[self.source]
        self._moments, rank = np.unique(self.times, return_inverse=True)
        self._span = len(self._moments) + 1
        self._keys = self.owner * self._span + rank
        self._places = np.arange(len(self.owner))
        self._start = np.flatnonzero(first_of(self.owner))
        self.end = np.append(self._start[1:], len(self.owner))
        """[entities] Where each part ends."""
        self._news = self._start + 1 + np.bincount(queued.owner, minlength=len(reached))
        self.newest = np.maximum.accumulate(self._keys)
        """[n] Key of the newest time of the entity so far."""
        self.needed = self._keys
        """[n] Key that the entity must reach for a reading to be given on."""

    def due(self, lateness: int, most: int) -> Int64:
        """[n] The place of the message that lets each reading go, were it alone; the end of its part, if none does yet."""
        self.needed = self.owner * self._span + np.searchsorted(self._moments, self.times + lateness)
        awaited = np.searchsorted(self.newest, self.needed)
        news = self._news[self.owner]
        crowded = np.where(self._places < news, news + np.maximum(most - self._age - 1, 0), self._places + most)
        due: Int64 = np.minimum(np.maximum(np.minimum(awaited, crowded), np.maximum(self._places, news)), self.end[self.owner])
        due[self._start] = self._start
        return due

    def sift(self, due: Int64) -> tuple[Int64, int, int]:
        """Places of the readings that count, by entity and time; how many are late, and how many duplicates."""
        before = np.roll(self._given_on(due), 1)
        late = self._keys < before
        late[self._start] = False  # that is what had been given on
        rising = np.argsort(self._keys, kind="stable")
        twice = np.zeros(len(rising), bool)
        twice[rising[1:]] = self._keys[rising[1:]] == self._keys[rising[:-1]]
        twice &= ~late
        out = late | twice
        out[self._start] = True
        return rising[~out[rising]], int(np.count_nonzero(late)), int(np.count_nonzero(twice))

    def reached(self, due: Int64) -> Int64:
        """[entities] The newest time that has been given on."""
        keys = self._given_on(due)[self.end - 1]
        found: Int64 = self._moments[keys - np.arange(len(self.end)) * self._span]
        return found

    def delays(self) -> Int64:
        """Of what has come after a newer reading of its entity: how much newer that was, microseconds."""
        newest = self._moments[self.newest - self.owner * self._span]
        behind = (newest > self.times) & (self._places >= self._news[self.owner])
        found: Int64 = newest[behind] - self.times[behind]
        return found

    def after(self, places: Int64) -> Int64:
        """[n] How many readings of its entity have come since each of these."""
        owner = self.owner[places]
        come: Int64 = self._age[places] + self.end[owner] - np.maximum(places + 1, self._news[owner])
        return come

    def _given_on(self, due: Int64) -> Int64:
        """[n] Key of the newest reading that has been given on, at each place. Late ones and duplicates make no difference."""
        found = np.zeros(len(due), np.int64)
        goes = due < self.end[self.owner]
        np.maximum.at(found, due[goes], self._keys[goes])
        newest: Int64 = np.maximum.accumulate(found)
        return newest


def _with_the_newer(due: Int64) -> Int64:
    """[n] By entity and time: the earliest place at which it or any newer one goes."""
    earliest: Int64 = np.minimum.accumulate(due[::-1])[::-1]
    return earliest
