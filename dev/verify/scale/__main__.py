"""`make scale`: 1 to 8 pods over 24 partitions, in tables and in scale.json. Exit status 1 when it did not work.

A figure that misses what was asked is shown as such and is no failure: the machine may be slow or busy.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from confluent_kafka.admin import AdminClient
from rich.console import Console
from rich.table import Table

from anomaly_api.source import GroupProtocol
from dev import progress
from dev.environment.kafka import broker, jars
from dev.progress import telling
from dev.verify.bench import readings, report, surroundings
from dev.verify.bench.contest import ROOT
from dev.verify.bench.readings import Readings
from dev.verify.scale import rebalances, stand, throughput
from dev.verify.scale.rebalances import Outcome
from dev.verify.scale.stand import PARTITIONS, Stand
from dev.verify.scale.throughput import Rate

MEMBERS: Final = (1, 2, 4, 8)
READINGS: Final = 3_000_000
_ENTITIES: Final = 10_000
_UNMOVED_SECONDS: Final = 0.5
_RECOVERY_SECONDS: Final = 5.0


def main() -> int:
    parser = argparse.ArgumentParser(prog="make scale", description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=["throughput", "rebalances"], help="default: both")
    parser.add_argument("--protocol", choices=[each.value for each in GroupProtocol], default=GroupProtocol.CLASSIC.value)
    parser.add_argument("--readings", type=int, default=READINGS, help="that each number of pods reads; default: %(default)s")
    parser.add_argument("--folder", type=Path, help="an empty one, where the pods' logs stay")
    parser.add_argument("--output", type=Path, default=ROOT / "scale.json", help="default: %(default)s")
    asked = parser.parse_args()
    try:
        with tempfile.TemporaryDirectory(prefix="anomaly-scale-") as folder:
            rates, outcome = _measure(asked.folder or Path(folder), asked)
    except (RuntimeError, OSError, TimeoutError) as failure:
        print(f"\nIt did not work: {failure}", file=sys.stderr)
        return 1
    console = Console() if sys.stdout.isatty() else Console(width=120)
    if rates:
        console.print(_rates(rates))
    if outcome:
        console.print(_pauses(outcome))
        console.print(_sentence(outcome))
    asked.output.write_text(json.dumps(_document(rates, outcome), indent=2) + "\n")
    return int(bool(outcome and (outcome.wrong or outcome.skipped)))


def _measure(folder: Path, asked: argparse.Namespace) -> tuple[list[Rate], Outcome | None]:
    tell = progress.plain
    protocol = GroupProtocol(asked.protocol)
    with telling(tell, "training the model that all score with"):
        trained, _ = surroundings.trained(folder)
    rates: list[Rate] = []
    outcome = None
    with broker.running(f"scale-{os.getpid()}", tell, stand.OVERRIDES, machine=jars.LASTING) as kafka:
        admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
        if asked.only != "rebalances":
            stand.create(admin, "full")
            with telling(tell, f"writing {asked.readings:,} readings of {_ENTITIES:,} entities"):
                readings.write(kafka.bootstrap, "full", Readings(_ENTITIES), asked.readings // _ENTITIES, PARTITIONS)
            for members in MEMBERS:
                with telling(tell, f"{members} pods"):
                    made = Stand(folder, kafka.bootstrap, trained, "full", protocol)
                    rates.append(throughput.measure(made, members, asked.readings // _ENTITIES * _ENTITIES))
        if asked.only != "throughput":
            stand.create(admin, "steady")
            made = Stand(folder, kafka.bootstrap, trained, "steady", protocol)
            outcome = rebalances.measure(made, lambda line: print(f"    {line}", flush=True))
    return rates, outcome


def _rates(rates: list[Rate]) -> Table:
    table = Table(title=f"{PARTITIONS} partitions, {_ENTITIES:,} entities, exactly once, {os.cpu_count()} cores in all")
    for name in ("pods", "readings/s, all on this machine", "CPU us a reading", "readings/s a core"):
        table.add_column(name, justify="right")
    for each in rates:
        table.add_row(f"{each.members}", f"{each.rate:,.0f}", f"{each.cpu_microseconds:.2f}", f"{each.a_core:,.0f}")
    return table


def _pauses(outcome: Outcome) -> Table:
    table = Table(
        title=f"Longest time without a commit, seconds ({rebalances.RATE:,} readings/s; {outcome.beat:.2f} undisturbed)"
    )
    for name in ("event", "unmoved partitions", "moved partitions", "first new score"):
        table.add_column(name, justify="left" if name == "event" else "right")
    for each in outcome.pauses:
        still, moved = each.counts
        unmoved = f"{_marked(each.unmoved, _UNMOVED_SECONDS)} ({still})" if still else "-"
        first = _marked(each.first, _RECOVERY_SECONDS) if each.first else ""
        table.add_row(each.title, unmoved, f"{each.moved:.2f} ({moved})" if moved else "-", first)
    return table


def _marked(value: float, most: float) -> str:
    return f"{value:.2f}" + ("" if value <= most else f" (asked: {most:g})")


def _sentence(outcome: Outcome) -> str:
    differing = "\n".join(outcome.wrong) or "all as one process that nobody disturbs decides them"
    return f"readings that nobody decided: {outcome.skipped}; {outcome.alerts} alerts: {differing}"


def _document(rates: list[Rate], outcome: Outcome | None) -> dict[str, Any]:
    found: dict[str, Any] = {"machine": report.machine(), "partitions": PARTITIONS}
    if rates:
        found["throughput"] = {str(each.members): asdict(each) | {"readings_a_second_and_core": each.a_core} for each in rates}
    if outcome:
        found["rebalances"] = asdict(outcome)
    return found


if __name__ == "__main__":
    sys.exit(main())
