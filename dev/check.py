"""`make test` and `make lint`: checks in layers, cheapest first, each timed beside its budget. The first failure ends the run."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from xml.etree import ElementTree

from dev import crds
from dev.environment.backends import compiled_in

_ROOT: Final = Path(__file__).resolve().parent.parent
# Two threads of torch or numpy collapse when the other core is busy (60 times slower): one each, always.
_ONE_THREAD: Final = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
# Cases that come from a set are in the same order in both workers, or pytest-xdist gives up.
_SAME_ORDER: Final = {"PYTHONHASHSEED": "0"}
_PYTEST: Final = ("pytest", "--quiet", "--durations=25", "--durations-min=1")
# Whole files go to a worker: what a file's tests share is started once. The largest come first (tests/conftest.py).
_TWO_WORKERS: Final = ("--numprocesses=2", "--dist=loadfile", "--no-loadscope-reorder")


@dataclass(frozen=True)
class Layer:
    """Commands of a layer, and the minutes that they may take on two cores when all caches are warm."""

    name: str
    minutes: float
    commands: tuple[tuple[str, ...], ...]


_LINT: Final = Layer(
    "lint",
    2,
    (
        ("ruff", "check", "."),
        ("ruff", "format", "--check", "--quiet", "."),
        ("mypy",),
        ("lint-imports", "--no-cache"),
    ),
)
LAYERS: Final = (
    _LINT,
    Layer("unit", 3, ((*_PYTEST, *_TWO_WORKERS, "-m", "not integration and not e2e and not keda"),)),
    Layer("integration", 20, ((*_PYTEST, *_TWO_WORKERS, "-m", "integration and not e2e and not keda"),)),
    # One cluster, which takes both cores: its tests come one after the other.
    Layer("e2e", 10, ((*_PYTEST, "--verbose", "-m", "e2e"),)),
)


@dataclass
class Tally:
    """Tests by outcome, over all layers."""

    counts: dict[str, int] = field(default_factory=dict)

    def add(self, report: Path) -> None:
        """Counts what pytest wrote in JUnit's format; a run that was broken off wrote nothing."""
        if not report.exists():
            return
        [suite] = ElementTree.parse(report).getroot().iter("testsuite")
        found = {name: int(suite.get(name, "0")) for name in ("tests", "failures", "errors", "skipped")}
        passed = found["tests"] - found["failures"] - found["errors"] - found["skipped"]
        for outcome, count in (
            ("failed", found["failures"]),
            ("passed", passed),
            ("skipped", found["skipped"]),
            ("errors", found["errors"]),
        ):
            self.counts[outcome] = self.counts.get(outcome, 0) + count

    def line(self, seconds: float) -> str:
        """As pytest closes a run."""
        outcomes = ", ".join(f"{count} {outcome}" for outcome, count in self.counts.items() if count) or "no tests ran"
        minutes, rest = divmod(int(seconds), 60)
        return f" {outcomes} in {seconds:.2f}s ({minutes // 60}:{minutes % 60:02}:{rest:02}) ".center(100, "=")


@dataclass
class Run:
    """Layers as they are run, and how long each took."""

    folder: Path
    tally: Tally = field(default_factory=Tally)
    seconds: dict[str, float] = field(default_factory=dict)

    def layer(self, layer: Layer) -> bool:
        began = time.monotonic()
        try:
            return all(self._command(command) for command in layer.commands)
        finally:
            self.seconds[layer.name] = time.monotonic() - began

    def _command(self, command: tuple[str, ...]) -> bool:
        print(f"== {' '.join(command)}", flush=True)
        report = self.folder / "report.xml"
        report.unlink(missing_ok=True)
        reported = (f"--junit-xml={report}",) if command[0] == "pytest" else ()
        status = subprocess.run(
            [_ROOT / ".venv/bin" / command[0], *command[1:], *reported],
            cwd=_ROOT,
            env={**os.environ, **_ONE_THREAD, **_SAME_ORDER, **compiled_in(self.folder / "compiled")},
            check=False,
        ).returncode
        self.tally.add(report)
        if status:
            print(f"== FAILED ({status}): {' '.join(command)}", flush=True)
        return status == 0

    def summary(self, layers: tuple[Layer, ...]) -> str:
        """Each layer's time beside its budget; one that was not reached has none."""
        lines = [f"{'layer':<12} {'took':>8} {'budget':>8}"]
        for layer in layers:
            took = self.seconds.get(layer.name)
            shown = "-" if took is None else f"{took:.0f} s"
            over = "  over its budget" if took is not None and took > layer.minutes * 60 else ""
            lines.append(f"{layer.name:<12} {shown:>8} {layer.minutes * 60:>6.0f} s{over}")
        return "\n".join(lines)


def main() -> int:
    """Exit status 1 when a check failed. A layer that takes longer than its budget is shown as such: the machine may be busy."""
    if crds.stale():
        print("the CRDs are stale: run `make crds`", file=sys.stderr)
        return 1
    layers = (_LINT,) if "--lint" in sys.argv[1:] else LAYERS
    with tempfile.TemporaryDirectory(prefix="anomaly-check-") as folder:
        run = Run(Path(folder))
        passed = all(run.layer(layer) for layer in layers)
    print(f"\n{run.summary(layers)}")
    if len(layers) > 1:
        print(run.tally.line(sum(run.seconds.values())), flush=True)
    return int(not passed)


if __name__ == "__main__":
    sys.exit(main())
