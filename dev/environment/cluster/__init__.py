"""Kubernetes for development: kind where a Docker engine answers, else one built from its Go modules.

Not for anything that must last: its data is not synced to disk and goes with it. Several clusters stand side by side,
told apart by the clone and by a name.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dev.environment.cluster import kind, own
from dev.environment.cluster.access import Cluster
from dev.environment.images import engine
from dev.environment.images.context import Image
from dev.environment.supervision import group
from dev.progress import Tell, silent

DEFAULT = "dev"

__all__ = ["DEFAULT", "Cluster", "down", "load", "status", "up", "uses_kind"]


def uses_kind() -> bool:
    return engine.docker_answers()


def up(name: str, tell: Tell, *, images: Sequence[Image] = (), leashed: bool = False) -> Cluster:
    """Starts a whole cluster, or takes the one that is there; returns when its node is ready and has the images.

    `leashed`: it goes down when this process ends, however it ends.
    """
    one = kind.up if uses_kind() else own.up
    return one(name, images, tell, leashed=leashed)


def load(name: str, images: Sequence[Image], tell: Tell) -> None:
    """Makes images known to a cluster that is up; builds those that are not built."""
    if uses_kind():
        kind.load(name, images, tell)
    else:
        own.load(name, images, tell)


def down(name: str, tell: Tell) -> bool:
    """Leaves nothing; False if nothing was there."""
    was_in_kind = uses_kind() and kind.down(name, tell)
    return own.down(name) or was_in_kind  # files, and one that was started before Docker was


def status(name: str) -> dict[str, dict[str, Any]] | None:
    """Returns what each component is doing (empty with kind, whose business it is); None if the cluster is not up."""
    if uses_kind():
        return {} if kind.is_up(name, silent) else None
    return group.status(own.state_of(name)) if group.is_up(own.state_of(name)) else None
