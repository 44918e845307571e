"""The starter's side: start a group of components, ask how they are, give orders, take everything down."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

from dev.environment.supervision.keeper import clean
from dev.environment.supervision.plan import CLONE, Component, Plan, State
from dev.progress import Tell, telling

STOP_SECONDS = 30.0


class GroupError(RuntimeError):
    """A component that does not start, or a group that is not there; the message ends with its last log lines."""


def is_up(state: State) -> bool:
    """Whether a keeper holds the lock."""
    lock = _try_lock(state)
    if lock is None:
        return True
    _release(state, lock)
    return False


def start(state: State, make: Callable[[], Plan], *, leashed: bool, fds: Sequence[int] = ()) -> bool:
    """Starts what `make` plans, in the empty state folder; False if the group is there already.

    `leashed`: everything goes down when this process ends, however it ends.
    """
    sweep()
    with _gate(fcntl.LOCK_SH):
        lock = _try_lock(state)
    if lock is None:
        return False
    try:
        _clean(state)
        (state.folder / "logs").mkdir(parents=True)
        plan = make()
        unfinished = state.plan.with_suffix(".new")
        unfinished.write_text(plan.text())
        unfinished.replace(state.plan)  # who is killed here leaves a whole one, or none
        _spawn_keeper(state, lock, fds, leashed=leashed)
    except BaseException:
        _clean(state)
        raise
    finally:
        os.close(lock)
    return True


_leashes: list[int] = []  # kept open until this process ends


def _spawn_keeper(state: State, lock: int, fds: Sequence[int], *, leashed: bool) -> None:
    inherited = [lock, *fds]
    argv = [sys.executable, "-m", "dev.environment.supervision.keeper", state.id, str(lock)]
    if leashed:
        leash, held = os.pipe()
        _leashes.append(held)
        inherited.append(leash)
        argv.append(str(leash))
    with state.complaints.open("wb") as log:
        subprocess.Popen(
            argv,
            cwd=CLONE,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=inherited,
            start_new_session=True,
        )
    if leashed:
        os.close(leash)


def order(state: State, do: str, **details: Any) -> dict[str, dict[str, Any]]:
    """Sends one order; returns every component's state."""
    with socket.socket(socket.AF_UNIX) as peer:
        peer.settimeout(10)
        try:
            peer.connect(str(state.control))
            peer.sendall(json.dumps({"do": do, **details}).encode() + b"\n")
            line = peer.makefile().readline()
        except OSError as error:
            raise GroupError(f"the processes of {state.folder} do not answer ({error})") from error
    answer: dict[str, dict[str, Any]] = json.loads(line or "{}")
    return answer


def status(state: State) -> dict[str, dict[str, Any]]:
    return order(state, "status")


def add(state: State, component: Component) -> None:
    order(state, "add", component=asdict(component))


def send_signal(state: State, component: str, number: signal.Signals, *, final: bool) -> None:
    """`final`: the component is not started again when this ends it."""
    order(state, "signal", component=component, signal=int(number), final=final)


def wait_until(state: State, component: str, wanted: str, seconds: float) -> None:
    """Waits until the component is in the state; GroupError with its last log lines when it fails or takes too long."""
    until = time.monotonic() + seconds
    while True:
        shown = _status_while_starting(state).get(component)
        if shown and shown["state"] == wanted:
            return
        if shown and shown["state"] == "Failed":
            raise GroupError(f"{component} ended {shown['deaths']} times\n{_last_lines(state, component)}")
        if time.monotonic() > until:
            seen = shown["state"] if shown else "not there"
            raise GroupError(f"{component} is {seen} after {seconds:.0f} s\n{_last_lines(state, component)}")
        time.sleep(0.05)


def wait_ready(state: State, tell: Tell, seconds: float = 90) -> None:
    """Waits for every component, one after the other; also when another process is just starting the group."""
    until = time.monotonic() + seconds
    while not (shown := _status_while_starting(state)):
        if time.monotonic() > until:
            raise GroupError(f"the processes of {state.folder} do not answer after {seconds:.0f} s")
        time.sleep(0.05)
    for name in shown:
        with telling(tell, f"starting {name}"):
            wait_until(state, name, "Ready", seconds)


def _status_while_starting(state: State) -> dict[str, dict[str, Any]]:
    if state.control.exists():
        with contextlib.suppress(GroupError):
            return status(state)
    if not is_up(state):
        said = state.complaints.read_text(errors="replace") if state.complaints.exists() else ""
        raise GroupError(f"the processes of {state.folder} have ended\n{said}")
    return {}


def _last_lines(state: State, component: str, count: int = 15) -> str:
    log = state.log(component)
    lines = log.read_text(errors="replace").splitlines()[-count:] if log.exists() else []
    return "\n".join([f"its last lines, from {log}:", *lines])


def down(state: State) -> bool:
    """Ends every process and removes every trace; True if anything was there."""
    was_up = is_up(state)
    if was_up:
        with contextlib.suppress(GroupError):
            order(state, "down")
        _wait_or_kill(state)
    left = state.folder.exists() or state.complaints.exists()
    lock = _try_lock(state)
    if lock is not None:
        _clean(state)
        _release(state, lock)
    return was_up or left


def sweep() -> None:
    """Removes what groups left whose keeper was killed, whichever clone they belonged to."""
    with _gate(fcntl.LOCK_EX):
        for lock_file in State.root().glob("*.lock"):
            state = State(lock_file.stem)
            lock = _try_lock(state)
            if lock is not None:
                _clean(state)
                _release(state, lock)


@contextlib.contextmanager
def _gate(how: int) -> Iterator[None]:
    """Locks the folder of all groups: who sweeps has the lock of each for a moment, and nobody who starts one shall meet that."""
    State.root().mkdir(mode=0o700, parents=True, exist_ok=True)  # there are tokens and keys in it
    folder = os.open(State.root(), os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(folder, how)
        yield
    finally:
        os.close(folder)


def _clean(state: State) -> None:
    plan = Plan.read(state.plan.read_text()) if state.plan.exists() else None
    clean(state, plan)
    state.complaints.unlink(missing_ok=True)


def _release(state: State, lock: int) -> None:
    """Removes the lock's file too; in this order, so that nobody locks a file that is about to go."""
    state.lock.unlink(missing_ok=True)
    os.close(lock)


def _wait_or_kill(state: State) -> None:
    until = time.monotonic() + STOP_SECONDS
    while is_up(state):
        if time.monotonic() > until:
            with contextlib.suppress(ValueError, ProcessLookupError):
                os.kill(int(state.lock.read_text()), signal.SIGKILL)
            until += STOP_SECONDS
        time.sleep(0.05)


def _try_lock(state: State) -> int | None:
    """The lock's descriptor, or None while a keeper holds it."""
    State.root().mkdir(mode=0o700, parents=True, exist_ok=True)  # there are tokens and keys in it
    while True:
        lock = os.open(state.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            return None
        with contextlib.suppress(FileNotFoundError):
            if os.fstat(lock).st_ino == state.lock.stat().st_ino:
                return lock
        os.close(lock)  # removed between opening and locking: there is a new one
