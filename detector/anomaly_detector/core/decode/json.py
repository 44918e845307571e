"""Messages to readings: JSON, nested paths, entity, event time. A batch in, columns and rejects out; it never raises on input.

Two ways lead through it. The fast one is a msgspec Struct decoder made from the spec. A message that it refuses goes, alone,
through `exact.py`, which reads it or says what is wrong. The way depends on that message only: same bytes, same reading.
"""

import math
import struct
from collections.abc import Sequence
from datetime import UTC
from itertools import starmap
from operator import attrgetter
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
from msgspec import Struct

from anomaly_api.alert import DeadLetterReason
from anomaly_api.source import Pipeline, TimeFormat
from anomaly_detector.core.columns import (
    MICROSECONDS,
    Batch,
    Float32,
    Float64,
    Int64,
    Mask,
    Numbers,
    merged,
    select,
    whole_numbers,
)
from anomaly_detector.core.decode.exact import MAX_ENTITY, Exact, Explainer
from anomaly_detector.core.decode.layout import Layout, layouts
from anomaly_detector.core.decode.sizes import MAX_BYTES, MAX_DEPTH, for_care, longest, perhaps_deep

_EARLIEST: Final = -62_135_596_800 * MICROSECONDS
_LATEST: Final = 253_402_300_800 * MICROSECONDS - 1
"""The years 1 to 9999: what an alert can write down."""
_NO_FEATURE: Final = -1
_FEW_ENTITIES: Final = 4_096
"""Of so many the names are kept: with more, making them anew takes no longer than finding them, and no memory."""
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
    """What became of a batch of messages: each is either a reading or a reject."""

    batch: Batch
    rejects: list[Reject]
    """By rising row."""


class Decoder:
    """Reads messages as a pipeline says. It keeps nothing that makes a difference: where entities are few, their names."""

    def __init__(self, pipeline: Pipeline, *, exact: bool = False) -> None:
        """`exact`: whether values are float64, for something is computed from them."""
        self._pipeline = pipeline
        self._width = len(pipeline.features)
        self._kind = np.float64 if exact else np.float32
        self._pack = struct.Struct(f"{self._width}d").pack
        self._explainer = Explainer(pipeline)
        self._names: _Names | None = _Names()
        """None: there are too many."""
        self._layouts = layouts(pipeline)

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
        if not self._layouts:
            batch, refused = self._nothing, [(row, "") for row in range(len(values))]
        else:
            first, *others = self._layouts
            batch, refused = self._fast(first, everyone, values, keys, timestamps_ms, where, rejects)
            for layout in others:
                other = [row for row, said in refused if said.startswith(_LACKING)]
                if other:
                    more, left = self._fast(layout, np.array(other), values, keys, timestamps_ms, where, rejects)
                    batch, done = merged(batch, more), set(other) - {row for row, _ in left}
                    refused = [(row, said) for row, said in refused if row not in done]
                    if 2 * len(done) > len(values):
                        self._layouts = [layout, first]  # the likelier one comes first; what comes of a message is the same
        if refused:
            batch = self._explained(refused, values, keys, timestamps_ms, where, batch, rejects)
        rejects.sort(key=lambda reject: reject.row)
        return Decoded(batch, rejects)

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
        rejects: list[Reject],
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
        return self._columns(layout, records, rows, values, keys, timestamps_ms, partitions, rejects), left

    def _records(self, layout: Layout, values: Sequence[bytes | None]) -> tuple[list[Any], list[tuple[int, str]]]:
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
        messages: Sequence[bytes | None],
        keys: Sequence[bytes | None],
        timestamps_ms: Numbers,
        partitions: Int64,
        rejects: list[Reject],
    ) -> Batch:
        exact = self._numbers(layout, records)
        values, finite = _narrow(exact)
        times, timed = self._times(layout, records, rows, timestamps_ms)
        entities, named = self._entities(layout, records, rows, keys)
        batch = Batch(rows, partitions[rows], entities, times, exact if self._kind is np.float64 else values)
        sound = finite & timed & named
        if sound.all():
            return batch
        wrong = np.flatnonzero(~sound)
        beyond = ~(np.isfinite(values[wrong]) | np.isnan(exact[wrong]))  # [wrong, features] Is there, and no float32
        first = np.where(beyond.any(axis=1), beyond.argmax(axis=1), _NO_FEATURE)
        found = zip(rows[wrong].tolist(), named[wrong].tolist(), timed[wrong].tolist(), first.tolist(), strict=True)
        for row, is_named, is_timed, feature in found:
            if not is_named:
                flaw = self._explainer.entity_flaw(keys[row])
            elif not is_timed:
                flaw = self._explainer.time_flaw()
            elif feature != _NO_FEATURE:
                flaw = self._explainer.range_flaw(feature)
            else:
                flaw = self._explainer.missing_flaw(messages[row])
            rejects.append(Reject(row, flaw.reason, flaw.message))
        return select(batch, np.flatnonzero(sound))

    def _numbers(self, layout: Layout, records: list[Any]) -> Float64:
        """[n, features] Not a number where there is none."""
        try:
            # half the time of packing all at once, a third of np.fromiter's
            packed = b"".join(starmap(self._pack, layout.values(records)))
        except struct.error:  # a null
            found = ([math.nan if number is None else number for number in row] for row in layout.values(records))
            packed = b"".join(starmap(self._pack, found))
        return np.frombuffer(packed, np.float64).reshape(-1, self._width)

    def _entities(self, layout: Layout, records: list[Any], rows: Int64, keys: Sequence[bytes | None]) -> tuple[list[str], Mask]:
        entity = self._pipeline.entity
        if entity.constant is not None:
            return [entity.constant] * len(records), np.ones(len(records), bool)
        if layout.entity is not None:
            found = [name if type(name) is str else _whole(name) for name in map(attrgetter(layout.entity), records)]
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
        try:
            return [key.decode() for key in keys]  # type: ignore[union-attr]  # a missing key raises, see below
        except (AttributeError, UnicodeDecodeError):
            return [_text(key) for key in keys]

    def _times(self, layout: Layout, records: list[Any], rows: Int64, timestamps_ms: Numbers) -> tuple[Int64, Mask]:
        """Event times, and whether each is one."""
        if layout.time is None:
            stamps = timestamps_ms[rows]
            within = (stamps >= 0) & (stamps <= _LATEST // 1000)
            return np.where(within, stamps, 0) * 1000, within
        found = map(attrgetter(layout.time), records)
        if self._pipeline.time.format is TimeFormat.ISO8601:
            seconds = [(at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() for at in found]
            exact, factor = np.array(seconds), MICROSECONDS
        else:
            factor = 1000 if self._pipeline.time.format is TimeFormat.UNIX_MILLIS else MICROSECONDS
            exact = np.frombuffer(struct.pack(f"{len(records)}d", *found), np.float64)
        with np.errstate(over="ignore"):
            micros = np.rint(exact * factor)
        within = (micros >= _EARLIEST) & (micros <= _LATEST)
        return np.where(within, micros, 0).astype(np.int64), within

    def _explained(
        self,
        refused: list[tuple[int, str]],
        values: Sequence[bytes | None],
        keys: Sequence[bytes | None],
        timestamps_ms: Numbers,
        partitions: Int64,
        batch: Batch,
        rejects: list[Reject],
    ) -> Batch:
        """Adds what the exact way makes of the messages that the fast one refused."""
        read: list[tuple[int, Exact]] = []
        for row, said in refused:
            value = values[row]
            found = self._explainer.at_once(said, value) or self._explainer.read(value, keys[row], timestamps_ms[row], said)
            if isinstance(found, Exact):
                read.append((row, found))
            else:
                rejects.append(Reject(row, found.reason, found.message))
        if not read:
            return batch
        rows = np.array([row for row, _ in read], np.int64)
        times = np.array([exact.time for _, exact in read], np.int64)
        numbers = np.array([exact.values for _, exact in read], self._kind)
        own = [exact.entity for _, exact in read]
        return merged(batch, Batch(rows, partitions[rows], own, times, numbers))


class _Names(dict[bytes | None, str]):
    """Names of entities, by the keys of their messages. A key that is no name is not kept: there may be any number of them."""

    def __missing__(self, key: bytes | None) -> str:
        name = _text(key)
        if 0 < len(name) <= MAX_ENTITY:
            self[key] = name
        return name


def _narrow(exact: Float64) -> tuple[Float32, Mask]:
    """As float32, and whether a row has a value and all that it has survive that: 1e300 does not."""
    with np.errstate(over="ignore"):
        narrow: Float32 = np.asarray(exact, np.float32)
    finite = np.isfinite(narrow)
    if finite.all():
        return narrow, np.ones(len(narrow), bool)
    missing = np.isnan(exact)
    return narrow, np.asarray((finite | missing).all(axis=1) & ~missing.all(axis=1))


def _whole(number: int) -> str:
    """A whole number as text; one beyond any sensible id counts as empty, and is rejected as such."""
    return str(number) if abs(number) < 10**MAX_ENTITY else ""


def _text(key: bytes | None) -> str:
    """A key as text; empty where it is none."""
    try:
        return key.decode() if key else ""
    except UnicodeDecodeError:
        return ""
