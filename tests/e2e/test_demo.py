"""The demo, held to what it promises, and what it tells people to type at its end."""

from __future__ import annotations

import math
import subprocess
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dev.demo.outcome import PROMISES
from dev.demo.scenario import pump_scenario
from dev.demo.screen import Lines
from dev.demo.story import NAMESPACE, Story, next_steps
from dev.up import write_commands

if TYPE_CHECKING:
    from dev.environment.prerequisites import Surroundings

pytestmark = pytest.mark.e2e

# The stream is played faster than for people. What is found and what memory it takes is held to what `make demo`
# promises; times are not: a machine that runs tests does other things besides, and `make demo` measures them.
EACH, RATE = 10, 30.0


@pytest.mark.timeout(480)
def test_the_demo_finds_what_was_put_in_within_its_memory_and_what_it_tells_to_type_works(
    around: Surroundings, tmp_path: Path
) -> None:
    began = time.time()
    scenario = replace(pump_scenario(began, each=EACH), judged_rate=RATE)
    screen = Lines()

    outcome = Story(around, scenario, screen, began).run()

    untimed = dict.fromkeys(("scored_seconds", "model_seconds", "latency_p99_seconds"), math.inf)
    promise = replace(PROMISES[scenario.name], **untimed)
    screen.end(outcome, promise)
    write_commands(around, tmp_path / ".run")
    told = [line.strip() for line in next_steps(scenario).splitlines() if line.startswith("  ")]
    assert told[-1] == "make down"
    said = typed(told[:-1], tmp_path)
    # The stream is over, and the next one needs the machine.
    around.cluster.kubectl("--namespace", NAMESPACE, "delete", "anomalydetector", scenario.name, "--cascade=foreground")
    assert outcome.failures(promise) + outcome.excesses(promise) == []
    for shown in ("READY", "Conditions:", "AnomalyModel", "episode.opened"):
        assert shown in said


def typed(commands: list[str], folder: Path) -> str:
    """What a shell prints that is given one after the other. One that fails, or that goes on for a minute, fails the test."""
    script = "\n".join(["set -e", *commands])
    done = subprocess.run(["sh", "-c", script], cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, f"{script}\n{done.stdout[-2000:]}\n{done.stderr}"
    return done.stdout
