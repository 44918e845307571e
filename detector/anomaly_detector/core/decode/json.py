"""Messages to readings: JSON, nested paths, entity, event time. A batch in, columns and rejects out; it never raises on input.

Two ways lead through it. The fast one is a msgspec Struct decoder made from the spec. A message that it refuses goes, alone,
through `exact.py`, which reads it or says what is wrong. The way depends on that message only: same bytes, same reading.
"""

import math
import struct
from collections.abc import Iterable, Sequence
from datetime import UTC
from itertools import starmap
from operator import attrgetter
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
from msgspec import Struct

from anomaly_api.alert import DeadLetterReason, NotReading
from anomaly_api.source import Pipeline
from anomaly_detector.core.columns import (
    MICROSECONDS,
    Batch,
    Float64,
    Int64,
    Mask,
    Numbers,
    merged,
    select,
    whole_numbers,
)
from anomaly_detector.core.decode.exact import Explainer
from anomaly_detector.core.decode.filters import Sieve, sieve
from anomaly_detector.core.decode.layout import Layout, is_written, layouts
from anomaly_detector.core.decode.names import MAX_ENTITY, Names, Template, key_reader, whole
from anomaly_detector.core.decode.numbers import as_numbers, narrowed, reader, without
from anomaly_detector.core.decode.reading import Exact, Skip
from anomaly_detector.core.decode.sizes import MAX_BYTES, MAX_DEPTH, for_care, longest, perhaps_deep
from anomaly_detector.core.decode.times import DOUBTFUL, EARLIEST, LATEST, TimeReader

_FEW_ENTITIES: Final = 4_096
"""Of so many the names are kept: with more, making them anew takes no longer than finding them, and no memory."""
_OF_ANOTHER_KIND: Final = ("Expected `float | null`, got `str`", "Expected `float | null`, got `bool`")
"""How it begins when a feature is text, or a state."""
_LACKING: Final = "Object missing required field"
"""How msgspec begins when an object is not there: names may have its dots in them."""
_REFUSALS: Final = (msgspec.MsgspecError, RecursionError, TypeError, ValueError)


class Reject(NamedTuple):
    """A message that could not be read."""

    row: int
    """Index of the message in the batch."""
    reason: DeadLetterReason
    message: str
    """What is wrong and where, for people; never the content."""


class Decoded(Struct, frozen=True):
    """What became of a batch of messages: each is a reading, a reject, or none of ours."""

    batch: Batch
    rejects: list[Reject]
    """By rising row."""
    skips: list[tuple[int, NotReading]] = []
    """Messages that are no readings, by rising row, and why."""


class Decoder:
    """Reads messages as a pipeline says. It keeps nothing that makes a difference: where entities are few, their names."""

    def __init__(self, pipeline: Pipeline, *, exact: bool = False) -> None:
        """`exact`: whether values are float64, for something is computed from them."""
        self._pipeline = pipeline
        self._width = len(pipeline.features)
        self._kind = np.float64 if exact else np.float32
        self._pack = struct.Struct(f"{self._width}d").pack
        self._explainer = Explainer(pipeline)
        self._time = TimeReader(pipeline.time)
        self._key = key_reader(pipeline.entity)
        self._template = Template(pipeline.entity.template) if pipeline.entity.template else None
        self._written = [(place, reader(each)) for place, each in enumerate(pipeline.features) if is_written(each)]
        """Features whose values may be text or states, and how they are read."""
        self._sentinels = [
            (place, np.array(each.missing_values))
            for place, each in enumerate(pipeline.features)
            if each.missing_values and not is_written(each)
        ]
        self._names: Names | None = Names(self._key)
        """None: there are too many."""
        self._layouts = layouts(pipeline)
        self._sieve = sieve(pipeline.filter) if self._layouts else None
        loose = Layout(pipeline, loose=True) if self._layouts and len(pipeline.features) > 1 else None
        self._loose = loose if loose is not None and loose.sound else None
        """Of readings in which a feature is text or a state that is none of its values: the others count."""
        self._every = [(place, reader(each)) for place, each in enumerate(pipeline.features)]

    def decode(
        self,
        values: Sequence[bytes | None],
        keys: Sequence[bytes | None],
        timestamps_ms: Numbers,
        partitions: Int64 | None = None,
    ) -> Decoded:
        """Readings of [n] messages; `timestamps_ms` are the messages' own, -1 where there is none."""
        where = np.zeros(len(values), np.int64) if partitions is None else partitions
        everyone = np.arange(len(values), dtype=np.int64)
        rejects: list[Reject] = []
        skips: list[tuple[int, NotReading]] = []
        if not self._layouts:
            batch, refused = self._nothing, [(row, "") for row in range(len(values))]
        else:
            first, *others = self._layouts
            everyone, unread = self._sifted(everyone, values, skips)
            batch, refused = self._fast(first, everyone, values, keys, timestamps_ms, where)
            refused += unread
            for layout in [*others, self._loose] if self._loose is not None else others:
                other = [row for row, said in refused if said.startswith(_OF_ANOTHER_KIND if layout.loose else _LACKING)]
                if other:
                    more, left = self._fast(layout, np.array(other), values, keys, timestamps_ms, where)
                    batch, done = merged(batch, more), set(other) - {row for row, _ in left}
                    refused = [(row, said) for row, said in refused if row not in done]
                    if 2 * len(done) > len(values) and not layout.loose:
                        self._layouts = [layout, first]  # the likelier one comes first; what comes of a message is the same
        if refused:
            batch = self._explained(refused, values, keys, timestamps_ms, where, batch, rejects, skips)
        return Decoded(batch, sorted(rejects, key=_row), sorted(skips))

    def _sifted(
        self, everyone: Int64, values: Sequence[bytes | None], skips: list[tuple[int, NotReading]]
    ) -> tuple[Int64, list[tuple[int, str]]]:
        """The rows that pass the filter, and those that have to be looked at; without a filter all of them pass."""
        if self._sieve is None:
            return everyone, []
        records, refused = self._records(self._sieve, values)
        rows = np.delete(everyone, [place for place, _ in refused]) if refused else everyone
        passing = np.array(self._sieve.passes(records), bool)
        skips.extend((row, NotReading.FILTERED) for row in rows[~passing].tolist())
        return rows[passing], refused

    @property
    def _nothing(self) -> Batch:
        none = np.empty(0, np.int64)
        return Batch(none, none, [], none, np.empty((0, self._width), self._kind))

    def _fast(
        self,
        layout: Layout,
        rows: Int64,
        values: Sequence[bytes | None],
        keys: Sequence[bytes | None],
        timestamps_ms: Numbers,
        partitions: Int64,
    ) -> tuple[Batch, list[tuple[int, str]]]:
        """The readings of the messages in these rows that suit a layout; the rows of the others, with what was said of them."""
        mine = values if len(rows) == len(values) else [values[row] for row in rows.tolist()]
        records, refused = self._records(layout, mine)
        left = [(int(rows[place]), said if not layout.flat or said.startswith(_LACKING) else "") for place, said in refused]
        if refused:
            rows = np.delete(rows, [place for place, _ in refused])
        other = layout.unsuited(records)
        if other:
            left = sorted(left + [(int(rows[place]), _LACKING) for place in other])
            unsuited = set(other)
            records = [record for place, record in enumerate(records) if place not in unsuited]
            rows = np.delete(rows, other)
        if not records:
            return self._nothing, left
        batch, sound = self._columns(layout, records, rows, keys, timestamps_ms, partitions)
        if sound.all():
            return batch, left
        left = sorted(left + [(row, "") for row in rows[~sound].tolist()])
        return select(batch, np.flatnonzero(sound)), left

    def _records(self, layout: Layout | Sieve, values: Sequence[bytes | None]) -> tuple[list[Any], list[tuple[int, str]]]:
        """What the fast way reads, and the rows that it refuses, with what it says; one pass, whatever the share of bad ones."""
        records: list[Any] = []
        refused: list[tuple[int, str]] = []
        most = longest(values)
        if most > MAX_BYTES or (most > MAX_DEPTH and perhaps_deep(values)):
            values = [None if value is not None and for_care(value) else value for value in values]
        rest = iter(values)
        while True:
            try:
                records.extend(map(layout.decode, rest))  # type: ignore[arg-type]  # None is refused; the list keeps what came before
                return records, refused
            except _REFUSALS as error:
                said = str(error) if isinstance(error, msgspec.MsgspecError) else ""
                refused.append((len(records) + len(refused), said))

    def _columns(
        self,
        layout: Layout,
        records: list[Any],
        rows: Int64,
        keys: Sequence[bytes | None],
        timestamps_ms: Numbers,
        partitions: Int64,
    ) -> tuple[Batch, Mask]:
        """The readings of records, and whether each is sound: what is not has to be looked at."""
        exact = self._numbers(layout, records)
        narrow, valued = narrowed(exact)
        values = narrow if self._kind is np.float32 else np.where(np.isnan(narrow), np.nan, exact)
        times, timed = self._times(layout, records, rows, timestamps_ms)
        entities, named = self._entities(layout, records, rows, keys)
        return Batch(rows, partitions[rows], entities, times, values), valued & timed & named

    def _numbers(self, layout: Layout, records: list[Any]) -> Float64:
        """[n, features] Not a number where there is none."""
        written = self._every if layout.loose else self._written
        if written:
            found: Any = [as_numbers(list(row), written) for row in layout.values(records)]
            packed = b"".join(starmap(self._pack, found))
        else:
            try:
                # half the time of packing all at once, a third of np.fromiter's
                packed = b"".join(starmap(self._pack, layout.values(records)))
            except struct.error:  # a null
                found = ([math.nan if number is None else number for number in row] for row in layout.values(records))
                packed = b"".join(starmap(self._pack, found))
        numbers = np.frombuffer(packed, np.float64).reshape(-1, self._width)
        return without(numbers, self._sentinels) if self._sentinels else numbers

    def _entities(self, layout: Layout, records: list[Any], rows: Int64, keys: Sequence[bytes | None]) -> tuple[list[str], Mask]:
        entity = self._pipeline.entity
        if entity.constant is not None:
            return [entity.constant] * len(records), np.ones(len(records), bool)
        if self._template is not None:
            found = list(map(self._template.put, zip(*(map(attrgetter(each), records) for each in layout.entity), strict=True)))
        elif layout.entity:
            found = [name if type(name) is str else whole(name) for name in map(attrgetter(layout.entity[0]), records)]
        else:
            mine = keys if len(keys) == len(rows) else [keys[row] for row in rows.tolist()]
            found = self._names_in(mine)
        lengths = whole_numbers(map(len, found), len(found))
        return found, (lengths > 0) & (lengths <= MAX_ENTITY)

    def _names_in(self, keys: Sequence[bytes | None]) -> list[str]:
        """[n] The keys as text; empty where one is none."""
        if self._names is not None:
            known = list(map(self._names.__getitem__, keys))
            if len(self._names) > _FEW_ENTITIES:
                self._names = None
            return known
        return list(map(self._key, keys))

    def _times(self, layout: Layout, records: list[Any], rows: Int64, timestamps_ms: Numbers) -> tuple[Int64, Mask]:
        """Event times, and whether each is one."""
        if layout.time is None:
            stamps = timestamps_ms[rows]
            within = (stamps >= 0) & (stamps <= LATEST // 1000)
            return np.where(within, stamps, 0) * 1000, within
        found = map(attrgetter(layout.time), records)
        if self._time.factor is None and not self._time.plain:
            return self._texts(found, timestamps_ms[rows])
        if self._time.factor is None:
            seconds = [(at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() for at in found]
            exact, factor = np.array(seconds), float(MICROSECONDS)
        else:
            exact, factor = np.frombuffer(struct.pack(f"{len(records)}d", *found), np.float64), self._time.factor
        with np.errstate(over="ignore"):
            micros = np.rint(exact * factor)
        if self._time.factor is None:
            within = (micros >= EARLIEST) & (micros <= LATEST)
        else:  # what is far off has to be looked at: its unit may be another one
            within = (micros >= DOUBTFUL[0]) & (micros <= DOUBTFUL[1])
        return np.where(within, micros, 0).astype(np.int64), within

    def _texts(self, found: Iterable[Any], stamps: Int64) -> tuple[Int64, Mask]:
        """Event times that are text which only the spec explains."""
        micros = [self._time.read(text, stamp) for text, stamp in zip(found, np.asarray(stamps).tolist(), strict=True)]
        return np.array([each or 0 for each in micros], np.int64), np.array([each is not None for each in micros], bool)

    def _explained(
        self,
        refused: list[tuple[int, str]],
        values: Sequence[bytes | None],
        keys: Sequence[bytes | None],
        timestamps_ms: Numbers,
        partitions: Int64,
        batch: Batch,
        rejects: list[Reject],
        skips: list[tuple[int, NotReading]],
    ) -> Batch:
        """Adds what the exact way makes of the messages that the fast one refused."""
        read: list[tuple[int, Exact]] = []
        for row, said in refused:
            value = values[row]
            found = self._explainer.at_once(said, value) or self._explainer.read(value, keys[row], int(timestamps_ms[row]), said)
            if isinstance(found, Exact):
                read.append((row, found))
            elif isinstance(found, Skip):
                skips.append((row, found.reason))
            else:
                rejects.append(Reject(row, found.reason, found.message))
        if not read:
            return batch
        rows = np.array([row for row, _ in read], np.int64)
        times = np.array([exact.time for _, exact in read], np.int64)
        numbers = np.array([exact.values for _, exact in read], self._kind)
        own = [exact.entity for _, exact in read]
        return merged(batch, Batch(rows, partitions[rows], own, times, numbers))


def _row(reject: Reject) -> int:
    return reject.row
