"""Further needs of the contest beside a broker: the environment of another library, and a trained model."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from dev.environment import backends
from dev.environment.supervision.leash import LEASHED
from dev.progress import Tell
from dev.verify.bench.contest import ROOT
from dev.verify.bench.pod import Trained


def quixstreams(tell: Tell) -> Path:
    """The Python of an environment with quixstreams, which pins another version of the Kafka client."""
    return backends.python("bench", tell)


def trained(folder: Path) -> tuple[Trained, float]:
    """The model, and how long 50 epochs over 8,640 windows take in seconds."""
    command = [*LEASHED, sys.executable, "-m", "dev.verify.bench.learning", str(folder)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"training failed:\n{done.stderr[-2000:]}")
    found = json.loads(done.stdout.splitlines()[-1])
    return Trained(folder, found["digest"], found["threshold"]), found["trainingSeconds"]
