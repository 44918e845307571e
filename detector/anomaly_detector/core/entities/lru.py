"""Who has to go: the entities of one partition in the order in which they were seen last, and what a run of readings does to it.

    seen last    a b c d        room for four entities, readings of  b  e  c  a
    b            a c d b
    e            c d b e        a goes: the budget
    c            d b e c
    a            b e c a        d goes, and a begins anew

First the idle ones go, then the reading's entity is seated, then whoever is too much. As the partition's event time only rises
and is noted with each entity that is seen, both kinds go from the same end. What comes out depends on the readings and their
order, not on batches: a plan ends before the first reading that would need it to part with somebody whom it has seen itself.

Exactness within a batch buys that the budget holds at every reading, whatever the size of a batch. Evicting at fixed multiples of
the offset would be as deterministic, but between them anybody might come in beyond it: 6,000 new entities of 10 kB are 60 MB.
Where nobody has to go, which `Entities._fits` finds out by one comparison for a run, none of this is used.
"""

from collections.abc import Iterable
from enum import StrEnum
from heapq import heappop, heappush
from typing import Final

import numpy as np
from msgspec import Struct, field

from anomaly_detector.core.columns import NEVER, Int64
from anomaly_detector.core.entities.quota import Bounds, name_bytes

GONE: Final = np.iinfo(np.int64).max
"""In place of the turn of a slot that is free."""
_AT_ONCE: Final = 512


class Reason(StrEnum):
    """Why an entity was forgotten."""

    BUDGET = "Budget"
    """Others needed the room, and it had been seen longest ago."""
    IDLE = "Idle"
    """It sent nothing for too long."""


class LastSeen(Struct):
    """Columns of all slots."""

    turns: Int64
    """[capacity] When its entity was seen last, in readings of this process: only the order counts."""
    stamps: Int64
    """[capacity] The event time that its partition had reached by then, microseconds."""


class LruIndex(Struct):
    """The entities of one partition."""

    slots: dict[str, int] = {}
    text: int = 0
    """Bytes of their names."""
    clock: int = NEVER
    """Newest event time of the partition, microseconds."""
    oldest: int = NEVER
    """All of them were seen since, by the partition's event time."""
    portion: int = -1
    """The turn with which the present portion began, and the partition's event time at its first reading."""
    begun: int = NEVER
    order: Int64 = field(default_factory=lambda: np.empty(0, np.int64))
    """Slots in the order in which they had been seen last when the turn was `sorted`; those seen since come after them."""
    sorted: int = 0
    place: int = 0
    """In `order`: what stands before it is gone or was seen since."""

    def used(self, bounds: Bounds) -> int:
        """Bytes."""
        return len(self.slots) * bounds.entity_bytes + self.text


class Plan(Struct):
    """What a run of readings does to a partition's entities."""

    taken: int
    """So many readings of the run."""
    arriving: list[tuple[int, str]] = []
    """Which reading of the run brought an entity that was not known."""
    leaving: list[tuple[int, int, Reason]] = []
    """Slot, and which reading of the run did it."""


class Planner:
    """Makes the plan for one run. It changes nothing but `LruIndex.order` and `LruIndex.place`."""

    def __init__(self, roll: LruIndex, seen: LastSeen, bounds: Bounds, names: list[str]) -> None:
        """`names`: of the slots."""
        self._roll, self._seen, self._bounds, self._names = roll, seen, bounds, names
        self._gone: set[int] = set()
        self._waiting: list[tuple[int, int]] = []
        """Place in the order, and slot, of those who are next; the last one is the first."""
        self._fresh = False

    def plan(self, entities: list[str], slots: Int64, clocks: Int64) -> Plan:
        """[n] readings: their entities, the slots that these have (-1: none), the partition's event time at each."""
        limits = clocks - self._bounds.idle
        end = int(np.searchsorted(limits, self._roll.begun, side="right"))  # from there on those seen here might be idle
        plan = Plan(end)
        first = dict(zip(slots[:end][::-1].tolist(), range(end - 1, -1, -1), strict=True))
        arrivals = list(_first_rows(entities, np.flatnonzero(slots[:end] < 0)))
        used = self._roll.used(self._bounds)
        if end and used > self._bounds.bytes:
            arrivals.insert(0, (0, ""))  # nobody new, but too many: the bounds have become narrower
        if self._in_turn(plan, arrivals, used, first, limits):
            return plan
        while True:
            row = arrivals[0][0] if arrivals else end
            front = self._front()
            idle = self._idle_at(front, limits, end)
            again = first.get(front, end)
            if front >= 0 and again < min(row, idle):
                self._waiting.pop()  # it is seen again before anything happens to it
            elif idle < end and idle <= row:
                used -= self._part(plan, front, idle, Reason.IDLE, again, arrivals, end)
            elif row == end:
                return plan
            else:
                _, name = heappop(arrivals)
                if name:
                    plan.arriving.append((row, name))
                    used += self._bounds.entity_bytes + name_bytes(name)
                used -= self._yield(plan, row, used - self._bounds.bytes, first, arrivals, end)
                if plan.taken < end:
                    return plan

    def _in_turn(self, plan: Plan, arrivals: list[tuple[int, str]], used: int, first: dict[int, int], limits: Int64) -> bool:
        """The usual case, all at once: nobody is idle, and nobody who goes is met in this run."""
        front = self._front()
        if front < 0 or not arrivals or not arrivals[0][1] or self._seen.stamps[front] < limits[plan.taken - 1]:
            return False
        wanted = np.cumsum([self._bounds.entity_bytes + name_bytes(name) for _, name in arrivals]) + used - self._bounds.bytes
        parted: list[tuple[int, int]] = []
        given = [0]
        while given[-1] < wanted[-1] and self._front() >= 0 and self._waiting[-1][1] not in first:
            parted.append(self._waiting.pop())
            self._gone.add(parted[-1][1])
            given.append(given[-1] + self._bounds.entity_bytes + name_bytes(self._names[parted[-1][1]]))
        if given[-1] < wanted[-1]:
            self._waiting += reversed(parted)
            self._gone.clear()
            return False
        rows = np.array([row for row, _ in arrivals])[np.searchsorted(wanted, given[:-1], side="right")]
        plan.arriving = arrivals
        plan.leaving = [(slot, row, Reason.BUDGET) for (_, slot), row in zip(parted, rows.tolist(), strict=True)]
        return True

    def _yield(self, plan: Plan, row: int, excess: int, first: dict[int, int], arrivals: list[tuple[int, str]], end: int) -> int:
        """Parts with so many bytes, or more, for the sake of a reading; ends the plan before it where that cannot be done."""
        given = 0
        while given < excess:
            front = self._front()
            if front >= 0:
                again = first.get(front, end)
                if again <= row:
                    self._waiting.pop()
                else:
                    given += self._part(plan, front, row, Reason.BUDGET, again, arrivals, end)
            elif row == 0 and self._alone:
                break  # the only one: it is kept, however large
            else:
                self._cut(plan, row)
                break
        return given

    @property
    def _alone(self) -> bool:
        """Whether nobody has been seen in the present portion before this run."""
        slots = np.fromiter(self._roll.slots.values(), np.int64, len(self._roll.slots))
        return not (self._seen.turns[slots] >= self._roll.portion).any()

    def _part(
        self, plan: Plan, slot: int, row: int, reason: Reason, again: int, arrivals: list[tuple[int, str]], end: int
    ) -> int:
        """Sends an entity away; the bytes that this gives."""
        self._waiting.pop()
        self._gone.add(slot)
        plan.leaving.append((slot, row, reason))
        name = self._names[slot]
        if again < end:
            heappush(arrivals, (again, name))  # it comes back
        return self._bounds.entity_bytes + name_bytes(name)

    def _cut(self, plan: Plan, row: int) -> None:
        """Ends the plan before a reading: what it led to is planned anew."""
        plan.taken = row
        plan.arriving = [each for each in plan.arriving if each[0] < row]
        plan.leaving = [each for each in plan.leaving if each[1] < row]
        self._roll.order, self._roll.place, self._waiting = np.empty(0, np.int64), 0, []

    def _idle_at(self, slot: int, limits: Int64, end: int) -> int:
        """Which reading finds the entity idle for too long; `end`: none."""
        if slot < 0 or not end or self._seen.stamps[slot] >= limits[end - 1]:
            return end
        return int(np.searchsorted(limits[:end], self._seen.stamps[slot], side="right"))

    def _front(self) -> int:
        """Slot of the entity that was seen longest ago and not in the present portion; -1: there is none."""
        while not self._waiting:
            roll = self._roll
            if roll.place >= len(roll.order):
                if self._fresh:
                    return -1
                self._sort()
            places = np.arange(roll.place, min(roll.place + _AT_ONCE, len(roll.order)))
            roll.place += len(places)
            chunk = roll.order[places]
            turns = self._seen.turns[chunk]
            still = (turns < roll.sorted) & (turns < roll.portion)
            found = zip(places[still].tolist(), chunk[still].tolist(), strict=True)
            self._waiting = [each for each in found if each[1] not in self._gone][::-1]
        return self._waiting[-1][1]

    def _sort(self) -> None:
        roll = self._roll
        slots = np.fromiter(roll.slots.values(), np.int64, len(roll.slots))
        turns = self._seen.turns[slots]
        roll.order = slots[np.argsort(turns, kind="stable")]
        roll.sorted = int(turns.max(initial=-1)) + 1
        roll.place = 0
        self._fresh = True

    def close(self) -> None:
        """What was looked at and not needed stands in front again."""
        if self._waiting:
            self._roll.place = self._waiting[-1][0]


def _first_rows(entities: list[str], rows: Int64) -> Iterable[tuple[int, str]]:
    """Where each entity is met first, by rising row."""
    seen: set[str] = set()
    for row in rows.tolist():
        if entities[row] not in seen:
            seen.add(entities[row])
            yield row, entities[row]
