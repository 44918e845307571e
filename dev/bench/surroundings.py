"""What the contest needs beside a broker: the environment of another library, and a trained model."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from dev import cache
from dev.bench.contest import ROOT
from dev.bench.pod import Trained
from dev.progress import Tell, telling


def quixstreams(tell: Tell) -> Path:
    """The Python of an environment with the dependency group `bench`, made once for each lock file, outside the clone."""

    def make(folder: Path) -> None:
        with telling(tell, "installing quixstreams into an environment of its own (once)"):
            command = [_uv(), "sync", "--frozen", "--quiet", "--only-group", "bench", "--python", sys.executable]
            environment = {**os.environ, "UV_PROJECT_ENVIRONMENT": str(folder / "venv")}
            done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
            if done.returncode:
                raise RuntimeError(f"uv could not install the group bench:\n{done.stderr[-2000:]}")

    return cache.made("quixstreams", cache.digest(ROOT / "uv.lock"), make) / "venv/bin/python"


def _uv() -> str:
    """Where dev/bootstrap.sh finds it, too."""
    private = cache.root() / "uv/bin/uv"
    found = shutil.which("uv") or next((str(path) for path in (Path.home() / ".local/bin/uv", private) if path.exists()), None)
    if found is None:
        raise RuntimeError("uv is missing: sh dev/bootstrap.sh installs it")
    return found


def trained(folder: Path) -> tuple[Trained, float]:
    """The model, and how long 50 epochs over 8,640 windows take in seconds."""
    command = [sys.executable, "-m", "dev.bench.learning", str(folder)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"training failed:\n{done.stderr[-2000:]}")
    found = json.loads(done.stdout.splitlines()[-1])
    return Trained(folder, found["digest"], found["threshold"]), found["trainingSeconds"]
