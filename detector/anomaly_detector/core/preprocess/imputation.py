"""Fills in what a reading lacks, as its features' `missing` says. Times are of one entity; `.` is a value that is not there.

Hold: the last value there was. Until there has been one, nothing can be filled in.

    time       1    2    3    4    5
    value      .    7    .    .    9
    becomes    .    7    7    7    9

Interpolate: on the straight line between the value before and the next one. So a reading that lacks a value waits for it, with
all that come after it, and is given on under the message that has it. It waits in vain once `maxGap` (the longest there is) has
passed since the value before, or `maxWaiting` further readings have come; then the value before is held. maxGap is 5 here:

    time       1    2    4    5    6    8   10   12
    value      1    .    .    5    .    .    .    9
    becomes    1    2    4    5    5    5    5    9
    under      1    5    5    5   12   12   12   12        12 is more than 5 after 5, so the values at 6, 8 and 10 are held

Drop: nothing; a window that would hold such a reading is not scored, and the next one begins after it.

What was filled in is marked, and so is how much time it bridges: from the last value that was there to the reading (Hold) or to
the next such value (Interpolate). A window whose maxGap is shorter takes it for a hole, as it does with Drop: so a sensor that
fell silent is not held for ever.

Readings come in the order of their times. What comes out depends on the readings of each entity, not on how they were cut into
batches. As long as nothing is missing, nothing is copied and no memory is used.
"""

from collections.abc import Mapping
from typing import Any, Final, Protocol

import numpy as np

from anomaly_api.schema import seconds
from anomaly_api.source import Missing, Pipeline
from anomaly_detector.core.columns import FOR_EVER, MICROSECONDS, Float32, Int64, Mask, Readings
from anomaly_detector.core.entities.table import Entities, grown, row_bytes
from anomaly_detector.core.preprocess.pending import PendingReadings, Queued
from anomaly_detector.core.preprocess.segments import first_of

_LONGEST: Final = 1 << 60
_CURRENT: Final = FOR_EVER
"""Instead of the time of the last value: it is the one of the last reading that was given on."""


class Given(Protocol):
    """Who has the readings that were given on."""

    def last(self, slots: Int64) -> tuple[Int64, Float32]:
        """[n] time and [n, features] values of each entity's newest; NEVER and not a number where there is none."""


class Imputation:
    """State: of each entity that lacks a value now, the last values there were and their times; and what waits."""

    def __init__(self, pipeline: Pipeline, entities: Entities, given: Given) -> None:
        width = len(pipeline.features)
        self._given = given
        self._open = np.empty(0, bool)
        """[capacity] Whether the last reading lacked a value, or one waits."""
        self._actual = np.empty((0, width), np.float32)
        self._since = np.empty((0, width), np.int64)
        self._used = False
        """Whether there is room for these two."""
        self.waiting = PendingReadings(width)
        self.adapt(pipeline)
        entities.attach(self)

    def adapt(self, pipeline: Pipeline) -> None:
        """Goes over to other settings. What waits stays, and an entity's next reading is the first to which they apply."""
        policies = [feature.missing for feature in pipeline.features]
        self._interpolated = np.array([policy is Missing.INTERPOLATE for policy in policies])
        self._dropped = np.array([policy is Missing.DROP for policy in policies])
        self._gap = min(_LONGEST, max(round(seconds(window.max_gap) * MICROSECONDS) for window in pipeline.windows))
        self._most = pipeline.time.max_waiting

    @property
    def waits(self) -> bool:
        """Whether readings may have to wait."""
        return bool(self._interpolated.any())

    @property
    def row_bytes(self) -> int:
        """Bytes of one entity that lacks a value, and of which as much waits as may."""
        return row_bytes(self._open, self._actual, self._since) + self.waiting.row_bytes(
            self._most if self._interpolated.any() else 0
        )

    def fill(self, readings: Readings) -> Readings:
        """Gives readings on, with what could be filled in."""
        concerned = np.isnan(readings.values).any(axis=1) | self._open[readings.slots]
        if not concerned.any():
            return readings
        self._use()
        whose = np.zeros(len(self._open), bool)
        whose[readings.slots[concerned]] = True
        theirs = whose[readings.slots]
        if theirs.all():
            return self._filled(readings)
        return _merged(self._filled(_part(readings, theirs)), _part(readings, ~theirs))

    def resize(self, capacity: int) -> None:
        """Room for so many entities."""
        self._open = grown(self._open, capacity)
        self.waiting.resize(capacity)
        if self._used:
            before = len(self._since)
            self._actual, self._since = grown(self._actual, capacity), grown(self._since, capacity)
            self._since[before:] = _CURRENT

    def clear(self, slots: Int64) -> None:
        """Forgets these entities."""
        self._open[slots] = False
        self.waiting.clear(slots)
        if self._used:
            self._since[slots] = _CURRENT

    def take(self, slots: Int64) -> dict[str, Any]:
        """State of these entities; nothing, where none of them lacks a value."""
        if not self._open[slots].any():
            return {}
        return {"actual": self._actual[slots], "since": self._since[slots], "waiting": self.waiting.take(slots)}

    def put(self, slots: Int64, rows: Mapping[str, Any]) -> None:
        """Sets the state of these entities to what `take` gave."""
        self.clear(slots)
        if rows:
            self._use()
            self._actual[slots], self._since[slots] = rows["actual"], rows["since"]
            self.waiting.put(slots, rows["waiting"])
            self._open[slots] = (self._since[slots] != _CURRENT).any(axis=1) | (self.waiting.counts(slots) > 0)

    def _use(self) -> None:
        if not self._used:
            capacity, width = len(self._open), self._actual.shape[1]
            self._actual = np.zeros((capacity, width), np.float32)
            self._since = np.full((capacity, width), _CURRENT)
            self._used = True

    def _last(self, owners: Int64) -> tuple[Int64, Float32, Int64]:
        """Of what was given on: [n] the time of the newest reading, [n, features] the last values there were, and their times."""
        times, values = self._given.last(owners)
        current = self._since[owners] == _CURRENT
        actual: Float32 = np.where(current, values, self._actual[owners])
        return times, actual, np.where(current, times[:, None], self._since[owners])

    def _filled(self, readings: Readings) -> Readings:
        owners = readings.slots[readings.first]
        tape = _Tape(self._last(owners), self.waiting.of(owners), readings)
        holes = _Holes(tape, self._dropped)
        if self._interpolated.any():
            holes.interpolate(tape, self._interpolated, self._gap, self._most)
        released = tape.release(holes)
        goes = released < tape.end[tape.owner]
        goes[tape.start] = False
        stays = ~goes
        stays[tape.start] = False
        nothing = np.zeros(int(stays.sum()), np.int64)
        self.waiting.set(owners, Queued(tape.owner[stays], tape.times[stays], tape.values[stays], nothing))
        self._remember(owners, tape, np.bincount(tape.owner[goes], minlength=len(owners)))
        values, filled, bridged = holes.results(tape)
        given = owners[tape.owner[goes]]
        return Readings(
            tape.rows[released[goes]], given, tape.times[goes], values[goes], first_of(given), filled[goes], bridged[goes]
        )

    def _remember(self, owners: Int64, tape: "_Tape", given: Int64) -> None:
        """What the last readings that were given on, `given` of each entity, leave behind."""
        last = tape.start + given
        there = tape.known[last] & (given > 0)[:, None]
        before = tape.prior[last]
        across = np.arange(before.shape[1])
        self._since[owners] = np.where(there, _CURRENT, tape.at[before, across])
        self._actual[owners] = tape.values[before, across]
        self._open[owners] = ~there.all(axis=1) | (self.waiting.counts(owners) > 0)


class _Tape:
    """For each entity of a batch: the last values that were given on, what waits, what has come."""

    def __init__(self, last: tuple[Int64, Float32, Int64], queued: Queued, readings: Readings) -> None:
        times, actual, since = last
        owner = np.concatenate([np.arange(len(times)), queued.owner, np.cumsum(readings.first) - 1])
        order = np.argsort(owner, kind="stable")
        self.owner = owner[order]
        self.times = np.concatenate([times, queued.times, readings.times])[order]
        self.values = np.concatenate([actual, queued.values, readings.values])[order]
        """[n, features] Not a number where there is none."""
        self.rows = np.concatenate([np.full(len(times) + len(queued.owner), -1), readings.rows])[order]
        self.places = np.arange(len(order))
        self.start = np.flatnonzero(first_of(self.owner))
        self.end = np.append(self.start[1:], len(order))
        """[entities] Where each part ends."""
        self.known = ~np.isnan(self.values)
        self.at = np.repeat(self.times[:, None], self.values.shape[1], axis=1)
        """[n, features] When the value was there."""
        self.at[self.start] = since
        floor = self.start[self.owner][:, None]
        self.prior = np.maximum.accumulate(np.where(self.known, self.places[:, None], floor), axis=0)
        """[n, features] Where the last value stands that was there."""
        self._news = (self.start + 1 + np.bincount(queued.owner, minlength=len(times)))[self.owner]

    def next(self) -> Int64:
        """[n, features] Where the next value stands that is there; the end of the part, if there is none."""
        there = self.known.copy()
        there[self.start] = False
        after = np.where(there, self.places[:, None], len(self.places))[::-1]
        found: Int64 = np.minimum(np.minimum.accumulate(after, axis=0)[::-1], self.end[self.owner][:, None])
        return found

    def first_after(self, owner: Int64, times: Int64) -> Int64:
        """[n] Where an entity's first reading stands that is newer than the time given; the end of its part, if there is none."""
        moments = np.unique(self.times)
        keys = self.owner * (len(moments) + 1) + np.searchsorted(moments, self.times)
        wanted = owner * (len(moments) + 1) + np.searchsorted(moments, times, side="right")
        found: Int64 = np.searchsorted(keys, wanted)
        return found

    def release(self, holes: "_Holes") -> Int64:
        """[n] Under which place each reading is given on: when it and all before it are settled."""
        settled = self.places.copy()
        np.maximum.at(settled, holes.place, holes.settled)
        found: Int64 = np.maximum(np.maximum.accumulate(settled), self._news)
        return found


class _Holes:
    """The values that are not there, one by one, and what becomes of them. At first they are held."""

    def __init__(self, tape: _Tape, dropped: Mask) -> None:
        missing = ~tape.known
        missing[tape.start] = False
        self.place, self.feature = np.nonzero(missing)
        prior = tape.prior[self.place, self.feature]
        self.before = tape.values[prior, self.feature].astype(np.float64)
        hopeless = np.isnan(self.before) | dropped[self.feature]
        self.since = np.where(hopeless, tape.times[self.place], tape.at[prior, self.feature])
        self.value = np.where(hopeless, np.nan, self.before)
        self.bridged = np.where(hopeless, FOR_EVER, tape.times[self.place] - self.since)
        self.settled = self.place.copy()

    def interpolate(self, tape: _Tape, interpolated: Mask, gap: int, most: int) -> None:
        """Those of these features wait for the next value, and lie on the way to it."""
        which = np.flatnonzero(interpolated[self.feature] & ~np.isnan(self.value))
        place, feature, since, before = self.place[which], self.feature[which], self.since[which], self.before[which]
        owner = tape.owner[place]
        there, too_far = tape.next()[place, feature], tape.first_after(owner, since + gap)
        in_vain = np.minimum(too_far, place + most)
        self.settled[which] = np.maximum(np.minimum(np.minimum(there, in_vain), tape.end[owner]), place)
        lies = (there < too_far) & (there <= in_vain) & (there < tape.end[owner])
        which, there, since, before = which[lies], there[lies], since[lies], before[lies]
        self.bridged[which] = tape.times[there] - since
        share = (tape.times[place[lies]] - since) / self.bridged[which]
        self.value[which] = before + (tape.values[there, feature[lies]] - before) * share

    def results(self, tape: _Tape) -> tuple[Float32, Mask, Int64]:
        """[n, features] values and whether they were filled in, [n] the time that is bridged."""
        values, filled = tape.values.copy(), np.zeros(tape.values.shape, bool)
        values[self.place, self.feature] = self.value
        filled[self.place, self.feature] = ~np.isnan(self.value)
        bridged = np.zeros(len(tape.places), np.int64)
        np.maximum.at(bridged, self.place, self.bridged)
        return values, filled, bridged


def _part(readings: Readings, mask: Mask) -> Readings:
    """The readings of some entities, which it has whole."""
    slots = readings.slots[mask]
    return Readings(readings.rows[mask], slots, readings.times[mask], readings.values[mask], first_of(slots))


def _merged(filled: Readings, others: Readings) -> Readings:
    """The readings of all entities; of the others nothing was missing."""
    assert filled.filled is not None and filled.bridged is not None, "that is what it was filled for"  # noqa: PT018
    slots = np.concatenate([filled.slots, others.slots])
    order = np.argsort(slots, kind="stable")
    slots = slots[order]
    return Readings(
        np.concatenate([filled.rows, others.rows])[order],
        slots,
        np.concatenate([filled.times, others.times])[order],
        np.concatenate([filled.values, others.values])[order],
        first_of(slots),
        np.concatenate([filled.filled, np.zeros(others.values.shape, bool)])[order],
        np.concatenate([filled.bridged, np.zeros(len(others.times), np.int64)])[order],
    )
