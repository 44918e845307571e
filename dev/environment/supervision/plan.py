"""The components to run, in the order in which each needs the one before."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

CLONE = Path(__file__).resolve().parents[3]


@dataclass(frozen=True)
class Component:
    """A command that is kept running."""

    name: str
    argv: tuple[str, ...]
    ready: str = ""  # tcp://host:port, unix:///path or https://host:port/path; empty: ready when started
    env: dict[str, str] = field(default_factory=dict)
    fds: tuple[int, ...] = ()  # inherited from the starter, by number

    @staticmethod
    def read(value: dict[str, Any]) -> Component:
        return Component(**{**value, "argv": tuple(value["argv"]), "fds": tuple(value["fds"])})


@dataclass(frozen=True)
class Plan:
    """Components, and what surrounds them."""

    components: tuple[Component, ...]
    namespaces: bool = False
    prepare: tuple[tuple[str, ...], ...] = ()  # commands run once, inside the namespaces, before the components
    cgroup: str = ""  # the name of a group made for us in every hierarchy and removed at the end

    def text(self) -> str:
        return json.dumps(asdict(self), indent=1)

    @staticmethod
    def read(text: str) -> Plan:
        value = json.loads(text)
        return Plan(
            components=tuple(Component.read(item) for item in value["components"]),
            namespaces=value["namespaces"],
            prepare=tuple(tuple(argv) for argv in value["prepare"]),
            cgroup=value["cgroup"],
        )


@dataclass(frozen=True)
class State:
    """Where a group keeps its files: told apart by clone and name, short enough for the paths of unix sockets."""

    id: str

    @staticmethod
    def of(name: str, clone: Path = CLONE) -> State:
        return State(hashlib.sha256(f"{clone}\0{name}".encode()).hexdigest()[:10])

    @staticmethod
    def root() -> Path:
        return Path("/var/tmp") / f"anomaly-operator-{os.getuid()}"

    @property
    def folder(self) -> Path:
        return self.root() / self.id

    @property
    def lock(self) -> Path:
        """Held while anything runs; its content is the keeper's process id."""
        return self.root() / f"{self.id}.lock"

    @property
    def complaints(self) -> Path:
        """Returns what the keeper and the supervisor print; outlives them when they failed, until the next up or down."""
        return self.root() / f"{self.id}.log"

    @property
    def control(self) -> Path:
        return self.folder / "control.sock"

    @property
    def plan(self) -> Path:
        return self.folder / "plan.json"

    def log(self, component: str) -> Path:
        return self.folder / "logs" / f"{component}.log"
