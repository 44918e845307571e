"""`make demo [DATA=pumps|servers]`: everything from nothing to the verdict. Exit status 1 when it did not work."""

from __future__ import annotations

import argparse
import os
import sys
import time

from dev.demo.outcome import PROMISES
from dev.demo.scenario import ROOT, SCENARIOS
from dev.demo.screen import Screen, suitable
from dev.demo.story import DemoFailed, Story, next_steps
from dev.progress import telling
from dev.up import up


def main() -> int:
    """Exit status 1: it did not work, or found less than promised."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--data", choices=sorted(SCENARIOS), default="pumps", help="default: %(default)s")
    data = parser.parse_args().data
    os.chdir(ROOT)
    screen = suitable()
    try:
        return _demo(data, screen)
    except (DemoFailed, RuntimeError, OSError) as failure:
        screen.close()
        print(f"\nIt did not work: {failure}\n`make down` takes everything away; `make demo` tries again.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        screen.close()
        print("\nInterrupted. What is up stays up: `make demo` goes on from there, `make down` takes it away.", file=sys.stderr)
        return 130


def _demo(data: str, screen: Screen) -> int:
    began = time.time()
    around = up(screen.tell)
    with telling(screen.tell, "recording the stream"):
        scenario = SCENARIOS[data](began)
    outcome = Story(around, scenario, screen, began).run()
    screen.end(outcome, PROMISES[data])
    print(next_steps(scenario))
    return int(bool(outcome.failures(PROMISES[data])))


if __name__ == "__main__":
    sys.exit(main())
