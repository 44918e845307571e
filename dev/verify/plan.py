"""`python -m dev.verify.plan`: how long one look at a detector at rest takes: `plan`, and as the operator asks for it again."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

from anomaly_operator.core.plan import plan


def milliseconds(call: Callable[[], Any], rounds: int = 200) -> float:
    """Processor time: the median of so many calls. What else the machine does is not in it."""
    found = []
    for _ in range(rounds):
        started = time.process_time()
        call()
        found.append(time.process_time() - started)
    return 1000 * sorted(found)[rounds // 2]


def at_rest() -> float:
    """Milliseconds of a plan of a detector that scores with a trained model and has nothing to be done."""
    from tests.plan.situations import scoring_world
    from tests.plan.world import INSTALLATION

    world = scoring_world()
    snapshot = world.snapshot
    assert plan(snapshot, INSTALLATION, world.now).empty
    return milliseconds(lambda: plan(snapshot, INSTALLATION, world.now))


if __name__ == "__main__":
    print(f"plan of a detector at rest: {at_rest():.2f} ms")
    sys.exit(0)
