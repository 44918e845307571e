"""`make bench`: measures everything in one go, prints the tables, writes bench.json. Exit status 1 when it did not work.

A figure that misses what was asked is shown as such and is no failure: the machine may be slow or busy.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from dev import progress
from dev.environment.kafka import broker, jars
from dev.progress import telling
from dev.verify.bench import contest, ours, readings, report, surroundings
from dev.verify.bench.contest import ROOT, Results, Scale
from dev.verify.bench.ours import Stand

FULL: Final = Scale(
    rounds=5,
    ticks={100: 15_000, 10_000: 120, 100_000: 24},
    seconds=4.0,
    latency_seconds=12.0,
    latency_rounds=3,
    warm_ups=1,
)
"""100,000 entities have 24 readings each: a window's worth before anything is counted, another one measured. About 10 minutes."""
QUICK: Final = Scale(rounds=1, ticks={100: 8_000, 10_000: 60, 100_000: 20}, seconds=2.0, latency_seconds=6.0, warm_ups=1)
"""Four minutes; for whoever changes something and wants to know what became of it."""
_START: Final = "start"


def main(arguments: Sequence[str] | None = None, scale: Scale = FULL) -> int:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, help=f"of rates; default: {scale.rounds}")
    parser.add_argument("--quick", action="store_true", help="fewer readings and one round: about three minutes")
    parser.add_argument("--only", nargs="*", help="contestants by the beginning of their names, such as floor atLeastOnce.100")
    parser.add_argument("--output", type=Path, default=ROOT / "bench.json", help="default: %(default)s")
    asked = parser.parse_args(arguments)
    chosen = QUICK if asked.quick else scale
    try:
        with tempfile.TemporaryDirectory(prefix="anomaly-bench-") as folder:
            _bench(Path(folder), chosen, asked.rounds or chosen.rounds, asked.only, asked.output)
    except (RuntimeError, OSError) as failure:
        print(f"\nIt did not work: {failure}", file=sys.stderr)
        return 1
    return 0


def _bench(folder: Path, scale: Scale, rounds: int, only: Sequence[str] | None, output: Path) -> None:
    tell = progress.plain
    console = Console() if sys.stdout.isatty() else Console(width=120)
    quix = surroundings.quixstreams(tell)
    with telling(tell, "training the model that all score with"):
        trained, training_seconds = surroundings.trained(folder)
    with broker.running(f"bench-{os.getpid()}", tell, machine=jars.LASTING) as kafka:
        stand = Stand(folder, kafka.bootstrap, trained)
        topics = (contest.topic(entities) for entities in scale.entities)
        readings.create(stand.bootstrap, "alerts", "dead-letters", _START, *topics)
        readings.write(stand.bootstrap, _START, readings.Readings(scale.entities[0]), readings.SIZE)
        for entities in scale.entities:
            with telling(tell, f"writing {scale.readings(entities):,} readings of {entities:,} entities"):
                readings.write(stand.bootstrap, contest.topic(entities), readings.Readings(entities), scale.ticks[entities])
        results = _rounds(stand, scale, quix, rounds, only, tell)
        if only:
            for name, ratio in report.shadows(results).items():
                print(f"{name}: {ratio:.2f} of the rate without")
            return
        others = _others(stand, scale, tell)
    memory = report.memory(results, readings.WINDOW_BYTES)
    others |= {"memory": memory, "trainingSeconds": round(training_seconds, 2)}
    report.show(results, others, console)
    report.write(output, report.document(results, others, report.versions(quix)))
    print(f"written: {output.name}")


def _rounds(
    stand: Stand, scale: Scale, quix: Path, rounds: int, only: Sequence[str] | None, tell: progress.Tell
) -> Results:  # fmt: skip
    """Side by side: in each round everyone has a turn, so that a busy minute hits all alike.

    A broker that has just begun compiles its code when it is first used, on the cores that are measured: it is used before, for
    most of a minute. Without that all rates but those of the slow ones rise from round to round.
    """
    results = Results()
    running = contest.contestants(stand, scale, quix)
    for number in range(1, scale.warm_ups + 1):
        for name in [name for name in running if name not in contest.SLOW]:
            with telling(tell, f"warming up {number} of {scale.warm_ups}: {report.title(name)}"):
                running[name]()
    if only:
        running = {name: run for name, run in running.items() if name.startswith(tuple(only))}
    for number in range(1, rounds + 1):
        for name, run in running.items():
            with telling(tell, f"round {number} of {rounds}: {report.title(name)}"):
                found = run()
            print(f"    {found['rate']:,.0f} readings/s, {found['cpuMicroseconds']:.2f} µs of CPU each", flush=True)
            results.add(name, found)
    return results


def _others(stand: Stand, scale: Scale, tell: progress.Tell) -> dict[str, Any]:
    """Latency and start, medians too.

    The broker compiles again when it is first used that way: exactly once, the 99th percentile falls from 300 ms to 50 ms within
    a minute.
    """
    for number in range(1, scale.warm_ups + 1):
        _round(stand, scale, f"warming up {number} of {scale.warm_ups}", tell)
    rounds = scale.latency_rounds
    found = [_round(stand, scale, f"round {number} of {rounds}", tell) for number in range(1, rounds + 1)]
    return {
        "latency": {who: report.medians([each.latencies[who] for each in found]) for who in found[0].latencies},
        "firstScoreSeconds": {
            name: round(statistics.median(each.starts[name] for each in found), 3) for name in contest.DELIVERIES
        },
    }


@dataclass(frozen=True)
class _Round:
    """Seconds to the first score, and latencies of everyone."""

    starts: dict[str, float]
    latencies: dict[str, dict[str, float]]


def _round(stand: Stand, scale: Scale, which: str, tell: progress.Tell) -> _Round:
    found = _Round({}, {})
    for name, delivery in contest.DELIVERIES.items():
        what = f"{which}, {report.title(name)}"
        with telling(tell, f"{what}: start to first score"):
            found.starts[name] = ours.first_score(stand, _START, delivery)
        for who, measure in ((name, ours.latency), (f"relay.{name}", ours.relayed)):
            topic = f"latency-{which.replace(' ', '-')}-{who}"
            readings.create(stand.bootstrap, topic)
            with telling(tell, f"{what}: latency at {ours.READINGS_A_SECOND:,} readings/s, {who}"):
                found.latencies[who] = measure(stand, topic, delivery, scale.latency_seconds)
        said = {who: found.latencies[who] for who in (name, f"relay.{name}")}
        print(f"    {found.starts[name]:.2f} s to the first score, latency {said}", flush=True)
    return found


if __name__ == "__main__":
    sys.exit(main())
