"""The few calls to the kernel that Python's standard library (3.11) lacks: namespaces, mounts, the death signal."""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import time
from pathlib import Path

_libc = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1
_NEW_MOUNTS, _NEW_PROCESSES, _NEW_NETWORK = 0x00020000, 0x20000000, 0x40000000
_RECURSIVE, _PRIVATE, _SHARED = 0x4000, 1 << 18, 1 << 20
_NOSUID_NODEV_NOEXEC = 2 | 4 | 8
CGROUPS = Path("/sys/fs/cgroup")


def _checked(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def die_with_parent() -> None:
    """Killed when the thread that forked this process ends, however it ends."""
    _checked(_libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0))


def enter_namespaces() -> None:
    """The next child is the first process of its own process, mount and network namespaces."""
    _checked(_libc.unshare(_NEW_MOUNTS | _NEW_PROCESSES | _NEW_NETWORK))


def own_mounts() -> None:
    """In the first process of the namespaces: mounts are seen inside only, and /proc shows our processes."""
    _checked(_libc.mount(b"none", b"/", None, _RECURSIVE | _PRIVATE, None))
    _checked(_libc.mount(b"none", b"/", None, _RECURSIVE | _SHARED, None))  # kubelet wants volumes to propagate
    _checked(_libc.mount(b"proc", b"/proc", b"proc", _NOSUID_NODEV_NOEXEC, None))


def make_cgroup(name: str) -> None:
    """In every hierarchy (version 1), or with every controller passed on (version 2)."""
    unified = CGROUPS / "cgroup.controllers"
    if unified.exists():
        passed_on = " ".join(f"+{controller}" for controller in unified.read_text().split())
        (CGROUPS / "cgroup.subtree_control").write_text(passed_on)
        (CGROUPS / name).mkdir(exist_ok=True)
        (CGROUPS / name / "cgroup.subtree_control").write_text(passed_on)
        return
    for hierarchy in CGROUPS.iterdir():
        if hierarchy.is_dir() and not hierarchy.is_symlink() and os.access(hierarchy, os.W_OK):
            (hierarchy / name).mkdir(exist_ok=True)
            _inherit_cpuset(hierarchy / name)


def _inherit_cpuset(group: Path) -> None:
    for setting in ("cpuset.cpus", "cpuset.mems"):
        if (group / setting).exists() and not (group / setting).read_text().strip():
            (group / setting).write_text((group.parent / setting).read_text())


def remove_cgroup(name: str, patience_seconds: float = 10) -> None:
    """Waits until the last process has left: the kernel takes a moment to bury them."""
    until = time.monotonic() + patience_seconds
    for top in (CGROUPS / name, *CGROUPS.glob(f"*/{name}")):
        while top.is_dir() and not _removed(top) and time.monotonic() < until:
            time.sleep(0.05)


def _removed(top: Path) -> bool:
    try:
        for folder, _, _ in os.walk(top, topdown=False):
            Path(folder).rmdir()
    except OSError:
        return False
    return True


def remove_folder(folder: Path, patience_seconds: float = 10) -> None:
    """Tries again while a dying process still writes into it."""
    until = time.monotonic() + patience_seconds
    while folder.exists():
        shutil.rmtree(folder, ignore_errors=time.monotonic() < until)
