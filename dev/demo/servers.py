"""Four real application servers (ASD): thirty days to learn from, fifteen to be judged by their labels."""

from __future__ import annotations

import csv
import io
import lzma
from pathlib import Path
from typing import Final

import numpy as np

from dev.demo.judge import joined
from dev.demo.recording import Anomaly, Recording, Values

SERVERS: Final = ("omi-1", "omi-4", "omi-8", "omi-11")
STEP: Final = 300.0
TRAINING: Final = 8640
"""Readings of each server without known anomalies, thirty days."""
TESTED: Final = 4320
KIND: Final = "labelled anomaly"


def record(folder: Path, end: float, window: int) -> tuple[Recording, list[Anomaly]]:
    """The training part and then the test part, the last reading at `end` (Unix seconds), and what the labels say.

    Labelled stretches less than a window of `window` readings apart are one. ValueError when a file is not as it should be.
    """
    parts, anomalies = [], []
    for server in SERVERS:
        training, _ = _table(folder / f"{server}_train.csv.xz", TRAINING)
        tested, labels = _table(folder / f"{server}_test.csv.xz", TESTED)
        parts.append(np.concatenate([training, tested]))
        anomalies.extend(_stretches(server, labels))
    values = np.stack(parts, axis=1)
    features = tuple(f"s{number}" for number in range(values.shape[2]))
    begin = end - (values.shape[0] - 1) * STEP
    recording = Recording(SERVERS, features, begin, STEP, values, (4,) * len(features))
    return recording, joined(anomalies, window)


def _table(path: Path, rows: int) -> tuple[Values, Values]:
    """Metrics [ticks, features] and labels [ticks] (all zero where there are none)."""
    with lzma.open(path, "rt") as stream:
        read = list(csv.reader(io.StringIO(stream.read())))
    names, table = read[0], np.array(read[1:], dtype=float)
    if len(table) != rows:
        raise ValueError(f"{path.name} has {len(table)} rows instead of {rows}: fetch the file again with `git checkout`")
    if names[-1] == "label":
        return table[:, :-1], table[:, -1]
    return table, np.zeros(len(table))


def _stretches(server: str, labels: Values) -> list[Anomaly]:
    """Where the labels are 1 without a break; ticks of the whole recording."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0.0], labels, [0.0]])))
    starts, ends = edges[::2], edges[1::2]
    return [Anomaly(KIND, server, TRAINING + int(a), TRAINING + int(b)) for a, b in zip(starts, ends, strict=True)]
