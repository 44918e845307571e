"""Which row of every stage's columns belongs to which entity, and who is forgotten when there are too many. It knows no values.

An entity is told apart by its partition too: what a partition's readings lead to depends on that partition alone, so its
state can be saved, given up and taken over with it. Rows that are given back are used again; columns never shrink.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise, repeat
from typing import Any, Final, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from anomaly_detector.core.columns import NEVER, Batch, Int64
from anomaly_detector.core.entities.lru import GONE, LastSeen, LruIndex, Planner
from anomaly_detector.core.entities.micro_batch import Evicted, MicroBatch, cut
from anomaly_detector.core.entities.quota import Bounds, name_bytes

_Element = TypeVar("_Element", bound=np.generic)
_FIRST_CAPACITY: Final = 64


class Rows(Protocol):
    """Arrays with one row for each entity."""

    @property
    def row_bytes(self) -> int:
        """Bytes of one row."""

    def resize(self, capacity: int) -> None:
        """Makes room for at least so many rows; what is there stays."""

    def clear(self, slots: Int64) -> None:
        """Makes these rows as new."""


class Columns(Rows, Protocol):
    """A stage's state that goes with its partition."""

    def take(self, slots: Int64) -> dict[str, Any]:
        """A copy of these rows: plain arrays by name."""

    def put(self, slots: Int64, rows: Mapping[str, Any]) -> None:
        """Sets these rows to what `take` gave."""


class Entities:
    """Hands out rows ("slots") to entities."""

    def __init__(self, bounds: Bounds | None = None) -> None:
        self.bounds = bounds
        """None: everybody is remembered for ever."""
        self.names: list[str] = []
        """Entity of each slot; empty for a free one."""
        self.partitions: list[int] = []
        """Partition of each slot."""
        self._rolls: dict[int, LruIndex] = {}
        self._free: list[int] = []
        self._stages: list[Rows] = []
        self._seen = LastSeen(np.empty(0, np.int64), np.empty(0, np.int64))
        self._turn = 0
        self._restored = 0
        """The turn at which entities were last let in without a reading."""
        self.capacity = 0
        self._grow(_FIRST_CAPACITY)

    def __len__(self) -> int:
        return len(self.names) - len(self._free)

    @property
    def used(self) -> int:
        """Bytes, as the bounds count them; 0 without any."""
        return sum(roll.used(self.bounds) for roll in self._rolls.values()) if self.bounds else 0

    def weight(self, partition: int) -> int:
        """Bytes of a partition's entities in all columns, and of their names."""
        roll = self._rolls.get(partition)
        return len(roll.slots) * self.row_bytes + roll.text if roll else 0

    @property
    def row_bytes(self) -> int:
        """Bytes that an entity takes in all columns."""
        return sum(stage.row_bytes for stage in self._stages) + 3 * np.dtype(np.int64).itemsize

    def attach(self, stage: Rows) -> None:
        """From now on the stage has a row for each slot."""
        self._stages.append(stage)
        stage.resize(self.capacity)

    def detach(self, stage: Rows) -> None:
        """The stage is given up."""
        self._stages.remove(stage)

    @property
    def turn(self) -> int:
        """How many readings have been seated."""
        return self._turn

    def seen_since(self, turn: int) -> Int64:
        """Slots of the entities of which there were readings since then; of those that were restored meanwhile none is known."""
        turns = self._seen.turns[: len(self.names)]
        slots: Int64 = ((turns >= max(turn, self._restored)) & (turns != GONE)).nonzero()[0]
        return slots

    def slots(self, batch: Batch) -> Int64:
        """[n] Slot of each reading's entity, where nobody is ever forgotten."""
        [portion] = self.seat(batch)
        return portion.slots

    def seat(self, batch: Batch) -> Iterator[MicroBatch]:
        """A batch in portions; each must have been taken in (`dismiss`) before the next one is asked for."""
        begin = 0
        while True:
            portion = self._portion(batch, begin)
            yield portion
            begin += len(portion.batch)
            if begin >= len(batch):
                return

    def dismiss(self, leaving: Sequence[Evicted]) -> None:
        """Makes the rows of those who leave as new; others may have been given them already."""
        if leaving:
            slots = np.array([left.slot for left in leaving], np.int64)
            for stage in self._stages:
                stage.clear(slots)

    def known(self, partition: int) -> dict[str, int]:
        """Slots of a partition's entities; the one that was seen longest ago comes first."""
        roll = self._rolls.get(partition)
        if roll is None:
            return {}
        names, slots = list(roll.slots), np.fromiter(roll.slots.values(), np.int64, len(roll.slots))
        return {names[place]: int(slots[place]) for place in np.argsort(self._seen.turns[slots], kind="stable").tolist()}

    def known_slot(self, partition: int, entity: str) -> int | None:
        """Slot of an entity, if it is known."""
        roll = self._rolls.get(partition)
        return roll.slots.get(entity) if roll else None

    def take(self, slots: Int64) -> dict[str, Any]:
        """When these entities were seen, by their partition's event time."""
        return {"stamps": self._seen.stamps[slots]}

    def admit(self, partition: int, names: Iterable[str], rows: Mapping[str, Any] | None = None) -> Int64:
        """Slots for these entities, new ones where they are unknown.

        `rows` is what `take` gave: they count as seen one after the other, and by then. Without it new ones count as seen now.
        """
        wanted = list(names)
        roll = self._rolls.setdefault(partition, LruIndex())
        unknown = [name for name in dict.fromkeys(wanted) if name not in roll.slots]
        self._arrive(partition, roll, unknown)
        slots = np.array([roll.slots[name] for name in wanted], np.int64)
        fresh = slots if rows else np.array([roll.slots[name] for name in unknown], np.int64)
        self._seen.turns[fresh] = self._turn + np.arange(len(fresh))
        self._seen.stamps[fresh] = rows["stamps"] if rows else roll.clock
        self._turn += len(fresh)
        self._restored = self._turn
        roll.clock = int(self._seen.stamps[fresh].max(initial=roll.clock))
        roll.oldest = NEVER
        return slots

    def expect(self, within: int) -> None:
        """Has every entity be idle by now but for so many microseconds: whoever sends nothing within them is forgotten.

        A topic that gets more partitions sends the readings of some keys elsewhere from then on. Nobody can tell of which, and an
        open episode of one of them would hang in its old partition until `expireAfter`.
        """
        if self.bounds is None:
            return
        for roll in self._rolls.values():
            slots = np.fromiter(roll.slots.values(), np.int64, len(roll.slots))
            if roll.clock == NEVER or not len(slots):
                continue
            latest = roll.clock - self.bounds.idle + within
            self._seen.stamps[slots] = np.minimum(self._seen.stamps[slots], latest)
            roll.oldest = min(roll.oldest, latest)

    def drop(self, partition: int) -> None:
        """Forgets a partition's entities."""
        roll = self._rolls.pop(partition, None)
        if not roll:
            return
        slots = np.fromiter(roll.slots.values(), np.int64, len(roll.slots))
        self._release(slots)
        for stage in self._stages:
            stage.clear(slots)

    def _portion(self, batch: Batch, begin: int) -> MicroBatch:
        """From there on as much as can be taken in together."""
        count, since = len(batch), self._turn
        turns = np.flatnonzero(np.diff(batch.partitions[begin:])) + begin + 1  # messages come in runs of one partition
        found = np.empty(count - begin, np.int64)
        leaving: list[Evicted] = []
        done = begin
        for start, end in pairwise([begin, *turns.tolist(), count]):
            if end > start:
                slots = self._run(batch, start, end, since, leaving)
                found[start - begin : start - begin + len(slots)] = slots
                done = start + len(slots)
                if done < end:
                    break
        whole = not begin and done == count
        return MicroBatch(batch if whole else cut(batch, begin, done), found[: done - begin], leaving)

    def _run(self, batch: Batch, start: int, end: int, since: int, leaving: list[Evicted]) -> Int64:
        """Slots of as many readings of a run as can be taken in together with what stands before it."""
        partition = int(batch.partitions[start])
        roll = self._rolls.get(partition) or self._rolls.setdefault(partition, LruIndex())
        entities = batch.entities[start:end]
        slots = np.fromiter(map(roll.slots.get, entities, repeat(-1)), np.int64, end - start)
        clocks = np.maximum.accumulate(batch.times[start:end])
        if clocks[0] < roll.clock:
            np.maximum(clocks, roll.clock, out=clocks)
        if roll.portion != since:
            roll.portion, roll.begun = since, int(clocks[0])
        unknown = np.flatnonzero(slots < 0)
        arriving = dict.fromkeys([entities[place] for place in unknown.tolist()])
        if self._fits(roll, arriving, clocks):
            self._arrive(partition, roll, arriving)
            if len(unknown):
                slots[unknown] = [roll.slots[entities[place]] for place in unknown.tolist()]
        else:
            taken = self._make_room(partition, roll, batch, start, entities, slots, clocks, leaving)
            slots = np.fromiter(map(roll.slots.__getitem__, entities[:taken]), np.int64, taken)
        if len(slots):
            roll.clock = int(clocks[len(slots) - 1])
            self._seen.turns[slots] = np.arange(self._turn, self._turn + len(slots))  # the last one stays
            self._seen.stamps[slots] = clocks[: len(slots)]
            self._turn += len(slots)
        return slots

    def _fits(self, roll: LruIndex, arriving: Iterable[str], clocks: Int64) -> bool:
        """Whether nobody has to go for a run of readings."""
        bounds = self.bounds
        if bounds is None:
            return True
        if roll.clock == NEVER:  # those who are here were seen before it is known when
            roll.oldest = int(clocks[0])
            self._seen.stamps[list(roll.slots.values())] = roll.oldest
        names = list(arriving)
        more = len(names) * bounds.entity_bytes + sum(map(name_bytes, names))
        if roll.used(bounds) + more > bounds.bytes:
            return False
        if clocks[-1] - bounds.idle <= roll.oldest:
            return True
        slots = np.fromiter(roll.slots.values(), np.int64, len(roll.slots))
        roll.oldest = int(self._seen.stamps[slots].min(initial=clocks[0]))
        return bool(clocks[-1] - bounds.idle <= roll.oldest)

    def _make_room(
        self,
        partition: int,
        roll: LruIndex,
        batch: Batch,
        start: int,
        entities: list[str],
        slots: Int64,
        clocks: Int64,
        leaving: list[Evicted],
    ) -> int:
        """Sends away who has to go, lets in who is new; of how many readings of the run."""
        assert self.bounds is not None, "else there is room"
        planner = Planner(roll, self._seen, self.bounds, self.names)
        plan = planner.plan(entities, slots, clocks)
        planner.close()
        gone = np.array([each[0] for each in plan.leaving], np.int64)
        places = np.array([each[1] for each in plan.leaving], np.int64)
        rows, idle = batch.rows[start + places].tolist(), (clocks[places] - self._seen.stamps[gone]).tolist()
        for (slot, _, reason), row, passed in zip(plan.leaving, rows, idle, strict=True):
            name = self.names[slot]
            leaving.append(Evicted(slot, name, partition, row, reason, passed))
            del roll.slots[name]
            roll.text -= name_bytes(name)
        self._release(gone)
        self._arrive(partition, roll, dict.fromkeys(name for _, name in plan.arriving))
        return plan.taken

    def _arrive(self, partition: int, roll: LruIndex, names: Iterable[str]) -> None:
        """Seats entities that are not known."""
        for name in names:
            if self._free:
                slot = self._free.pop()
                self.names[slot], self.partitions[slot] = name, partition
            else:
                slot = len(self.names)
                self.names.append(name)
                self.partitions.append(partition)
            roll.slots[name] = slot
            roll.text += name_bytes(name)
        self._grow(len(self.names))

    def _release(self, slots: Int64) -> None:
        """Others may have these slots."""
        self._seen.turns[slots] = GONE
        for slot in slots.tolist():
            self.names[slot] = ""
            self._free.append(slot)

    def _grow(self, least: int) -> None:
        if least <= self.capacity:
            return
        self.capacity = max(least, self.capacity + self.capacity // 2)
        self._seen.turns, self._seen.stamps = grown(self._seen.turns, self.capacity), grown(self._seen.stamps, self.capacity)
        for stage in self._stages:
            stage.resize(self.capacity)


def grown(array: NDArray[_Element], capacity: int) -> NDArray[_Element]:
    """A copy with `capacity` rows, the new ones zero."""
    more: NDArray[_Element] = np.zeros((capacity, *array.shape[1:]), array.dtype)
    more[: len(array)] = array
    return more


def row_bytes(*columns: NDArray[Any]) -> int:
    """Bytes that one row takes in all of them."""
    return sum(column.itemsize * int(np.prod(column.shape[1:])) for column in columns)
