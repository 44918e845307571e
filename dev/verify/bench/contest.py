"""The contestants, one after the other, round after round. Each is a process of its own and reads the same topics."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from anomaly_api.policy import Delivery
from dev.environment.supervision.leash import LEASHED
from dev.verify.bench import ours
from dev.verify.bench.ours import Stand

ROOT: Final = Path(__file__).resolve().parents[3]
DELIVERIES: Final = {"atLeastOnce": Delivery.AT_LEAST_ONCE, "exactlyOnce": Delivery.EXACTLY_ONCE}
"""By their keys in bench.json."""
SHADOW: Final = "shadow"
"""A pod with a candidate in shadow."""
SHADOWED: Final = "exactlyOnce"
"""The one without, that it is compared with."""
SLOW: Final = ("tutorial", "quixstreams")
"""Who leaves a broker nearly idle."""
_ONE_THREAD: Final = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


@dataclass(frozen=True)
class Scale:
    """How much is measured."""

    rounds: int
    """Of rates."""
    ticks: dict[int, int]
    """Readings of each entity, by number of entities."""
    seconds: float
    """That a slow contestant gets."""
    latency_seconds: float
    latency_rounds: int = 1
    """Of latency and start."""
    warm_ups: int = 0
    """Rounds of both kinds before those that count."""

    @property
    def entities(self) -> list[int]:
        """Numbers of entities, rising; the loops get the topic with the fewest."""
        return sorted(self.ticks)

    def readings(self, entities: int) -> int:
        return entities * self.ticks[entities]


@dataclass
class Results:
    """Rates in readings a second, by contestant, one a round; and what else was noted of each run."""

    rates: dict[str, list[float]] = field(default_factory=dict)
    details: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def add(self, name: str, found: dict[str, Any]) -> None:
        self.rates.setdefault(name, []).append(found["rate"])
        self.details.setdefault(name, []).append(found)

    def rate(self, name: str) -> float:
        """Median over rounds."""
        return statistics.median(self.rates[name])

    def entities(self, name: str) -> list[int]:
        """Numbers of entities that a contestant was measured with, rising."""
        return sorted(int(key.removeprefix(f"{name}.")) for key in self.rates if key.startswith(f"{name}."))

    def ratio(self, name: str, to: str) -> float:
        """Median of the ratios within rounds."""
        return statistics.median(mine / theirs for mine, theirs in zip(self.rates[name], self.rates[to], strict=True))

    def cpu(self, name: str) -> float:
        """Median of the time on a CPU for each reading, microseconds."""
        spent: list[float] = [found["cpuMicroseconds"] for found in self.details[name]]
        return statistics.median(spent)


Contestant = Callable[[], dict[str, Any]]


def topic(entities: int) -> str:
    return f"readings-{entities}"


def contestants(stand: Stand, scale: Scale, quix: Path) -> dict[str, Contestant]:
    """By their keys in bench.json; `quix` is the Python of the environment that has quixstreams."""
    few = scale.entities[0]
    common = [stand.bootstrap, topic(few)]
    most = str(scale.readings(few)), str(scale.seconds)

    def loop(name: str) -> Contestant:
        return lambda: _measured([sys.executable, "-m", "dev.verify.bench.loops", name, *common, *most])

    def scored(delivery: Delivery, entities: int, *, shadow: bool = False) -> Contestant:
        return lambda: ours.throughput(stand, topic(entities), delivery, entities, scale.readings(entities), shadow=shadow)

    def streams() -> dict[str, Any]:
        folder = stand.folder / f"quix-{len(list(stand.folder.glob('quix-*')))}"
        script = Path(__file__).with_name("quix.py")
        return _measured([str(quix), str(script), *common, str(stand.trained.graph), str(folder), *most])

    loops = {name: loop(name) for name in ("consume", "floor", "tutorial")}
    pods = {f"{name}.{count}": scored(each, count) for count in scale.entities for name, each in DELIVERIES.items()}
    shadows = {f"{SHADOW}.{count}": scored(DELIVERIES[SHADOWED], count, shadow=True) for count in scale.entities[:2]}
    return loops | {"quixstreams": streams} | pods | shadows


def _measured(command: list[str]) -> dict[str, Any]:
    """Returns what the process printed last. RuntimeError when it failed."""
    done = subprocess.run(
        [*LEASHED, *command], cwd=ROOT, env={**os.environ, **_ONE_THREAD}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[1:3])} failed:\n{done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found
