"""Environments: of packages that do not go with ours, or that only a few machines can have; and of processes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from dev.environment import cache
from dev.progress import Tell, telling

ROOT: Final = Path(__file__).resolve().parents[2]


def python(group: str, tell: Tell) -> Path:
    """The Python of an environment with a dependency group, without the project itself; made once for each lock file.

    RuntimeError when uv is missing or fails.
    """

    def make(folder: Path) -> None:
        with telling(tell, f"installing the packages of {group} into an environment of their own (once)"):
            options = ["--frozen", "--quiet", "--no-install-project", "--only-group", group, "--python", sys.executable]
            told = {**os.environ, "UV_PROJECT_ENVIRONMENT": str(folder / "venv")}
            done = subprocess.run([_uv(), "sync", *options], cwd=ROOT, env=told, capture_output=True, text=True, check=False)
            if done.returncode:
                raise RuntimeError(f"uv could not install the group {group}:\n{done.stderr[-2000:]}")

    return cache.made(f"packages-of-{group}", cache.digest(ROOT / "uv.lock"), make) / "venv/bin/python"


def compiled_in(folder: Path) -> dict[str, str]:
    """Variables with which Python compiles each module once, for all processes that have them.

    A pod that has to compile all of them at every start takes three times as long. In the images all is compiled.
    """
    return {"PYTHONPYCACHEPREFIX": str(folder), "PYTHONDONTWRITEBYTECODE": ""}


def _uv() -> str:
    """Where dev/bootstrap.sh finds it, too."""
    private = cache.root() / "uv/bin/uv"
    found = shutil.which("uv") or next((str(path) for path in (Path.home() / ".local/bin/uv", private) if path.exists()), None)
    if found is None:
        raise RuntimeError("uv is missing: sh dev/bootstrap.sh installs it")
    return found
