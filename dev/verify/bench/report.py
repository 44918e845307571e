"""The report of a benchmark: tables for people, bench.json for programs, each figure beside the one asked for."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from dev.verify.bench.contest import ROOT, SHADOW, SHADOWED, Results

_TITLES: Final = {
    "consume": "consume only",
    "floor": "consume and decode (floor)",
    "tutorial": "tutorial: poll one, json.loads, torch",
    "quixstreams": "quixstreams, ONNX Runtime",
    "atLeastOnce": "ours, at least once",
    "exactlyOnce": "ours, exactly once",
    SHADOW: "ours, exactly once, candidate in shadow",
}
_NAMES: Final = {"atLeastOnce": "at least once", "exactlyOnce": "exactly once"}
_PACKAGES: Final = ("confluent-kafka", "librdkafka", "msgspec", "numpy", "onnxruntime", "torch")


@dataclass(frozen=True)
class Figure:
    """One figure and what was asked of it."""

    what: str
    value: float
    unit: str
    asked: float
    at_least: bool = False
    relay: float | None = None
    """What it is for a process that looks at nothing and sends it on, in the same run."""

    @property
    def kept(self) -> bool:
        return self.value >= self.asked if self.at_least else self.value <= self.asked


def title(key: str) -> str:
    name, _, entities = key.partition(".")
    return _TITLES[name] + (f", {int(entities):,} entities" if entities else "")


def document(results: Results, others: dict[str, Any], versions: dict[str, str]) -> dict[str, Any]:
    """bench.json: medians of readings a second under the contestants' names, then everything else."""
    rates: dict[str, Any] = {}
    for key in results.rates:
        name, _, entities = key.partition(".")
        if entities:
            rates.setdefault(name, {})[entities] = round(results.rate(key))
        else:
            rates[name] = round(results.rate(key))
    return {
        **rates,
        **others,
        "ratios": {name: round(value, 4) for name, value in ratios(results).items()},
        "rounds": {key: [round(rate) for rate in found] for key, found in results.rates.items()},
        "cpuMicroseconds": {key: round(results.cpu(key), 3) for key in results.rates},
        "machine": machine(),
        "versions": versions,
    }


def ratios(results: Results) -> dict[str, float]:
    """Medians of the ratios within a round."""
    found = {}
    for name in ("atLeastOnce", "exactlyOnce"):
        entities = results.entities(name)
        if not entities:
            continue
        key = f"{name}.{entities[0]}"
        found[f"{name}/floor"] = results.ratio(key, "floor")
        found[f"{name}/tutorial"] = results.ratio(key, "tutorial")
        found[f"{name}/quixstreams"] = results.ratio(key, "quixstreams")
        for more in entities[1:]:
            found[f"{name}.{more}/{entities[0]}"] = results.ratio(f"{name}.{more}", key)
    return found | shadows(results)


def shadows(results: Results) -> dict[str, float]:
    """What a candidate in shadow leaves of the rate."""
    return {
        f"{SHADOW}.{each}": results.ratio(f"{SHADOW}.{each}", f"{SHADOWED}.{each}")
        for each in results.entities(SHADOW)
        if each in results.entities(SHADOWED)
    }


def figures(results: Results, others: dict[str, Any]) -> list[Figure]:
    """Everything that was asked, beside what was found."""
    found = ratios(results)
    asked = [
        ("atLeastOnce/floor", "at least once, of the floor", 0.55),
        ("atLeastOnce/tutorial", "at least once, times the tutorial's loop", 50.0),
        ("exactlyOnce/floor", "exactly once, of the floor", 0.45),
        ("atLeastOnce.10000/100", "10,000 entities, of the rate with 100", 0.75),
        ("shadow.100", "with a candidate in shadow, of the rate without", 0.70),
        ("shadow.10000", "with a candidate in shadow, 10,000 entities, of the rate without", 0.70),
        ("exactlyOnce.10000/100", "10,000 entities, of the rate with 100 (exactly once)", 0.75),
    ]
    figures = [Figure(what, found[key], "", least, at_least=True) for key, what, least in asked if key in found]
    for delivery, p50, p99 in (("atLeastOnce", 10, 50), ("exactlyOnce", 25, 60)):
        name = _NAMES[delivery]
        if delivery in others["latency"]:
            measured, relay = others["latency"][delivery], others["latency"][f"relay.{delivery}"]
            for place, most in (("p50", p50), ("p99", p99)):
                key = f"{place}Milliseconds"
                what = f"reading to alert at 20,000/s, {place}, {name}"
                figures.append(Figure(what, measured[key], "ms", most, relay=relay[key]))
    for delivery, name in _NAMES.items():
        if delivery in others["firstScoreSeconds"]:
            figures.append(Figure(f"start to first score, {name}", others["firstScoreSeconds"][delivery], "s", 0.5))
    for delivery, name in _NAMES.items():
        memory = others["memory"].get(delivery, {})
        if "10000" in memory:
            figures.append(Figure(f"memory with 10,000 entities, {name}", memory["10000"] / 1e6, "MB", 150))
        if memory:
            beyond = memory["bytesPerEntityBeyondWindows"]
            figures.append(Figure(f"memory of an entity beyond its windows, {name}", beyond, "B", 500))
    return [*figures, Figure("training, 8,640 windows x 50 epochs", others["trainingSeconds"], "s", 6)]


def show(results: Results, others: dict[str, Any], console: Console) -> None:
    """Two tables. Time on a CPU is shown beside the rate because it says more where other processes are busy, too."""
    table = Table(title=f"Readings a second, one process, median of {len(results.rates['floor'])} rounds")
    for column in ("", "readings/s", "lowest - highest", "of the floor", "x tutorial", "CPU µs each", "of the floor's"):
        table.add_column(column, justify="left" if not column else "right")
    for key, rates in results.rates.items():
        table.add_row(
            title(key),
            f"{results.rate(key):,.0f}",
            f"{min(rates):,.0f} - {max(rates):,.0f}",
            f"{results.ratio(key, 'floor'):.0%}" if results.ratio(key, "floor") >= 0.1 else f"{results.ratio(key, 'floor'):.1%}",
            f"{results.ratio(key, 'tutorial'):.1f}",
            f"{results.cpu(key):.2f}",
            f"{results.cpu('floor') / results.cpu(key):.0%}",
        )
    console.print(table)
    asked = Table(title="What was asked")
    for column in ("", "measured", "asked", ""):
        asked.add_column(column, justify="right" if column else "left")
    for figure in figures(results, others):
        sign = ">=" if figure.at_least else "<="
        asked.add_row(
            figure.what,
            f"{figure.value:,.3g} {figure.unit}" + (f" (a relay: {figure.relay:,.3g})" if figure.relay else ""),
            f"{sign} {figure.asked:g} {figure.unit}",
            "kept" if figure.kept else "missed",
        )
    console.print(asked)


def memory(results: Results, window_bytes: int) -> dict[str, dict[str, float]]:
    """Bytes, by delivery: resident at most, by entities; and what each further entity takes beside its readings.

    That is the process's own memory while the stream flows, the median of a look each fifth of a second: with the copies that
    checkpoints take, and what they leave in the allocator. `python -m dev.verify.bench.memory` measures an entity without that.
    """
    return {name: _memory(results, name, window_bytes) for name in _NAMES if len(results.entities(name)) > 1}


def _memory(results: Results, name: str, window_bytes: int) -> dict[str, float]:
    most = {entities: _median(results, name, entities, "VmHWM") for entities in results.entities(name)}
    few, many = list(most)[-2:]
    own = {entities: _median(results, name, entities, "RssAnon") for entities in (few, many)}
    beyond = (own[many] - own[few]) / (many - few) - window_bytes
    return {**{str(entities): value for entities, value in most.items()}, "bytesPerEntityBeyondWindows": round(beyond)}


def _median(results: Results, name: str, entities: int, kind: str) -> float:
    found: list[int] = [found["memory"][kind] for found in results.details[f"{name}.{entities}"]]
    return statistics.median(found)


def medians(found: list[dict[str, float]]) -> dict[str, float]:
    """Of each figure that rounds have in common."""
    return {name: round(statistics.median(each[name] for each in found), 2) for name in found[0]}


def machine() -> dict[str, Any]:
    """Returns what it ran on."""
    model = [line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")]
    memory = next(int(line.split()[1]) for line in _lines("/proc/meminfo") if line.startswith("MemTotal"))
    return {
        "processor": model[0] if model else platform.processor(),
        "cores": os.cpu_count(),
        "memoryBytes": memory * 1024,
        "system": f"{platform.system()} {platform.release()}",
        "load": os.getloadavg()[0],
    }


def versions(quix: Path) -> dict[str, str]:
    """Of everything that has a part in it."""
    found = {"python": platform.python_version(), "kafka": _kafka(), "anomaly-operator": _commit()}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    code = "import importlib.metadata as m; print(m.version('quixstreams'))"
    found["quixstreams"] = subprocess.run([quix, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    return found


def write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n")


def _kafka() -> str:
    pom = (ROOT / "dev/environment/kafka/pom.xml").read_text()
    return pom.partition("<artifactId>kafka_")[2].partition("<version>")[2].partition("<")[0]


def _commit() -> str:
    done = subprocess.run(["git", "-C", ROOT, "describe", "--always", "--dirty"], capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines()
