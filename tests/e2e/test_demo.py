"""The demo, on both of its streams, held to what it promises."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from dev.demo.outcome import PROMISES
from dev.demo.scenario import SCENARIOS
from dev.demo.screen import Lines
from dev.demo.story import NAMESPACE, Story

if TYPE_CHECKING:
    from dev.surroundings import Surroundings

pytestmark = pytest.mark.e2e

# The stream is played faster than for people, and a machine that runs tests does other things besides: times are
# held to twice of what `make demo` promises, what is found and what memory it takes to all of it.
FASTER = {"pumps": 30.0, "servers": 80.0}
SLOWER = 2.0


@pytest.mark.parametrize("data", sorted(SCENARIOS))
@pytest.mark.timeout(480)
def test_the_demo_finds_what_was_put_in_and_keeps_its_promises(around: Surroundings, data: str) -> None:
    began = time.time()
    scenario = replace(SCENARIOS[data](began), judged_rate=FASTER[data])
    screen = Lines()

    outcome = Story(around, scenario, screen, began).run()

    promise = PROMISES[data]
    promise = replace(
        promise,
        scored_seconds=SLOWER * promise.scored_seconds,
        model_seconds=SLOWER * promise.model_seconds,
        latency_p99_seconds=SLOWER * promise.latency_p99_seconds,
    )
    shortfalls = outcome.shortfalls(promise)
    screen.end(outcome, shortfalls)
    # The stream is over, and the next one needs the machine.
    around.cluster.kubectl("--namespace", NAMESPACE, "delete", "anomalydetector", data, "--cascade=foreground")
    assert shortfalls == []
