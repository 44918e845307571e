"""The process behind a state folder: runs the supervisor, and removes everything when that has ended.

Run as `python -m dev.environment.supervision.keeper <id> <lock's descriptor> [<leash's descriptor>]` by `group.start` only.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback

from dev.environment.supervision import kernel
from dev.environment.supervision.plan import Plan, State
from dev.environment.supervision.supervisor import Supervisor


def main(arguments: list[str]) -> None:
    state, lock = State(arguments[0]), int(arguments[1])
    leash = int(arguments[2]) if len(arguments) > 2 else None
    os.ftruncate(lock, 0)
    os.pwrite(lock, str(os.getpid()).encode(), 0)
    plan = Plan.read(state.plan.read_text())
    if plan.cgroup:
        kernel.make_cgroup(plan.cgroup)
    if plan.namespaces:
        kernel.enter_namespaces()
    child = os.fork()
    if child == 0:
        _supervise(state, plan, lock, leash)
    if leash is not None:
        os.close(leash)
    signal.signal(signal.SIGTERM, lambda *_: os.kill(child, signal.SIGKILL))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # control-C in the terminal is for the starter
    _, status = os.waitpid(child, 0)
    if os.waitstatus_to_exitcode(status) <= 0:  # ended or killed; one that failed has said why
        state.complaints.unlink(missing_ok=True)
    clean(state, plan)
    state.lock.unlink(missing_ok=True)


def _supervise(state: State, plan: Plan, lock: int, leash: int | None) -> None:
    """In the child; never returns. A supervisor that fails says why in its log, and its end is the signal."""
    code = 1
    try:
        kernel.die_with_parent()
        os.close(lock)
        if plan.namespaces:
            kernel.own_mounts()
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        Supervisor(state, plan, leash).run()
        code = 0
    except Exception:  # noqa: BLE001 - the outermost loop of this process
        traceback.print_exc()
    finally:
        os._exit(code)


def clean(state: State, plan: Plan | None) -> None:
    """Removes what is left of a group whose processes are gone; the caller holds the lock."""
    if plan is not None and plan.cgroup:
        kernel.remove_cgroup(plan.cgroup)
    kernel.remove_folder(state.folder)


if __name__ == "__main__":
    main(sys.argv[1:])
