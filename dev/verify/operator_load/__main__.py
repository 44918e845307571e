"""`make bench-operator`: a thousand detectors on a real API server. Prints the figures and writes bench-operator.json.

A figure that misses what was asked is shown as such and is no failure: the machine may be slow or busy.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from dev import progress
from dev.verify.operator_load import measure, report
from dev.verify.operator_load.api import Admin
from dev.verify.operator_load.fleet import Fleet, make_namespace
from dev.verify.operator_load.ground import ROOT, Ground, prepared
from dev.verify.operator_load.measure import Figures, Watcher
from dev.verify.plan import at_rest


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="make bench-operator", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--detectors", type=int, default=1000, help="default: %(default)s")
    parser.add_argument("--models", type=int, default=3, help="of each detector; default: %(default)s")
    parser.add_argument("--edits", type=int, default=100, help="default: %(default)s")
    parser.add_argument("--idle", type=float, default=60.0, metavar="SECONDS", help="default: %(default)s")
    parser.add_argument("--rollouts", type=int, default=0, help="detectors with a candidate under analysis; default: none")
    parser.add_argument("--churn", type=float, default=0.0, metavar="MINUTES", help="of edits, to see memory grow; default: none")
    parser.add_argument(
        "--patience", type=float, default=900.0, metavar="SECONDS", help="until all are ready; default: %(default)s"
    )
    parser.add_argument("--output", type=Path, default=ROOT / "bench-operator.json", help="default: %(default)s")
    asked = parser.parse_args(arguments)
    try:
        with (
            tempfile.TemporaryDirectory(prefix="anomaly-operator-load-") as folder,
            prepared(Path(folder), progress.plain) as ground,
        ):
            figures = asyncio.run(_measured(ground, asked))
    except (RuntimeError, OSError) as failure:
        print(f"\nIt did not work: {failure}", file=sys.stderr)
        return 1
    asked.output.write_text(json.dumps(figures, indent=1) + "\n")
    report.show(Console() if sys.stdout.isatty() else Console(width=100), figures)
    return 0


async def _measured(ground: Ground, asked: argparse.Namespace) -> Figures:
    tell, admin = measure.say, Admin(ground.cluster.kubeconfig)
    fleet = Fleet(admin, asked.detectors, asked.models)
    watcher = Watcher(fleet)
    figures: dict[str, Any] = {"detectors": asked.detectors, "models": asked.models, "planMilliseconds": at_rest()}
    started = time.monotonic()
    await make_namespace(admin)
    await fleet.make()
    tell(f"{asked.detectors} detectors and {asked.detectors * asked.models} models made in {time.monotonic() - started:.0f} s")
    watching = asyncio.create_task(watcher.run())
    try:
        operator, found = await measure.settle(ground, fleet, watcher, asked.patience, tell)
        figures |= found
        tell(f"settled in {figures['settleSeconds']:.1f} s")
        figures |= await measure.idle(operator, asked.idle, quiet_after=min(20.0, asked.idle))
        tell(f"at rest: {figures['idleCpuPercent']:.1f} % of a core, {figures['rssMiB']:.0f} MiB")
        figures["editP95Seconds"] = await measure.edits(fleet, watcher, fleet.names, asked.edits)
        unreached = await measure.unreachable(ground, fleet, watcher, asked.edits)
        figures["unreachable160EditP95Seconds"] = unreached
        tell(f"edits: {figures['editP95Seconds']:.2f} s, and {unreached:.2f} s while others do not answer")
        if asked.rollouts:
            figures |= await measure.rollouts(fleet, watcher, operator, asked.rollouts, asked.edits)
        if asked.churn:
            figures |= await measure.churn(ground, fleet, watcher, operator, asked.churn)
        figures["leaderChangeSeconds"] = await measure.leader_change(ground, fleet, watcher, operator)
    finally:
        watching.cancel()
        await admin.close()
    return figures


if __name__ == "__main__":
    sys.exit(main())
