"""Starts components in order, starts again those that die, and takes orders through a unix socket.

An order is one line of JSON, {"do": ..., "component": ...}, and so is the answer: what every component is doing.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import time
from dataclasses import dataclass, field
from typing import Any

from dev.environment.supervision import kernel
from dev.environment.supervision.plan import Component, Plan, State
from dev.environment.supervision.readiness import answers

BACKOFF_SECONDS = 0.5
DEATHS_BEFORE_READY = 6


@dataclass
class Running:
    """One component's life so far. `wanted` is False while someone has stopped it on purpose."""

    component: Component
    process: subprocess.Popen[bytes] | None = None
    state: str = "Waiting"  # Starting, Ready, Stopped, Failed
    wanted: bool = True
    deaths: int = 0
    last_exit: int | None = None
    not_before: float = 0.0
    began: float = 0.0
    seconds: float | None = None

    def shown(self) -> dict[str, Any]:
        return {
            "state": self.state,
            "pid": self.process.pid if self.process else None,
            "deaths": self.deaths,
            "lastExit": self.last_exit,
            "seconds": self.seconds,
        }


@dataclass
class Supervisor:
    """The loop; it ends when it is told to go down or when the leash is let go."""

    state: State
    plan: Plan
    leash: int | None
    running: dict[str, Running] = field(default_factory=dict)
    going_down: bool = False

    def run(self) -> None:
        for argv in self.plan.prepare:
            subprocess.run(argv, check=True, stdin=subprocess.DEVNULL)
        self.running = {c.name: Running(c) for c in self.plan.components}
        signal.signal(signal.SIGTERM, self._stop)
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(self.state.control))
            server.listen(16)
            while not self.going_down:
                self._advance()
                self._listen(server, 0.05 if self._unsettled() else 0.5)
        self._kill_all()

    def _stop(self, *_: object) -> None:
        self.going_down = True

    def _unsettled(self) -> bool:
        return any(r.state in ("Waiting", "Starting") for r in self.running.values())

    def _advance(self) -> None:
        self._bury()
        for running in self.running.values():
            self._step(running)
            if running.state in ("Waiting", "Starting", "Failed"):
                return  # those behind it need it

    def _step(self, running: Running) -> None:
        if running.state == "Waiting" and time.monotonic() >= running.not_before:
            self._start(running)
        if running.state == "Starting" and (not running.component.ready or answers(running.component.ready)):
            running.state = "Ready"
            running.seconds = round(time.monotonic() - running.began, 2)

    def _start(self, running: Running) -> None:
        component = running.component
        with self.state.log(component.name).open("ab") as log:
            running.process = subprocess.Popen(
                component.argv,
                cwd=self.state.folder,
                env={**os.environ, **component.env},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=component.fds,
                preexec_fn=kernel.die_with_parent,
            )
        running.state = "Starting"
        running.began = running.began or time.monotonic()

    def _bury(self) -> None:
        """Reaps every child: ours, and orphans that came to us as the first process of a namespace."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            for running in self.running.values():
                if running.process and running.process.pid == pid:
                    self._died(running, os.waitstatus_to_exitcode(status))

    def _died(self, running: Running, code: int) -> None:
        assert running.process is not None
        running.process.returncode = code  # reaped here: Popen must not look for it
        running.process = None
        running.last_exit = code
        if not running.wanted:
            running.state = "Stopped"
            return
        running.deaths += 1
        never_ready = running.seconds is None and running.deaths >= DEATHS_BEFORE_READY
        running.state = "Failed" if never_ready else "Waiting"
        running.not_before = time.monotonic() + BACKOFF_SECONDS

    def _listen(self, server: socket.socket, seconds: float) -> None:
        watched: list[Any] = [server] if self.leash is None else [server, self.leash]
        heard, _, _ = select.select(watched, [], [], seconds)
        if self.leash in heard and not os.read(self.leash or 0, 1):
            self.going_down = True
        if server in heard:
            peer, _ = server.accept()
            with peer, contextlib.suppress(OSError, ValueError, KeyError):
                peer.settimeout(2)
                self._obey(json.loads(peer.makefile().readline()))
                shown = {name: r.shown() for name, r in self.running.items()}
                peer.sendall(json.dumps(shown).encode() + b"\n")

    def _obey(self, order: dict[str, Any]) -> None:
        match order["do"]:
            case "down":
                self.going_down = True
            case "add":
                component = Component.read(order["component"])
                self.running.setdefault(component.name, Running(component))
            case "start":
                running = self.running[order["component"]]
                running.wanted = True
                if running.process is None:
                    running.state, running.began, running.seconds = "Waiting", 0.0, None
            case "signal":
                running = self.running[order["component"]]
                running.wanted = running.wanted and not order["final"]
                if running.process:
                    running.process.send_signal(order["signal"])
        self._bury()

    def _kill_all(self) -> None:
        alive = [r.process for r in self.running.values() if r.process]
        for process in alive:
            process.kill()
        for process in alive:
            process.wait()
