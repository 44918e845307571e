"""`make torture N=500 SEED=1`: so many schedules, from this seed on. Exit status 1 when one of them makes a difference."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from pathlib import Path

from anomaly_api.source import GroupProtocol
from dev.kafka import broker
from dev.progress import plain
from dev.torture.schedule import schedule, undisturbed
from dev.torture.trial import OVERRIDES, SECONDS, Result, Trial


def main() -> int:
    """Runs them one after the other."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--schedules", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1, help="of the first one; the others follow")
    parser.add_argument("--protocol", choices=[each.value for each in GroupProtocol], default=GroupProtocol.CLASSIC.value)
    parser.add_argument("--undisturbed", action="store_true", help="nothing happens to anybody")
    parser.add_argument("--keep", action="store_true", help="keep the pods' folders and logs of those that pass, too")
    arguments = parser.parse_args()
    protocol = GroupProtocol(arguments.protocol)
    root = Path(tempfile.mkdtemp(prefix="torture-"))
    failed: list[Result] = []
    with broker.running(f"torture-{os.getpid()}", plain, OVERRIDES) as running:
        for seed in range(arguments.seed, arguments.seed + arguments.schedules):
            plan = undisturbed(seed) if arguments.undisturbed else schedule(seed, SECONDS)
            folder = root / str(seed)
            result = Trial(running, plan, folder, lambda line: print(f"      {line}", flush=True), protocol).run()
            _say(result)
            if result.wrong:
                failed.append(result)
            elif not arguments.keep:
                shutil.rmtree(folder)
    print(f"{arguments.schedules - len(failed)} of {arguments.schedules} schedules without a difference")
    for result in failed:
        again = f"python -m dev.torture --schedules 1 --protocol {protocol.value} --seed {result.seed}"
        print(f"again: {again}   (logs: {root / str(result.seed)})")
    if not failed and not arguments.keep:
        shutil.rmtree(root)
    return int(bool(failed))


def _say(result: Result) -> None:
    text = f"seed {result.seed}: {result.alerts} alerts, {result.changes} changes of revision, {result.seconds:.1f} s"
    print(f"{'FAILED' if result.wrong else 'ok'}  {text}", flush=True)
    for line in result.wrong:
        print(f"        {line}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
