"""Messages to readings for all formats but plain JSON: each message becomes documents, documents become columns.

    bytes -> format -> envelope -> documents -> numbers that are plain: by columns -> Batch
                  `> rejects                `> everything else: one by one ----------^

What a document means is decided in one place for all formats, JSON's included (`reading.py`); the way by columns is a shortcut
for documents of which nothing but plain numbers is asked.
"""

import math
from collections.abc import Callable, Sequence
from itertools import chain
from operator import itemgetter
from typing import Any, Final

import numpy as np

from anomaly_api.alert import DeadLetterReason, NotReading
from anomaly_api.source import Pipeline, TimeFormat
from anomaly_detector.core.columns import Batch, Float64, Int64, Mask, Numbers, merged, select, whole_numbers
from anomaly_detector.core.decode.exact import EMPTY
from anomaly_detector.core.decode.flaw import Flaw
from anomaly_detector.core.decode.formats.port import Document
from anomaly_detector.core.decode.formats.readers import documents_of
from anomaly_detector.core.decode.formats.schemas import SHARED, Schemas
from anomaly_detector.core.decode.json import Decoded, Decoder, Reject
from anomaly_detector.core.decode.layout import is_written
from anomaly_detector.core.decode.names import MAX_ENTITY, Names, key_reader
from anomaly_detector.core.decode.numbers import narrowed
from anomaly_detector.core.decode.paths import MISSING, Path, path
from anomaly_detector.core.decode.reading import Exact, ReadingReader, Skip
from anomaly_detector.core.decode.sizes import MAX_BYTES
from anomaly_detector.core.decode.times import LATEST

_MOST_BYTES: Final = 4 * MAX_BYTES
"""Of a message with several readings."""
_PLAIN: Final = frozenset((float, int))
_UNITS: Final = {
    TimeFormat.UNIX_SECONDS: 1e6,
    TimeFormat.UNIX_MILLIS: 1e3,
    TimeFormat.UNIX_MICROS: 1.0,
    TimeFormat.UNIX_NANOS: 1e-3,
}
"""Microseconds in each."""

_TOMBSTONE: Final = NotReading.TOMBSTONE


class DocumentDecoder:
    """Reads messages of any format. It keeps nothing that makes a difference."""

    def __init__(self, pipeline: Pipeline, schemas: Schemas = SHARED, *, exact: bool = False) -> None:
        """`exact`: whether values are float64, for something is computed from them."""
        self._read = documents_of(pipeline, schemas)
        self._kind = np.float64 if exact else np.float32
        self._reader = ReadingReader(pipeline)
        self._plain = not (
            pipeline.filter or pipeline.pairs or any(is_written(each) or each.missing_values for each in pipeline.features)
        )
        """Whether nothing but plain numbers is asked for."""
        paths = [path(feature.path) for feature in pipeline.features]
        self._lookups = [each.lookup for each in paths]
        self._together = _together([each.steps for each in paths])
        self._entity = _entity(pipeline)
        self._key = key_reader(pipeline.entity)
        self._time = _quick(path(pipeline.time.field)) if pipeline.time.field else None
        self._unit = _UNITS.get(pipeline.time.format, 0)

    def decode(
        self,
        values: Sequence[bytes | None],
        keys: Sequence[bytes | None],
        timestamps_ms: Numbers,
        partitions: Int64 | None = None,
    ) -> Decoded:
        """Readings of [n] messages, of which one may have several; `timestamps_ms` are their own, -1 where one has none."""
        where = np.zeros(len(values), np.int64) if partitions is None else partitions
        rejects: list[Reject] = []
        skips: list[tuple[int, NotReading]] = []
        rows: list[int] = []
        documents: list[Document] = []
        for row, value in enumerate(values):
            found = _TOMBSTONE if value is None else self._documents(value)
            if isinstance(found, Flaw):
                rejects.append(Reject(row, found.reason, found.message))
            elif isinstance(found, NotReading):
                skips.append((row, found))
            else:
                rows += [row] * len(found)
                documents += found
        numbers = np.array(rows, np.int64)
        if self._plain:
            batch, odd = self._columns(documents, numbers, keys, timestamps_ms, where)
        else:
            batch, odd = self._nothing, list(range(len(documents)))
        if odd:
            batch = merged(batch, self._one_by_one(documents, rows, odd, keys, timestamps_ms, where, rejects, skips))
        return Decoded(batch, sorted(rejects, key=lambda reject: reject.row), sorted(skips))

    @property
    def _nothing(self) -> Batch:
        none = np.empty(0, np.int64)
        return Batch(none, none, [], none, np.empty((0, len(self._lookups)), self._kind))

    def _documents(self, value: bytes) -> list[Document] | Flaw:
        if not value:
            return EMPTY
        if len(value) > _MOST_BYTES:
            return Flaw(DeadLetterReason.TOO_LARGE, f"the message has {len(value)} bytes; it may have {_MOST_BYTES}")
        return self._read(value)

    def _columns(
        self, documents: list[Document], rows: Int64, keys: Sequence[bytes | None], timestamps_ms: Numbers, partitions: Int64
    ) -> tuple[Batch, list[int]]:
        """The readings of plain documents, and the places of the others."""
        values, plain = _at_once(documents, self._together) or _numbers(documents, self._lookups)
        times, timed = self._times(documents, rows, timestamps_ms)
        entities = self._entities(documents, rows, keys)
        narrow, valued = narrowed(values)
        lengths = whole_numbers(map(len, entities), len(entities))
        named = (lengths > 0) & (lengths <= MAX_ENTITY)
        sound = plain & timed & valued & named
        kept = narrow if self._kind is np.float32 else np.where(np.isnan(narrow), np.nan, values)
        batch = Batch(rows, partitions[rows], entities, times, kept)
        if sound.all():
            return batch, []
        return select(batch, np.flatnonzero(sound)), np.flatnonzero(~sound).tolist()

    def _entities(self, documents: list[Document], rows: Int64, keys: Sequence[bytes | None]) -> list[str]:
        """What each reading is of; empty where that takes more than a look."""
        if self._entity is not None:
            return list(map(self._entity, documents))
        names = Names(self._key)
        mine = keys if len(keys) == len(rows) else [keys[row] for row in rows.tolist()]
        return list(map(names.__getitem__, mine))

    def _times(self, documents: list[Document], rows: Int64, timestamps_ms: Numbers) -> tuple[Int64, Mask]:
        """Event times, and whether each is one; what is not a plain number of its unit is left to be read with care."""
        none = np.zeros(len(documents), np.int64)
        if self._time is None:
            stamps = np.asarray(timestamps_ms[rows], np.int64)
            within = (stamps >= 0) & (stamps <= LATEST // 1000)
            return np.where(within, stamps, 0) * 1000, within
        if not self._unit:
            return none, none.astype(bool)
        found = [self._time(document) for document in documents]
        if not _PLAIN.issuperset(map(type, found)):
            return none, none.astype(bool)
        try:
            micros = np.rint(np.array(found, np.float64) * self._unit)
        except OverflowError:
            return none, none.astype(bool)
        within = (micros >= 0) & (micros <= LATEST)
        return np.where(within, micros, 0).astype(np.int64), within

    def _one_by_one(
        self,
        documents: list[Document],
        rows: list[int],
        places: list[int],
        keys: Sequence[bytes | None],
        timestamps_ms: Numbers,
        partitions: Int64,
        rejects: list[Reject],
        skips: list[tuple[int, NotReading]],
    ) -> Batch:
        read: list[tuple[int, Exact]] = []
        told: set[int] = set()
        for place in places:
            row = rows[place]
            found = self._reader.read(documents[place], keys[row], int(timestamps_ms[row]))
            if isinstance(found, Exact):
                read.append((row, found))
            elif isinstance(found, Skip):
                skips.append((row, found.reason))
            elif row not in told:  # a message is a dead letter once, whatever else is in it
                told.add(row)
                rejects.append(Reject(row, found.reason, found.message))
        where = np.array([row for row, _ in read], np.int64)
        times = np.array([exact.time for _, exact in read], np.int64)
        numbers = np.array([exact.values for _, exact in read], self._kind).reshape(len(read), len(self._lookups))
        return Batch(where, partitions[where], [exact.entity for _, exact in read], times, numbers)


def _together(steps: list[tuple[str, ...]]) -> Callable[[Document], Any] | None:
    """What gets all values of a document at once, where they stand in one object; it raises where one is not there."""
    *parents, _ = zip(*steps, strict=True) if len({len(each) for each in steps}) == 1 else ((), ())
    if len(steps) < 2 or any(len(set(names)) > 1 for names in parents):
        return None
    getters = [itemgetter(names[0]) for names in parents]
    values = itemgetter(*(each[-1] for each in steps))

    def get(document: Any) -> Any:
        for getter in getters:
            document = getter(document)
        return values(document)

    return get if getters else values


def _at_once(documents: list[Document], together: Callable[[Document], Any] | None) -> tuple[Float64, Mask] | None:
    """What `_numbers` returns, where all documents have all values and each is a plain number; None where not."""
    if together is None or not documents:
        return None
    try:
        rows = list(map(together, documents))
        if not _PLAIN.issuperset(map(type, chain.from_iterable(rows))):
            return None
        return np.array(rows, np.float64), np.ones(len(rows), bool)
    except (KeyError, TypeError, IndexError, OverflowError):
        return None


def _numbers(documents: list[Document], lookups: Sequence[Callable[[Any], Any]]) -> tuple[Float64, Mask]:
    """[n, features] Values, not a number where there is none; [n] whether a document has nothing but numbers there."""
    values = np.full((len(documents), len(lookups)), math.nan)
    plain = np.ones(len(documents), bool)
    for place, lookup in enumerate(lookups):
        column = [lookup(document) for document in documents]
        if not _PLAIN.issuperset(map(type, column)):
            plain &= np.array([type(found) in _PLAIN or found is None or found is MISSING for found in column], bool)
            column = [found if type(found) in _PLAIN else math.nan for found in column]
        try:
            values[:, place] = column
        except OverflowError:  # a whole number that no float holds
            plain[:] = False
    return values, plain


def _entity(pipeline: Pipeline) -> Callable[[Document], str] | None:
    """What a document is of; empty where that takes more than a look. None: the key says it."""
    entity = pipeline.entity
    if entity.constant is not None:
        constant = entity.constant
        return lambda _: constant
    if entity.template is not None:
        return lambda _: ""
    if entity.field is None:
        return None
    lookup = _quick(path(entity.field))

    def by_field(document: Document) -> str:
        found = lookup(document)
        return found if type(found) is str else ""

    return by_field


def _quick(where: Path) -> Callable[[Document], Any]:
    """What stands in a place, or MISSING."""
    if len(where.steps) > 1:
        return where.lookup
    [name] = where.steps
    return lambda document: document.get(name, MISSING)


def decoder_of(pipeline: Pipeline, *, exact: bool = False) -> "Decoder | DocumentDecoder":
    """Returns the decoder for the pipeline's format. `exact`: whether values are float64, for something is computed from them."""
    if pipeline.is_json:
        return Decoder(pipeline, exact=exact)
    return DocumentDecoder(pipeline, exact=exact)
