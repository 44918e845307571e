"""Readings of CSV and Parquet files as columns, an entity, a time and the features each: what `backtest`, `fit` and `tune` read.

Columns are named like the fields of a reading, as in `spec.training.data.files`; `key` stands for the message key and `timestamp`
for the message's time. A file without `key` is of one entity, named like the file; one without `timestamp` has readings at even
steps (`spec_file.INTERVAL`). So benchmark files can be read as they are: separated by commas, semicolons or tabs, packed or not.
"""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import fsspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import compute, csv, parquet

from anomaly_api.source import Entity, Pipeline
from anomaly_detector.cli.errors import CommandError
from anomaly_detector.core.columns import MICROSECONDS
from anomaly_detector.core.decode.times import PER_MICROSECOND

KEY_COLUMN: Final = "key"
TIMESTAMP_COLUMN: Final = "timestamp"
_SEPARATORS: Final = (",", ";", "\t")
_START: Final = 1_577_836_800 * MICROSECONDS
"""2020-01-01: where files without times begin."""
_LABELS: Final = ("label", "anomaly", "is_anomaly", "anomalous")


@dataclass(frozen=True)
class Table:
    """Readings in the order of the files."""

    names: list[str]
    """Entities."""
    codes: NDArray[np.int64]
    """[n] Place of each reading's entity in `names`."""
    times: NDArray[np.int64]
    """[n] Event time, microseconds since 1970 UTC."""
    values: NDArray[Any]
    """[n, features that are read] float32; float64 where something is computed from them first. Not a number where one is
    missing."""
    unreadable: int = 0
    """Rows without a time or an entity, which are left out."""

    def __len__(self) -> int:
        return len(self.codes)

    def rows(self, part: slice | NDArray[np.bool_]) -> "Table":
        """Some of the readings."""
        return Table(self.names, self.codes[part], self.times[part], self.values[part])


def read_tables(paths: Sequence[str], pipeline: Pipeline, interval: float) -> list[Table]:
    """A table for each file; `interval` in seconds. Raises CommandError."""
    return [_table(path, read_arrow(path), pipeline, interval) for path in paths]


def joined(tables: Sequence[Table]) -> Table:
    """One table of several."""
    names: dict[str, int] = {}
    codes = []
    for table in tables:
        places = np.array([names.setdefault(name, len(names)) for name in table.names], np.int64)
        codes.append(places[table.codes] if len(table) else table.codes)
    return Table(
        list(names),
        np.concatenate(codes),
        np.concatenate([table.times for table in tables]),
        np.concatenate([table.values for table in tables]),
        sum(table.unreadable for table in tables),
    )


def read_labels(path: str, rows: int) -> NDArray[np.bool_]:
    """[rows] Which readings are anomalous: the column `label` (or anomaly, is_anomaly) of a file with a row for each reading.

    Raises CommandError.
    """
    found = read_arrow(path)
    column = next((name for name in _LABELS if name in found.column_names), None)
    if column is None and found.num_columns == 1:
        column = found.column_names[0]
    if column is None:
        raise CommandError(f"{path} has no column with labels (it has {_few(found.column_names)}): name it {_LABELS[0]}, 0 or 1")
    if found.num_rows != rows:
        raise CommandError(f"{path} has {found.num_rows:,} labels for {rows:,} readings: write a row for each reading, in order")
    return np.nan_to_num(_numbers(path, column, found.column(column))) > 0.5


def read_arrow(path: str) -> pa.Table:
    try:
        with fsspec.open(path, "rb", compression="infer") as opened:
            content = opened.read()
        if ".parquet" in Path(path).name:
            return parquet.read_table(io.BytesIO(content))
        return _csv(content)
    except FileNotFoundError as error:
        raise CommandError(f"{path} does not exist: write the path or URI of a CSV or Parquet file") from error
    except (OSError, pa.ArrowException, ValueError, ImportError, EOFError) as error:
        said = (str(error).splitlines() or [type(error).__name__])[0]
        raise CommandError(f"{path} cannot be read: {said}; it must be CSV with a line of names, or Parquet") from error


def _csv(content: bytes) -> pa.Table:
    """Separated by whichever of the usual signs stands most often in its first line."""
    head = content.split(b"\n", 1)[0].decode("utf-8", errors="replace")
    separator = max(_SEPARATORS, key=head.count)
    texts = {name: pa.string() for name in (KEY_COLUMN,)}
    return csv.read_csv(
        io.BytesIO(content),
        parse_options=csv.ParseOptions(delimiter=separator),
        convert_options=csv.ConvertOptions(column_types=texts),
        read_options=csv.ReadOptions(block_size=max(1 << 20, len(head) + 1)),
    )


def _table(path: str, found: pa.Table, pipeline: Pipeline, interval: float) -> Table:
    missing = [feature.path for feature in pipeline.read if feature.path not in found.column_names]
    if missing:
        raise CommandError(
            f"{path} has no column {missing[0]!r} (it has {_few(found.column_names)}): columns are named like spec.features"
        )
    values = np.empty((found.num_rows, len(pipeline.read)), np.float64 if pipeline.prepares else np.float32)
    for place, feature in enumerate(pipeline.read):
        values[:, place] = _numbers(path, feature.path, found.column(feature.path))
    values[~np.isfinite(values)] = np.nan
    names, codes = _entities(path, found, pipeline.entity)
    times, known = _times(path, found, pipeline, interval)
    known &= codes >= 0
    readable = Table(names, codes, times, values)
    return readable if known.all() else _without(readable, known)


def _without(table: Table, known: NDArray[np.bool_]) -> Table:
    kept = table.rows(known)
    return Table(kept.names, kept.codes, kept.times, kept.values, int(len(known) - known.sum()))


def _entities(path: str, found: pa.Table, entity: Entity) -> tuple[list[str], NDArray[np.int64]]:
    column = entity.field or (KEY_COLUMN if entity.constant is None and KEY_COLUMN in found.column_names else None)
    if column is None:
        return [entity.constant or Path(path).name.split(".")[0]], np.zeros(found.num_rows, np.int64)
    if column not in found.column_names:
        raise CommandError(f"{path} has no column {column!r} (it has {_few(found.column_names)}): it is spec.entity.field")
    coded = compute.cast(found.column(column), pa.string()).combine_chunks().dictionary_encode()
    coded = coded.chunk(0) if isinstance(coded, pa.ChunkedArray) else coded
    codes = coded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    return coded.dictionary.to_pylist(), codes


def _times(path: str, found: pa.Table, pipeline: Pipeline, interval: float) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Times, and which of them are known."""
    column = pipeline.time.field or TIMESTAMP_COLUMN
    if column not in found.column_names:
        if pipeline.time.field is not None:
            raise CommandError(f"{path} has no column {column!r} (it has {_few(found.column_names)}): it is spec.time.field")
        steps = np.arange(found.num_rows, dtype=np.int64) * round(interval * MICROSECONDS)
        return _START + steps, np.ones(found.num_rows, bool)
    stamps, kind = found.column(column), found.schema.field(column).type
    numeric = pa.types.is_integer(kind) or pa.types.is_floating(kind)
    unix = PER_MICROSECOND.get(pipeline.time.format)
    if numeric:
        factor = unix or 1e3
        numbers = stamps.to_numpy().astype(np.float64)
        known = np.isfinite(numbers)
        return np.rint(np.where(known, numbers, 0) * factor).astype(np.int64), known
    try:
        moments = _moments(stamps)
    except (pa.ArrowException, ValueError) as error:
        raise CommandError(f"{path}: column {column!r} holds no times ({error}): write ISO 8601, and see spec.time") from error
    known = np.asarray(compute.is_valid(moments))
    return moments.fill_null(0).cast(pa.int64()).to_numpy(), known


def _moments(stamps: pa.ChunkedArray) -> pa.ChunkedArray:
    """Timestamps in microseconds, UTC."""
    if pa.types.is_string(stamps.type):
        zoned = compute.match_substring_regex(stamps, r"(Z|[+-]\d\d:?\d\d)$")
        return stamps.cast(pa.timestamp("us", "UTC" if compute.any(zoned).as_py() else None))
    return stamps.cast(pa.timestamp("us"))


def _numbers(path: str, name: str, column: pa.ChunkedArray) -> NDArray[np.float64]:
    read: Callable[[Any], Any] = lambda each: each.cast(pa.float64())  # noqa: E731
    try:
        return np.asarray(read(column).to_numpy(), np.float64)
    except pa.ArrowException as error:
        raise CommandError(f"{path}: column {name!r} holds no numbers ({str(error).splitlines()[0]})") from error


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:20]) + (" ..." if len(names) > 20 else "")
