"""The demo, on both of its streams, held to what it promises."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from dev.demo.outcome import PROMISES
from dev.demo.scenario import SCENARIOS
from dev.demo.screen import Lines
from dev.demo.story import NAMESPACE, Story

if TYPE_CHECKING:
    from dev.environment.prerequisites import Surroundings

pytestmark = pytest.mark.e2e

# The stream is played faster than for people. What is found and what memory it takes is held to what `make demo`
# promises; times are not: a machine that runs tests does other things besides, and `make demo` measures them.
FASTER = {"pumps": 30.0, "servers": 80.0}


@pytest.mark.parametrize("data", sorted(SCENARIOS))
@pytest.mark.timeout(480)
def test_the_demo_finds_what_was_put_in_within_its_memory(around: Surroundings, data: str) -> None:
    began = time.time()
    scenario = replace(SCENARIOS[data](began), judged_rate=FASTER[data])
    screen = Lines()

    outcome = Story(around, scenario, screen, began).run()

    promise = PROMISES[data]
    promise = replace(
        promise,
        scored_seconds=math.inf,
        model_seconds=math.inf,
        latency_p99_seconds=math.inf,
    )
    screen.end(outcome, promise)
    # The stream is over, and the next one needs the machine.
    around.cluster.kubectl("--namespace", NAMESPACE, "delete", "anomalydetector", data, "--cascade=foreground")
    assert outcome.failures(promise) + outcome.excesses(promise) == []
