"""Commands that run beside a scoring pod's process share its memory limit, and must not be what it dies of."""

import os
import sys
import threading
import time
from pathlib import Path
from typing import Final

_VERSIONS: Final = (
    (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current"), "inactive_file"),
    (
        Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
        Path("/sys/fs/cgroup/memory/memory.usage_in_bytes"),
        "total_inactive_file",
    ),
)
"""Of control groups 2 and 1: the limit, what is used, and the part of `memory.stat` that can be had back."""
_UNLIMITED: Final = 1 << 60
_LEAST: Final = 16 << 20
_LOOK: Final = 0.02


class NoRoomError(Exception):
    """The pod has too little memory left for the command."""


def need(megabytes: int) -> None:
    """Begins to watch the pod's memory: the process ends before the pod's limit is reached. Raises NoRoomError where too little
    is left to begin with.
    """
    left = room()
    if left is None:
        return
    if left < (megabytes << 20) + _LEAST:
        raise NoRoomError(
            f"the pod has {left >> 20} MiB left below its memory limit, and this takes {megabytes} MiB: "
            "raise pod.resources.limits.memory, or ask another pod"
        )
    threading.Thread(target=_watch, name="memory", daemon=True).start()


def room(versions: tuple[tuple[Path, Path, str], ...] = _VERSIONS) -> int | None:
    """Bytes until the limit; None where there is none."""
    for limit, used, reclaimable in versions:
        try:
            most, now = limit.read_text().strip(), int(used.read_text())
            stat = (limit.parent / "memory.stat").read_text().split()
        except (OSError, ValueError):
            continue
        if not most.isdigit() or int(most) >= _UNLIMITED:
            return None
        back = dict(zip(stat[::2], stat[1::2], strict=False)).get(reclaimable, "0")
        return int(most) - now + int(back)
    return None


def _watch() -> None:
    while True:
        left = room()
        if left is not None and left < _LEAST:
            sys.stderr.write("the pod's memory is nearly used up: this command ends, so that scoring goes on\n")
            sys.stderr.flush()
            os._exit(1)
        time.sleep(_LOOK)
