"""Two workers of pytest, and what is left when the run is killed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from dev.environment.supervision import group
from dev.environment.supervision.plan import CLONE, State

SCRIPT = """
import os, time
import pytest
from dev.environment.supervision import group
from dev.environment.supervision.plan import Component, Plan, State

@pytest.mark.parametrize("which", [0, 1])
def test_holds_processes(which):
    state = State.of(f"{name}-{{which}}")
    group.start(state, lambda: Plan((Component("sleeper", ("sleep", "1000")),)), leashed=True)
    group.wait_until(state, "sleeper", "Ready", 30)
    time.sleep(1000)
"""


def test_what_workers_have_started_ends_when_the_run_is_killed(tmp_path: Path) -> None:
    name = f"tests-{os.getpid()}-workers"
    script = tmp_path / "test_workers_of_a_killed_run.py"
    script.write_text(SCRIPT.format(name=name))
    states = [State.of(f"{name}-{which}") for which in (0, 1)]
    command = [sys.executable, "-m", "pytest", "-n", "2", "--rootdir", str(tmp_path), "-c", os.devnull, str(script)]
    environment = {**os.environ, "PYTHONPATH": str(CLONE)}
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL) as run:
        try:
            until(lambda: all(group.is_up(state) for state in states))
        finally:
            run.kill()
    until(lambda: not any(group.is_up(state) or state.folder.exists() for state in states))


def until(holds: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not come so"
        time.sleep(0.05)
