"""The four sets and their protocols: what a model learns from, what is then replayed, which rows are judged, and the labels.

set         learned from                            judged
skab        rows 0 to 399 of each file              the rest; one confusion matrix over all files
smdTsb      the first rows of a machine's test part every row by VUS-PR, as TSB-AD does; alarms behind those rows only
smdNative   a machine's training part               its test part
asd         the same
nab         the probation of each file              the rest
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from anomaly_api.detector import AnomalyDetector
from anomaly_detector.cli import spec_file
from anomaly_detector.cli.table import Table, read_labels, read_tables
from dev.verify.accuracy import nab

_SKAB_TRAINS: Final = 400
_SKAB_BUFFER: Final = 60
_LARGEST_BUFFER: Final = 300
_BUFFER: Final = 125
"""Where a series has no cycle."""
NAMES: Final = ("skab", "smdTsb", "smdNative", "asd", "nab")


@dataclass(frozen=True)
class Case:
    """A file, or the two of a machine."""

    name: str
    train: Table
    stream: Table
    labels: NDArray[np.bool_]
    """[n] Of the stream. They are for the judge alone."""
    judged: int
    """The first row of the stream whose alarm counts."""
    ranked: int
    """The first row whose score counts for VUS-PR."""
    buffer: int
    """VUS-PR's widest buffer."""


def cases(name: str, data: Path, detector: AnomalyDetector, *, one: bool = False) -> Iterator[Case]:
    """The cases of a set, read as the spec says; `one`: the first one with labels. Nothing where the data is not there."""
    readers = {"skab": _skab, "smdTsb": _smd_tsb, "smdNative": _smd_native, "asd": _asd, "nab": _nab}
    for case in readers[name](data, detector):
        if one and not case.labels.any():
            continue
        yield case
        if one:
            return


def _read(path: Path, detector: AnomalyDetector) -> Table:
    [table] = read_tables([str(path)], detector.spec.pipeline, spec_file.interval(detector))
    return table


def _skab(data: Path, detector: AnomalyDetector) -> Iterator[Case]:
    groups = [path for group in ("other", "valve1", "valve2") for path in (data / "skab" / group).glob("*.csv")]
    for path in sorted(groups, key=lambda path: (path.parent.name, int(path.stem))):
        table = _read(path, detector)
        labels = read_labels(str(path), len(table))
        train = table.rows(slice(0, _SKAB_TRAINS))
        name = f"{path.parent.name}/{path.stem}"
        yield Case(name, train, table, labels, _SKAB_TRAINS, _SKAB_TRAINS, _SKAB_BUFFER)


def _smd_tsb(data: Path, detector: AnomalyDetector) -> Iterator[Case]:
    said = data / "smd" / "tsbad_train_rows.json"
    for machine, rows in sorted(json.loads(said.read_text()).items()) if said.exists() else ():
        if not (data / "smd" / f"{machine}_test.csv.xz").exists():
            continue
        case = _entity(data / "smd", machine, detector)
        yield Case(machine, case.stream.rows(slice(0, rows)), case.stream, case.labels, rows, 0, case.buffer)


def _smd_native(data: Path, detector: AnomalyDetector) -> Iterator[Case]:
    yield from _native(data / "smd", detector)


def _asd(data: Path, detector: AnomalyDetector) -> Iterator[Case]:
    yield from _native(data / "asd", detector)


def _native(folder: Path, detector: AnomalyDetector) -> Iterator[Case]:
    for path in sorted(folder.glob("*_train.csv.xz")):
        if path.with_name(path.name.replace("_train.", "_test.")).exists():
            yield _entity(folder, path.name.removesuffix("_train.csv.xz"), detector)


def _entity(folder: Path, name: str, detector: AnomalyDetector) -> Case:
    path = folder / f"{name}_test.csv.xz"
    stream = _read(path, detector)
    trained = folder / f"{name}_train.csv.xz"
    train = _read(trained, detector) if trained.exists() else stream
    labels = read_labels(str(path), len(stream))
    return Case(name, train, stream, labels, 0, 0, _cycle(stream.values[:, 0].astype(np.float64)))


def _nab(data: Path, detector: AnomalyDetector) -> Iterator[Case]:
    said = data / "nab" / "labels" / "combined_windows.json"
    for name, windows in sorted(json.loads(said.read_text()).items()) if said.exists() else ():
        path = data / "nab" / "data" / name
        packed = path.with_name(path.name + ".gz")
        if not path.exists() and not packed.exists():
            continue
        stream = _read(path if path.exists() else packed, detector)
        first = nab.probation(len(stream))
        labels = np.zeros(len(stream), bool)
        for begin, end in windows:
            since, until = (np.datetime64(moment, "us").astype(np.int64) for moment in (begin, end))
            labels |= (stream.times >= since) & (stream.times <= until)
        yield Case(name, stream.rows(slice(0, first)), stream, labels, first, first, -1)


def _cycle(values: NDArray[np.float64], most: int = 20_000) -> int:
    """TSB-AD's buffer: the lag, from 3 to 400, at which the series is most like itself; 125 where there is none."""
    series = values[:most] - values[:most].mean()
    count = len(series)
    size = 1 << (2 * count - 1).bit_length()
    spectrum = np.fft.rfft(series, size)
    alike = np.fft.irfft(spectrum * np.conj(spectrum), size)[: min(401, count)]
    if alike[0] <= 0:
        return _BUFFER
    alike = alike[3:] / alike[0]
    tops = np.flatnonzero((alike[1:-1] > alike[:-2]) & (alike[1:-1] > alike[2:])) + 1
    if not len(tops):
        return _BUFFER
    lag = int(tops[np.argmax(alike[tops])])
    return _BUFFER if lag < 3 or lag > _LARGEST_BUFFER else lag + 3
