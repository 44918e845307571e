"""Groups of processes leave nothing behind, whatever is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dev.environment.supervision import group
from dev.environment.supervision.plan import CLONE, Component, Plan, State
from dev.progress import silent

ROOT = os.geteuid() == 0
SLEEP = Component("sleeper", ("sleep", "1000"))


def _until(condition: Callable[[], bool], seconds: float = 20) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "the condition did not come about"
        time.sleep(0.02)


def _gone(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return True
    return status.rsplit(")", 1)[1].split()[0] == "Z"


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _keeper(state: State) -> int:
    return int(state.lock.read_text())


@pytest.fixture
def state() -> Iterator[State]:
    made = State.of(f"tests-{os.getpid()}-supervision")
    yield made
    group.down(made)


@pytest.fixture(params=[False, pytest.param(True, id="namespaces")] if ROOT else [False])
def plan(request: pytest.FixtureRequest, state: State) -> Plan:
    return Plan((SLEEP,), namespaces=request.param, cgroup=f"anomaly-{state.id}" if request.param else "")


def _start(state: State, plan: Plan) -> list[int]:
    """Returns the processes of the host that the group consists of."""
    assert group.start(state, lambda: plan, leashed=False)
    group.wait_until(state, "sleeper", "Ready", 20)
    keeper = _keeper(state)
    (supervisor,) = _children(keeper)
    return [keeper, supervisor, *_children(supervisor)]


def _nothing_left(state: State) -> bool:
    cgroups = list(Path("/sys/fs/cgroup").glob(f"**/anomaly-{state.id}"))
    return not (state.folder.exists() or state.lock.exists() or cgroups)


def test_down_leaves_nothing(state: State, plan: Plan) -> None:
    pids = _start(state, plan)
    assert group.down(state)
    assert _nothing_left(state)
    _until(lambda: all(_gone(pid) for pid in pids))  # the keeper, last, is about to end


def test_down_of_what_is_not_up_does_nothing(state: State) -> None:
    assert not group.down(state)


def test_up_twice_keeps_the_first(state: State, plan: Plan) -> None:
    pids = _start(state, plan)
    assert not group.start(state, lambda: plan, leashed=False)
    assert _keeper(state) == pids[0]


def test_who_comes_while_another_starts_it_waits_for_it(state: State) -> None:
    starting, waited = threading.Event(), threading.Event()

    def plan() -> Plan:
        starting.set()
        waited.wait(20)
        return Plan((SLEEP,))

    with ThreadPoolExecutor(2) as both:
        first = both.submit(group.start, state, plan, leashed=False)
        starting.wait(20)
        assert not group.start(state, plan, leashed=False)
        second = both.submit(group.wait_ready, state, silent)
        waited.set()
        assert first.result(20)
        second.result(20)
    assert group.status(state)["sleeper"]["state"] == "Ready"


def test_a_component_that_dies_is_started_again(state: State, plan: Plan) -> None:
    *_, sleeper = _start(state, plan)
    os.kill(sleeper, signal.SIGKILL)
    _until(lambda: group.status(state)["sleeper"]["deaths"] == 1)
    group.wait_until(state, "sleeper", "Ready", 20)


def test_a_killed_supervisor_takes_everything_with_it(state: State, plan: Plan) -> None:
    pids = _start(state, plan)
    os.kill(pids[1], signal.SIGKILL)
    _until(lambda: all(_gone(pid) for pid in pids) and _nothing_left(state))


def test_a_killed_keeper_takes_every_process_with_it_and_down_removes_the_rest(state: State, plan: Plan) -> None:
    pids = _start(state, plan)
    os.kill(pids[0], signal.SIGKILL)
    _until(lambda: all(_gone(pid) for pid in pids))
    assert group.down(state)
    assert _nothing_left(state)


def test_a_killed_starter_takes_a_leashed_group_with_it(state: State) -> None:
    script = f"""
import time
from dev.environment.supervision import group
from dev.environment.supervision.plan import Component, Plan, State
group.start(State({state.id!r}), lambda: Plan((Component("sleeper", ("sleep", "1000")),)), leashed=True)
group.wait_until(State({state.id!r}), "sleeper", "Ready", 20)
print("up", flush=True)
time.sleep(1000)
"""
    with subprocess.Popen([sys.executable, "-c", script], cwd=CLONE, stdout=subprocess.PIPE, text=True) as starter:
        assert starter.stdout is not None
        assert starter.stdout.readline() == "up\n"
        keeper = _keeper(state)
        starter.kill()
    _until(lambda: _gone(keeper) and _nothing_left(state))


def test_a_component_that_never_starts_is_reported_with_its_last_lines(state: State) -> None:
    broken = Component("broken", ("sh", "-c", "echo no such disk >&2; exit 3"), ready="tcp://127.0.0.1:9")
    group.start(state, lambda: Plan((broken,)), leashed=False)
    with pytest.raises(group.GroupError, match="no such disk"):
        group.wait_until(state, "broken", "Ready", 20)


def test_who_removes_what_others_left_is_not_taken_for_a_group_that_is_up(state: State) -> None:
    class MadeError(Exception):
        pass

    def plan() -> Plan:
        raise MadeError

    over = threading.Event()

    def sweep() -> None:
        while not over.is_set():
            group.sweep()

    with ThreadPoolExecutor(2) as sweeping:
        sweepers = [sweeping.submit(sweep) for _ in range(2)]
        try:
            for _ in range(300):
                with pytest.raises(MadeError):
                    group.start(state, plan, leashed=False)
        finally:
            over.set()
        for each in sweepers:
            each.result(20)
