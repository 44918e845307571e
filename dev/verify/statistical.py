"""`python -m dev.verify.statistical FOLDER`: how good the statistical scorer is where nothing was trained, as a table.

FOLDER holds `asd`, `smd` and `nab` (train and test of InterFusion and OmniAnomaly as csv.xz, NAB as csv.gz with its labels); what
is not there is left out. Each file is one entity, read causally from its first row, training rows included. Labels are only
compared with the episodes. An episode is false when it opens outside of all labelled spans, found is a span that has an episode.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import lzma
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table

from anomaly_api.policy import Fallback
from anomaly_api.schema import Empty
from anomaly_api.source import Entity, Feature, Pipeline, Time, Window
from anomaly_detector.core.columns import MICROSECONDS, Batch, Float32, Float64, Mask
from anomaly_detector.core.entities.table import Entities
from anomaly_detector.core.preprocess.reorder import ReorderBuffer
from anomaly_detector.core.preprocess.windows import Windows
from anomaly_detector.core.scoring.statistical import Statistical, departures, scores

_SIZE: Final = 12
_DAY: Final = 86_400.0
_AT_ONCE: Final = 2_000
_AFTER: Final = 17
"""Rows after a labelled span in which a window still holds a part of it, and an episode needs to close."""
_STEPS: Final = {"asd": 300.0, "smd": 60.0}
"""Seconds from row to row."""


class Series(NamedTuple):
    """What one entity sent."""

    group: str
    name: str
    values: Float64
    """[rows, features]"""
    labels: Mask
    step: float
    """Seconds from row to row."""


class Result(NamedTuple):
    """What became of one series, or of a group of them."""

    false: int
    days: float
    alarmed: int
    normal: int
    found: int
    spans: int


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m dev.verify.statistical", description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="with asd, smd and nab in it")
    parser.add_argument("--deviations", type=float, default=Fallback().standard_deviations, help="default: %(default)s")
    parser.add_argument("--warmup", type=int, default=Fallback().warmup, help="default: %(default)s")
    parser.add_argument("--each", action="store_true", help="a row for each file")
    asked = parser.parse_args(arguments)
    fallback = Fallback(standard_deviations=asked.deviations, warmup=asked.warmup)
    found: dict[str, list[Result]] = {}
    for series in [*_entities(asked.folder), *_nab(asked.folder)]:
        result = judged(series, episodes(scored(series.values, fallback)))
        found.setdefault(series.group, []).append(result)
        if asked.each:
            found.setdefault(f"{series.group}/{series.name}", []).append(result)
    if not found:
        print(f"{asked.folder} has none of: asd/*_test.csv.xz, smd/*_test.csv.xz, nab/data/*/*.csv.gz", file=sys.stderr)
        return 1
    _show({name: Result(*map(sum, zip(*results, strict=True))) for name, results in sorted(found.items())})
    return 0


def scored(values: Float64, fallback: Fallback) -> Float32:
    """[rows] Scores of the windows that end with each row; NaN where there is none."""
    width = values.shape[1]
    pipeline = Pipeline(
        entity=Entity(key=Empty()),
        time=Time(),
        features=[Feature(name=f"f{place}") for place in range(width)],
        windows=[Window(name="w", size=_SIZE, max_gap="1d")],
    )
    entities = Entities()
    windows = Windows(pipeline, entities)
    order = ReorderBuffer(pipeline.time, width, entities)
    statistical = Statistical(fallback, width, entities)
    found = np.full(len(values), np.nan, np.float32)
    for start in range(0, len(values), _AT_ONCE):
        part = values[start : start + _AT_ONCE].astype(np.float32)
        rows = np.arange(len(part))
        batch = Batch(rows, np.zeros_like(rows), [""] * len(part), (start + rows) * MICROSECONDS, part)
        readings = order.order(batch).readings
        [window] = windows.push(readings)
        baseline = statistical.observe(readings)
        found[start + window.places] = scores(departures(window, baseline, fallback.standard_deviations))
    return found


def episodes(found: Float32) -> list[tuple[int, int]]:
    """First and last row of each, by the default alert policy: two windows above open it, five below .8 close it."""
    spans: list[tuple[int, int]] = []
    begin, above, below = -1, 0, 0
    for row, score in enumerate(found.tolist()):
        if begin < 0:
            above = above + 1 if score > 1.0 else 0
            begin, below = (row, 0) if above == 2 else (-1, 0)
        elif not np.isnan(score):
            below = below + 1 if score < 0.8 else 0
            if below == 5:
                spans.append((begin, row))
                begin, above = -1, 0
    return [*spans, (begin, len(found) - 1)] if begin >= 0 else spans


def judged(series: Series, spans: list[tuple[int, int]]) -> Result:
    """Compares episodes with labels."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], series.labels.astype(np.int8), [0]])))
    labelled = list(zip(edges[::2].tolist(), (edges[1::2] - 1).tolist(), strict=True))
    near, alarmed = series.labels.copy(), np.zeros(len(series.labels), bool)
    for _, last in labelled:
        near[last + 1 : last + 1 + _AFTER] = True
    for first, last in spans:
        alarmed[first : last + 1] = True
    return Result(
        sum(not near[first] for first, _ in spans),
        len(near) * series.step / _DAY,
        int(np.count_nonzero(alarmed & ~near)),
        int(np.count_nonzero(~near)),
        sum(any(first <= end and last >= begin for first, last in spans) for begin, end in labelled),
        len(labelled),
    )


def _entities(folder: Path) -> Iterator[Series]:
    for group, step in _STEPS.items():
        for path in sorted((folder / group).glob("*_test.csv.xz")):
            test, train = _table(path), _table(path.with_name(path.name.replace("_test", "_train")))
            labels = np.concatenate([np.zeros(len(train), bool), test[:, -1] > 0])
            yield Series(group, path.name.removesuffix("_test.csv.xz"), np.vstack([train, test[:, :-1]]), labels, step)


def _table(path: Path) -> Float64:
    with lzma.open(path, "rt") as file:
        return np.loadtxt(file, delimiter=",", skiprows=1, ndmin=2)


def _nab(folder: Path) -> Iterator[Series]:
    windows = folder / "nab/labels/combined_windows.json"
    known = json.loads(windows.read_text()) if windows.exists() else {}
    for path in sorted((folder / "nab/data").glob("*/*.csv.gz")):
        with gzip.open(path, "rt") as file:
            rows = list(csv.reader(file))[1:]
        times = np.array([row[0] for row in rows], "datetime64[s]")
        labels = np.zeros(len(rows), bool)
        for begin, end in known.get(f"{path.parent.name}/{path.name.removesuffix('.gz')}", []):
            labels |= (times >= np.datetime64(begin)) & (times <= np.datetime64(end))
        step = float(np.median(np.diff(times).astype(np.int64)))
        yield Series("nab", path.name.removesuffix(".csv.gz"), np.array([[float(row[1])] for row in rows]), labels, step)


def _show(found: dict[str, Result]) -> None:
    table = Table(title="the statistical scorer, untrained")
    for column in ("", "entity-days", "false episodes a day", "normal time in alarm", "found"):
        table.add_column(column, justify="right" if column else "left")
    for name, each in found.items():
        false, alarmed = f"{each.false / each.days:.2f}", f"{each.alarmed / each.normal:.2%}"
        table.add_row(name, f"{each.days:.0f}", false, alarmed, f"{each.found} of {each.spans}")
    Console(width=100).print(table)


if __name__ == "__main__":
    sys.exit(main())
