"""Installs missing Debian packages, and says which."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from collections.abc import Sequence

from dev.progress import Tell, telling

_PATIENCE = ("--option", "DPkg::Lock::Timeout=300")  # where the machine updates itself just now
_one_at_a_time = threading.Lock()


def need(packages: Sequence[str], tell: Tell) -> None:
    """Does nothing where all are there; RuntimeError with the command to type where this process may not install."""
    with _one_at_a_time:
        missing = [name for name in packages if not _installed(name)]
        if missing:
            _install(missing, tell)


def _install(missing: list[str], tell: Tell) -> None:
    command = ["apt-get", "install", "--yes", "--no-install-recommends", *_PATIENCE, *missing]
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise RuntimeError(
            f"these programs are missing: {', '.join(missing)}. "
            f"Start a Docker engine, or install them as root on Debian: {' '.join(command)}"
        )
    with telling(tell, f"installing Debian packages: {' '.join(missing)}"):
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        installed = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if installed.returncode != 0:  # most often the package lists are missing or old
            subprocess.run(["apt-get", "update", "-qq"], env=environment, capture_output=True, check=False)
            installed = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if installed.returncode != 0:
            raise RuntimeError(f"{' '.join(command)} failed:\n{installed.stderr[-2000:]}")


def _installed(name: str) -> bool:
    if shutil.which("dpkg-query") is None:
        return False
    asked = subprocess.run(
        ["dpkg-query", "--show", "--showformat=${db:Status-Status}", name], capture_output=True, text=True, check=False
    )
    return asked.stdout == "installed"
