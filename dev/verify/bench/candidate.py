"""`python -m dev.verify.bench.candidate`: what a candidate in shadow costs, in the pod's process and in its own. No broker.

The same batches go through pipelines in turns, each with a thread that scores as the pod has it: without a candidate, with one in
the process, with one that is confined. Both the time on the wall and the time on a CPU are compared, children included: on a
machine with cores to spare the confined one scores beside the stable revision.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any, Final

import numpy as np

from anomaly_detector.adapters.confinement.model import ConfinedModel
from anomaly_detector.adapters.executor import ScoringThread
from anomaly_detector.core.columns import Messages
from anomaly_detector.core.pipeline import DetectionPipeline
from anomaly_detector.core.scoring.artifact import unpack
from anomaly_detector.core.scoring.onnx import Model, ScoringModel
from anomaly_detector.core.scoring.revisions import LoadedRevision
from dev.verify.bench import pod, surroundings
from dev.verify.bench.readings import PIPELINE, Readings

_BATCH: Final = 6_000
_WARM: Final = 3
_TICKS_A_SECOND: Final = os.sysconf("SC_CLK_TCK")


class Contestant:
    """A pipeline that reads ahead while a batch is scored."""

    def __init__(self, stable: LoadedRevision, candidate: LoadedRevision | None) -> None:
        self.pipeline = DetectionPipeline("bench", stable, clock=time.perf_counter)
        self.pipeline.adopt(stable, candidate)
        self._thread = ScoringThread("scoring")
        self.wall: list[float] = []
        self.cpu: list[float] = []

    def process(self, batches: Sequence[Messages], child: int | None) -> None:
        """One batch after the other: while one is scored, the next one is parsed."""
        begun, spent = time.perf_counter(), _cpu(child)
        parsed = self.pipeline.parse(batches[0])
        for place, messages in enumerate(batches):
            self.pipeline.begin(messages, parsed, self._thread)
            if place + 1 < len(batches):
                parsed = self.pipeline.parse(batches[place + 1])
            self.pipeline.finish()
        count = sum(map(len, batches))
        self.wall.append((time.perf_counter() - begun) / count)
        self.cpu.append((_cpu(child) - spent) / count)


def main(rounds: int, entities: Sequence[int]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        trained, _ = surroundings.trained(Path(folder))
        other = pod.another(trained, Path(folder) / "another")
        stable = LoadedRevision(pod.revision(trained), _model(trained, Model))
        confined = _model(other, ConfinedModel)
        assert isinstance(confined, ConfinedModel)
        candidates = {
            "without a candidate": None,
            "with one in the process": LoadedRevision(pod.revision(other), _model(other, Model)),
            "with one in its own": LoadedRevision(pod.revision(other), confined),
        }
        for count in entities:
            running = {name: Contestant(stable, candidate) for name, candidate in candidates.items()}
            stream = _batches(count)
            for number in range(_WARM + rounds):
                batches = list(islice(stream, 4))
                for name, each in running.items():
                    each.process(batches, confined._process.pid if name.endswith("own") else None)
                    if number < _WARM:
                        each.wall.clear()
                        each.cpu.clear()
            _tell(count, running, confined)
        confined.stop()


def _tell(count: int, running: dict[str, Contestant], confined: ConfinedModel) -> None:
    alone = running["without a candidate"]
    for name, each in running.items():
        evidence = each.pipeline.evidence()
        assert all(revision.failure is None for revision in evidence), evidence
        wall = median(mine / theirs for mine, theirs in zip(alone.wall, each.wall, strict=True))
        cpu = median(mine / theirs for mine, theirs in zip(each.cpu, alone.cpu, strict=True))
        print(
            f"{count:6,} entities, {name:24}: {1e6 * median(each.wall):5.2f} µs a reading ({wall:4.0%} of the rate), "
            f"{1e6 * median(each.cpu):5.2f} µs of CPU (x {cpu:.2f})"
        )
    print(f"        its process takes {confined.memory / 1e6:.0f} MB; {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")


def _model(trained: pod.Trained, make: Any) -> ScoringModel:
    made: ScoringModel = make(unpack(trained.archive.read_bytes(), trained.digest), PIPELINE)
    return made


def _cpu(child: int | None) -> float:
    """Seconds on a CPU of this process, and of a child that is alive."""
    if child is None:
        return time.process_time()
    fields = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()
    return time.process_time() + (int(fields[11]) + int(fields[12])) / _TICKS_A_SECOND


def _batches(entities: int) -> Any:
    readings = Readings(entities)
    stream = ((key, value) for tick in range(10**9) for _, key, value in readings.tick(tick))
    while True:
        keys, values = zip(*islice(stream, _BATCH), strict=True)
        yield Messages(values, keys, np.full(_BATCH, -1, np.int64), np.zeros(_BATCH, np.int64))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--entities", type=int, nargs="*", default=[100, 10_000])
    asked = parser.parse_args()
    main(asked.rounds, asked.entities)
