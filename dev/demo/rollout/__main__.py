"""`make demo-rollout`: rollouts on a live stream, from a first model to one that crashes. Exit status 1: not as it should be."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable

from dev.demo import topics
from dev.demo.rollout.acts import ACTS, Stage
from dev.demo.rollout.detector import NAME, Detector, RolloutDemoFailed
from dev.demo.rollout.stream import TOPIC, Stream
from dev.demo.scenario import ROOT
from dev.demo.story import NAMESPACE, need_namespace
from dev.demo.topics import AlertReader
from dev.environment.prerequisites import Surroundings
from dev.progress import plain, telling
from dev.up import up


def main() -> int:
    """Exit status 1: an act did not end as it should."""
    parser = argparse.ArgumentParser(prog="make demo-rollout", description=__doc__)
    parser.add_argument("--data", help="ignored: the demo has a stream of its own")
    parser.parse_args()
    os.chdir(ROOT)
    try:
        around = up(plain)
        for line in play(around, tuple(ACTS), shown=sys.stdout.isatty()):
            print(line, flush=True)
    except (RolloutDemoFailed, RuntimeError, OSError) as failure:
        print(f"\nIt did not work: {failure}\n`make down` takes everything away.", file=sys.stderr)
        return 1
    print(
        f"\nLook around: kubectl anomaly history {NAME} -n {NAMESPACE}; kubectl anomaly status {NAME} -n {NAMESPACE}; make down"
    )
    return 0


def play(around: Surroundings, acts: tuple[str, ...], *, shown: bool = False) -> list[str]:
    """Plays acts, one after the other; a line for each. Raises RolloutDemoFailed.

    `shown`: whether the tree of the detector is drawn all the while, in place of itself.
    """
    detector = Detector(around)
    _clear_away(around, detector)
    lines = []
    with Stream(around.bootstrap) as stream, AlertReader(around.bootstrap, f"{TOPIC}.alerts") as alerts:
        stage = Stage(detector, stream, alerts, _drawing(detector) if shown else lambda: None)
        for name in acts:
            began = time.monotonic()
            print(f"... {name}", flush=True)
            said = ACTS[name](stage)
            lines.append(f"{name}: {said} ({time.monotonic() - began:.0f} s)")
            print(f"ok  {lines[-1]}", flush=True)
    return lines


def _clear_away(around: Surroundings, detector: Detector) -> None:
    need_namespace(around.cluster)
    with telling(plain, "clearing away what an earlier run left"):
        detector.delete()
    with telling(plain, "making the topics"):
        topics.make_anew(around.bootstrap, [TOPIC, f"{TOPIC}.alerts", f"{TOPIC}.dead-letters"])


def _drawing(detector: Detector) -> Callable[[], None]:
    def draw() -> None:
        tree = detector.tree()
        sys.stdout.write("\x1b[H\x1b[2J" + tree + "\n")
        sys.stdout.flush()

    return draw


if __name__ == "__main__":
    sys.exit(main())
