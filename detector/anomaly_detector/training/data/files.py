"""Reading CSV and Parquet files by URI, each row as if it were a message of the topic: one code reads both."""

import json
import math
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from email.utils import format_datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

import fsspec
import numpy as np
import pyarrow as pa
from pyarrow import csv, parquet

from anomaly_api.source import Pipeline, TimeFormat
from anomaly_detector.core.columns import MICROSECONDS
from anomaly_detector.core.decode.names import Template
from anomaly_detector.core.decode.paths import path
from anomaly_detector.core.decode.times import PER_MICROSECOND
from anomaly_detector.training.data.messages import Messages
from anomaly_detector.training.failures import TrainingError
from anomaly_detector.training.store import reachable

KEY_COLUMN: Final = "key"
"""Column that stands for the message key, where entities are told apart by it."""
TIMESTAMP_COLUMN: Final = "timestamp"
"""Column that stands for the message's own time, where that is the event time."""
_ROWS: Final = 8192


class Files:
    """Rows of files, one file after the other. Columns are named like the fields of a reading: `sensors.temperature`."""

    def __init__(self, uris: list[str], pipeline: Pipeline) -> None:
        self._uris, self._pipeline = uris, pipeline
        self.name = uris[0] if len(uris) == 1 else f"{len(uris)} files"
        self.share_read = 0.0
        template = Template(pipeline.entity.template).fields if pipeline.entity.template else []
        filtered = [condition.field for condition in pipeline.filter or ()]
        fields = [pipeline.entity.field, *template, pipeline.time.field, *filtered, *(feature.path for feature in pipeline.read)]
        self._fields = [field for field in dict.fromkeys(fields) if field is not None]
        self._names = {field for field in (pipeline.entity.field, *template, *filtered) if field is not None}
        """Columns with text."""
        self._key = KEY_COLUMN if pipeline.entity.key is not None else None
        self._stamp = None if pipeline.time.field else TIMESTAMP_COLUMN

    def read(self) -> Iterator[Messages | None]:
        for place, uri in enumerate(self._uris):
            yield from self._file(uri)
            self.share_read = (place + 1) / len(self._uris)

    def again(self) -> Iterator[Messages]:
        for uri in self._uris:
            yield from self._file(uri)

    def _file(self, uri: str) -> Iterator[Messages]:
        if self._pipeline.pairs is not None or self._pipeline.merge is not None:
            raise TrainingError(
                f"{uri} has a column for each feature, which source.pairs and source.merge do not know: train on the topic"
            )
        try:
            with fsspec.open(reachable(uri), "rb", compression="infer") as opened:
                for batch in self._batches(uri, opened):
                    yield self._messages(batch)
        except (OSError, pa.ArrowException, ValueError, ImportError) as error:
            said = (str(error).splitlines() or [type(error).__name__])[0]
            raise TrainingError(f"{uri} cannot be read: {said}; check spec.training.data.files") from error

    def _batches(self, uri: str, opened: Any) -> Iterator[pa.RecordBatch]:
        wanted = [*self._fields, *(column for column in (self._key, self._stamp) if column)]
        if ".parquet" in uri:
            file = parquet.ParquetFile(opened)
            self._check(uri, wanted, file.schema_arrow.names)
            yield from file.iter_batches(batch_size=_ROWS, columns=wanted)
            return
        texts = {column: pa.string() for column in (self._key, *self._names, self._stamp) if column}
        if self._pipeline.time.field and self._pipeline.time.format not in PER_MICROSECOND:
            texts[self._pipeline.time.field] = pa.string()
        written = (feature for feature in self._pipeline.read if feature.text is not None or feature.values is not None)
        texts |= {feature.path: pa.string() for feature in written}
        convert = csv.ConvertOptions(column_types=texts)
        reader = csv.open_csv(opened, convert_options=convert)
        self._check(uri, wanted, reader.schema.names)
        for batch in reader:
            for start in range(0, batch.num_rows, _ROWS):
                yield batch.slice(start, _ROWS)

    @staticmethod
    def _check(uri: str, wanted: list[str], found: list[str]) -> None:
        missing = [column for column in wanted if column not in found]
        if missing:
            raise TrainingError(
                f"{uri} has no column {missing[0]!r} (it has {', '.join(found[:20])}): columns are named like the fields of a "
                f"reading; {KEY_COLUMN!r} stands for the message key and {TIMESTAMP_COLUMN!r} for its time"
            )

    def _messages(self, batch: pa.RecordBatch) -> Messages:
        columns = {name: self._plain(name, batch.column(name).to_pylist()) for name in self._fields}
        rows = zip(*columns.values(), strict=True)
        paths = [list(path(name).steps) for name in columns]
        try:
            values: list[bytes | None] = [_reading(paths, row) for row in rows]
        except TypeError as error:
            types = ", ".join(f"{name} {batch.schema.field(name).type}" for name in columns)
            raise ValueError(f"a column is of a type that no reading has ({error}): {types}; write numbers or text") from error
        count = batch.num_rows
        keys: list[bytes | None] = [None] * count
        if self._key:
            keys = [None if key is None else str(key).encode() for key in batch.column(self._key).to_pylist()]
        stamps = np.full(count, -1, np.int64)
        if self._stamp:
            stamps = np.array([_milliseconds(at) for at in batch.column(self._stamp).to_pylist()], np.int64)
        return Messages(values, keys, stamps, np.zeros(count, np.int64))

    def _plain(self, name: str, column: list[Any]) -> list[Any]:
        """As JSON would have it."""
        if name == self._pipeline.time.field:
            return [self._time(at) for at in column]
        if name in self._names:
            return [_text(value) for value in column]
        return [_number(value) for value in column]

    def _time(self, at: Any) -> Any:
        if not isinstance(at, datetime):
            return at.isoformat() if isinstance(at, date) else _number(at)
        at = at if at.tzinfo else at.replace(tzinfo=UTC)
        time = self._pipeline.time
        factor = PER_MICROSECOND.get(time.format)
        if factor is not None:
            return at.timestamp() * MICROSECONDS / factor
        if time.format is TimeFormat.PATTERN and time.pattern is not None:
            return at.astimezone(ZoneInfo(time.zone) if time.zone else UTC).strftime(time.pattern)
        return format_datetime(at) if time.format is TimeFormat.RFC2822 else at.isoformat()


def _reading(paths: list[list[str]], row: tuple[Any, ...]) -> bytes:
    """One row as a reading. A value that is not there is left out, as a producer would."""
    reading: dict[str, Any] = {}
    for steps, value in zip(paths, row, strict=True):
        if value is None:
            continue
        inner = reading
        for step in steps[:-1]:
            inner = inner.setdefault(step, {})
        inner[steps[-1]] = value
    return json.dumps(reading).encode()


def _text(value: Any) -> Any:
    """An entity, which is a text or a whole number."""
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else str(value)
    return value.decode(errors="replace") if isinstance(value, bytes) else value


def _number(value: Any) -> Any:
    """What JSON has for it: Parquet's decimals become numbers, and what is not finite is left out."""
    if isinstance(value, Decimal):
        value = float(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _milliseconds(at: Any) -> int:
    """A message time: written as ISO 8601, as a time, or as milliseconds since 1970; -1 where it is none."""
    read: Callable[[Any], datetime] = datetime.fromisoformat
    try:
        moment = at if isinstance(at, datetime) else read(at) if isinstance(at, str) and not at.isdigit() else None
        if moment is None:
            return int(at)
    except (TypeError, ValueError):
        return -1
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
