"""`python -m dev.verify.bench.memory`: bytes an entity, whether the budget holds, what a budget far too small costs.

No broker: messages go straight through the detector's core, with the statistical scorer, which remembers most. Every case is a
process of its own, so that its memory is its own. Times are of the CPU.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import pickle
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
from rich.console import Console
from rich.table import Table

from anomaly_api.alerting import AlertPolicy
from anomaly_api.assignment import Revision
from anomaly_api.calibration import ThresholdSource, WindowThreshold
from anomaly_api.policy import Fallback
from anomaly_detector.core.columns import Int64, Messages
from anomaly_detector.core.entities.quota import MemoryQuota
from anomaly_detector.core.pipeline import DetectionPipeline
from anomaly_detector.core.scoring.estimators import BLOCK, ROWS
from anomaly_detector.core.scoring.revisions import LoadedRevision
from anomaly_detector.core.state.checkpoint_schedule import CheckpointPolicy
from anomaly_detector.core.state.next_commit import Topics
from anomaly_detector.core.state.records import Read
from anomaly_detector.core.state.recovery import Changelog
from anomaly_detector.core.state.tasks import PartitionTasks
from dev.environment.supervision.leash import LEASHED
from dev.verify.bench.readings import PARTITIONS, PIPELINE, SIZE, WINDOW_BYTES, Readings

_ROOT: Final = Path(__file__).resolve().parents[3]
_TOPICS: Final = Topics("readings", "alerts", "dead-letters", "state")
_ONE_THREAD: Final = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
_BATCH: Final = 4_000
_FEW: Final = 1_000
_BASELINE_BYTES: Final = 4 * (ROWS + BLOCK - 1) * len(PIPELINE.features) + 2 * 8
"""Estimates of each feature, readings of an incomplete block, and how many readings they come from."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m dev.verify.bench.memory", description=__doc__.splitlines()[0])
    parser.add_argument("--entities", type=int, default=100_000)
    parser.add_argument("--case", choices=list(_CASES), help="in this process; printed as JSON")
    parser.add_argument("--spool", type=Path, help="file between the cases that write and read")
    asked = parser.parse_args()
    if asked.case:
        print(json.dumps(_CASES[asked.case](asked.entities, asked.spool)))
        return 0
    with tempfile.TemporaryDirectory(prefix="anomaly-bench-") as folder:
        found = {case: _measured(case, asked.entities, Path(folder) / "spool") for case in _CASES}
    _show(found, asked.entities)
    return 0


def fits(entities: int, _: Path) -> dict[str, Any]:
    """As many entities as there is room for, and what they take, beside a process that knows a few."""
    stream = DetectionPipeline("bench", _revision(), _budget(entities))
    readings = Readings(entities)
    _pour(stream, readings, range(1), _FEW)
    before = _own()
    found = _pour(stream, readings, range(SIZE + 2))
    return found | {"bytes": (_own() - before) / (entities - _FEW), "counted": stream.memory_bytes / entities}


def churns(entities: int, _: Path) -> dict[str, Any]:
    """Three times as many entities as there is room for, in turns: nobody stays until it is seen again."""
    stream = DetectionPipeline("bench", _revision(), _budget(entities // 3))
    readings = Readings(entities)
    _pour(stream, readings, range(2))
    before = _own()
    return _pour(stream, readings, range(2, SIZE + 2)) | {"growth": _own() - before}


def writes(entities: int, path: Path) -> dict[str, Any]:
    """A pod writes down all that it remembers, one partition after the other."""
    tasks = _tasks(_budget(entities))
    offsets = dict.fromkeys(range(PARTITIONS), 0)
    for read in _reads(Readings(entities), range(14)):
        tasks.process(read, 0.0)
    before = _own()
    _reset_peak()
    with path.open("wb") as spool:
        while micro_batches := tasks.drain(1e6):
            for partition, portion in micro_batches.items():
                offsets[partition] = portion.offset
                for record in portion.records:
                    pickle.dump((partition, record.key, record.value), spool)
        pickle.dump(offsets, spool)
    return {"remembered": tasks.pipeline.memory_bytes, "more": _peak() - before}


def restarts(entities: int, path: Path) -> dict[str, Any]:
    """Another pod reads that, one partition after the other, and goes on."""
    tasks = _tasks(_budget(entities))
    before = _own()
    _reset_peak()
    for partition in range(PARTITIONS):
        journal = Changelog()
        with path.open("rb") as spool:
            while not isinstance(found := pickle.load(spool), dict):
                if found[0] == partition:
                    journal.add(*found[1:])
        tasks.recover(partition, journal.recover(found[partition], 0, found[partition], latest=False), 0.0)
    return {"held": _own() - before, "more": _peak() - _own(), "known": tasks.pipeline.entities}


_CASES: Final = {"fits": fits, "churns": churns, "writes": writes, "restarts": restarts}


def _budget(entities: int) -> MemoryQuota:
    """Room for so many."""
    bounds = DetectionPipeline("bench", _revision(), MemoryQuota(10**9, PARTITIONS, 1e9)).configuration.intake.bounds
    assert bounds is not None, "there is an allowance"
    share = -(-entities // PARTITIONS) * (bounds.entity_bytes + len("pump-000000"))
    return MemoryQuota(share * (PARTITIONS + 1), PARTITIONS, 1e9)


def _revision() -> LoadedRevision:
    [window] = PIPELINE.windows
    threshold = WindowThreshold(window=window.name, value=8.0, source=ThresholdSource.FALLBACK, asked="8")
    return LoadedRevision(
        Revision(pipeline=PIPELINE, thresholds=[threshold], fallback=Fallback(warmup=SIZE), alerts=AlertPolicy())
    )


def _tasks(allowance: MemoryQuota) -> PartitionTasks:
    tasks = PartitionTasks(DetectionPipeline("bench", _revision(), allowance), _TOPICS, CheckpointPolicy(readings=10**9))
    for partition in range(PARTITIONS):
        tasks.recover(partition, Changelog().recover(None, 0, 0, latest=False), 0.0)
    return tasks


def _reads(readings: Readings, ticks: range) -> Iterator[Read]:
    """Batches; an entity's number says which partition it is in."""
    offsets = np.zeros(PARTITIONS, np.int64)
    rows: list[tuple[int, bytes, bytes]] = []
    for tick in ticks:
        for row in readings.tick(tick):
            rows.append(row)
            if len(rows) == _BATCH:
                yield _read(rows, offsets)
                rows = []
    if rows:
        yield _read(rows, offsets)


def _read(rows: list[tuple[int, bytes, bytes]], offsets: Int64) -> Read:
    rows.sort(key=lambda row: row[0] % PARTITIONS)
    partitions = np.array([row[0] % PARTITIONS for row in rows])
    places = np.concatenate([np.arange(count) for count in np.bincount(partitions, minlength=PARTITIONS)])
    found = Read(
        Messages([row[2] for row in rows], [row[1] for row in rows], np.full(len(rows), -1), partitions),
        offsets[partitions] + places,
    )
    offsets += np.bincount(partitions, minlength=PARTITIONS)
    return found


def _pour(stream: DetectionPipeline, readings: Readings, ticks: range, most: int | None = None) -> dict[str, float]:
    """Returns what it took and led to."""
    found = {"cpu": 0.0, "readings": 0, "windows": 0, "evicted": 0}
    for read in _reads(readings, ticks):
        messages = read.messages if most is None else read.select(np.arange(len(read)) < most).messages
        began = time.process_time()
        outcome = stream.process(messages)
        found["cpu"] += time.process_time() - began
        found["readings"] += len(messages)
        found["windows"] += outcome.windows
        found["evicted"] += len(outcome.left)
        if most is not None:
            break
    return found


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:")) * 1024


def _own() -> int:
    """Bytes of memory that the process has of its own."""
    gc.collect()
    return _status("VmRSS")


def _peak() -> int:
    return _status("VmHWM")


def _reset_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def _measured(case: str, entities: int, spool: Path) -> dict[str, Any]:
    asked = ["--case", case, "--entities", str(entities), "--spool", str(spool)]
    command = [*LEASHED, sys.executable, "-m", "dev.verify.bench.memory", *asked]
    done = subprocess.run(command, cwd=_ROOT, env={**os.environ, **_ONE_THREAD}, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{case} failed:\n{done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _show(found: dict[str, dict[str, Any]], entities: int) -> None:
    fits, churns, writes, restarts = (found[case] for case in _CASES)
    table = Table(title=f"{entities:,} entities, {PARTITIONS} partitions, {len(PIPELINE.features)} features, window {SIZE}")
    for column in ("", "measured", "asked"):
        table.add_column(column, justify="right" if column else "left")
    rows = [
        ("an entity, all in all", f"{fits['bytes']:.0f} B", f"<= {fits['counted']:.0f} B, as the budget counts"),
        ("beyond its window and its running baseline", f"{fits['bytes'] - WINDOW_BYTES - _BASELINE_BYTES:.0f} B", "<= 500 B"),
        ("evicted while all fit", f"{fits['evicted']}", "0"),
        ("a reading while all fit", f"{fits['cpu'] / fits['readings'] * 1e6:.2f} µs", ""),
        ("a reading with three times too many", f"{churns['cpu'] / churns['readings'] * 1e6:.2f} µs", ""),
        ("evicted then, of readings", f"{churns['evicted'] / churns['readings']:.0%}", ""),
        ("memory that this added", f"{churns['growth'] / 1e6:.1f} MB", "0 MB, about"),
        ("more for a moment, writing checkpoints", f"{writes['more'] / writes['remembered']:.0%}", ""),
        ("more for a moment, taking over", f"{restarts['more'] / restarts['held']:.0%}", ""),
    ]
    for row in rows:
        table.add_row(*row)
    Console(width=110).print(table)


if __name__ == "__main__":
    sys.exit(main())
