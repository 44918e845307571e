"""Blocks of readings from which a running baseline learns: which readings are of which block, however the stream is cut."""

from __future__ import annotations

import numpy as np
from msgspec import Struct

from anomaly_detector.core.columns import Int64, Mask, Readings
from anomaly_detector.core.scoring.estimators import BLOCK


class Blocks(Struct, frozen=True):
    """Which blocks readings complete. Entities are in the order of how many that are, most first."""

    slots: Int64
    """[entities] The entity."""
    seen: Int64
    """[entities] Readings of it, these included."""
    waited: Int64
    """[entities] Readings that waited for their block to be complete."""
    taught: Int64
    """[entities] Readings of it that belong to a block, these included."""
    begin: Int64
    """[entities] Where the readings of its complete blocks begin, when those of all entities are laid one behind the other."""
    first: Int64
    """[entities] The version of its baseline as it is; one more for each block that is complete now."""
    active: list[int]
    """How many entities have a first complete block, a second one, and so on."""
    complete: Int64
    """[c] Readings of complete blocks."""
    spots: Int64
    """[c] Where each of them is laid."""
    left: Int64
    """[w] Readings of blocks that are not complete."""
    whose: Int64
    """[w] Place of the entity of each of them."""
    within: Int64
    """[w] Place of each in its block."""
    met: Int64
    """[n] Which version each new reading meets."""
    since: Int64
    """[n] How many readings of its block came before it."""

    @classmethod
    def of(cls, readings: Readings, seen: Int64, taught: Int64, teaching: Teaching) -> Blocks:
        """`seen` and `taught` are of all slots, before these readings."""
        starts = np.flatnonzero(readings.first)
        counts = np.diff(np.append(starts, len(readings.slots)))
        slots = readings.slots[starts]
        before, known = seen[slots], taught[slots]
        known_now = known + teaching.before(before + counts) - teaching.before(before)
        complete = place_of(known_now) // BLOCK - place_of(known) // BLOCK
        order = np.argsort(-complete, kind="stable")
        whose = np.empty_like(order)
        whose[order] = np.arange(len(order))
        whose = np.repeat(whose, counts)
        starts, counts, slots, before = starts[order], counts[order], slots[order], before[order]
        known, known_now, complete = known[order], known_now[order], complete[order]
        begin = BLOCK * (np.cumsum(complete) - complete)
        first = np.cumsum(complete + 1) - complete - 1
        begun = place_of(known) // BLOCK
        number = np.arange(len(whose)) + (before - starts)[whose]
        along = place_of(teaching.before(number) + (known - teaching.before(before))[whose]) - BLOCK * begun[whose]
        turn, within = np.divmod(along, BLOCK)
        teaches, done = teaching.teaches(number), turn < complete[whose]
        laid, left = np.flatnonzero(teaches & done), np.flatnonzero(teaches & ~done)
        turns = np.arange(complete[0] if len(complete) else 0)
        return cls(
            slots=slots,
            seen=before + counts,
            waited=place_of(known) % BLOCK,
            taught=known_now,
            begin=begin,
            first=first,
            active=np.searchsorted(-complete, -turns, side="left").tolist(),
            complete=laid,
            spots=begin[whose[laid]] + along[laid],
            left=left,
            whose=whose[left],
            within=within[left],
            met=first[whose] + turn,
            since=within,
        )

    @property
    def most(self) -> int:
        """How many entities have a complete block."""
        return self.active[0] if self.active else 0

    @property
    def versions(self) -> int:
        """Of all baselines."""
        return len(self.slots) + sum(self.active)


class Teaching(Struct, frozen=True):
    """Which readings of an entity teach: the first `young`, and BLOCK of every `thinned` times BLOCK after them."""

    young: int
    thinned: int

    def before(self, number: Int64) -> Int64:
        """How many of the first readings teach."""
        if self.thinned == 1:
            return number
        rounds, rest = np.divmod(np.maximum(number - self.young, 0), self.thinned * BLOCK)
        found: Int64 = np.minimum(number, self.young) + rounds * BLOCK + np.minimum(rest, BLOCK)
        return found

    def teaches(self, number: Int64) -> Mask:
        """Whether these readings do."""
        found: Mask = (number < self.young) | ((number - self.young) % (self.thinned * BLOCK) < BLOCK)
        return found


def place_of(readings: Int64) -> Int64:
    """Where a reading stands in the blocks: blocks are of two readings at first, then of four, then of BLOCK.

    0 1 . . . . . .   2 3 . . . . . .   4 5 6 7 . . . .   8 9 10 11 12 13 14 15
    """
    young = np.minimum(readings, BLOCK)
    found: Int64 = readings + (young >= 2) * (BLOCK - 2) + (young >= 4) * (BLOCK - 2) + (young >= BLOCK) * (BLOCK // 2)
    return found
