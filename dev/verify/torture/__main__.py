"""`make torture N=500 SEED=1`: so many schedules, from this seed on. Exit status 1 when one of them makes a difference."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

from dev.environment.backends import compiled_in
from dev.environment.supervision import group
from dev.environment.supervision.plan import State
from dev.progress import plain
from dev.verify.torture.feed import SECONDS
from dev.verify.torture.play import Play
from dev.verify.torture.schedule import schedule, undisturbed
from dev.verify.torture.trial import Result


def main() -> int:
    """Runs them, several at once."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--schedules", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1, help="of the first one; the others follow")
    parser.add_argument("--times", type=int, default=1, help="that each of them is played: it is a question of moments, too")
    parser.add_argument("--jobs", type=int, default=3, help="schedules that are played at once, each with a broker of its own")
    parser.add_argument("--rollouts", action="store_true", help="half of what happens is weights, promotions and aborts")
    parser.add_argument("--undisturbed", action="store_true", help="nothing happens to anybody")
    parser.add_argument("--keep", action="store_true", help="keep the pods' folders and logs of those that pass, too")
    arguments = parser.parse_args()
    seeds = range(arguments.seed, arguments.seed + arguments.schedules)
    disturbed = partial(schedule, seconds=SECONDS, rollouts=arguments.rollouts)
    plans = [(undisturbed if arguments.undisturbed else disturbed)(seed) for seed in seeds] * arguments.times
    root = Path(tempfile.mkdtemp(prefix="torture-"))
    os.environ.update(compiled_in(root / "compiled"))
    name = f"torture-{os.getpid()}"
    play = Play(plans, arguments.jobs, name, root, plain)
    try:
        failed = _follow(play, root, keep=arguments.keep, rollouts=arguments.rollouts)
        play.stop()
    except KeyboardInterrupt:
        _leave_nothing(name, arguments.jobs, root)
    if not failed and not arguments.keep:
        shutil.rmtree(root)
    return int(bool(failed))


def _follow(play: Play, root: Path, *, keep: bool, rollouts: bool) -> list[Result]:
    """Says how each one ended, and how to play again those that made a difference."""
    began = time.monotonic()
    failed: list[Result] = []
    for _ in play.results:
        place = play.ended.get()
        result = play.results[place].result()
        print(f"{'FAILED' if result.wrong else 'ok'}  {result.line}", flush=True)
        for line in [*map(str, result.plan.events), *result.wrong] if result.wrong else []:
            print(f"        {line}", flush=True)
        if result.wrong:
            failed.append(result)
        elif not keep:
            shutil.rmtree(play.folder(place))
    minutes = (time.monotonic() - began) / 60
    count = len(play.results)
    print(f"{count - len(failed)} of {count} schedules without a difference, {count / minutes:.1f} a minute")
    more = " --rollouts" if rollouts else ""
    for result in failed:
        print(f"again: python -m dev.verify.torture --schedules 1 --seed {result.plan.seed}{more}   (logs: {root})")
    return failed


def _leave_nothing(name: str, jobs: int, root: Path) -> None:
    """After Ctrl-C: pods end with this process, whose other threads are in the middle of something."""
    print("\nended before all were played: taking everything down", flush=True)
    for job in range(jobs):
        group.down(State.of(f"{name}-{job}"))
    shutil.rmtree(root, ignore_errors=True)
    os._exit(130)


if __name__ == "__main__":
    sys.exit(main())
