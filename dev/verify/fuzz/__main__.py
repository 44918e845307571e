"""`python -m dev.verify.fuzz [--seconds N]`: fuzzes the detector. Exit status 1 with the input that broke a law, which is kept.

What the fuzzer found worth keeping (its corpus) grows from run to run in the cache, outside the clone. An input that broke a law
becomes a case in dev/verify/fuzz/trouble.py when it is mended. atheris has wheels for Linux on x86-64; it is installed
into an environment of its own.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Final

from dev.environment import backends, cache
from dev.environment.backends import ROOT
from dev.environment.supervision.leash import LEASHED
from dev.progress import plain
from dev.verify.fuzz.laws import GOOD
from dev.verify.fuzz.trouble import CHANGES, WHOLE

_LONGEST: Final = 2_000
_SLOW_SECONDS: Final = 5
"""An input that takes so long has broken a law, too."""


def seeds(folder: Path) -> None:
    """Returns what the property tests begin with, for each pipeline, as the target reads it."""
    folder.mkdir(parents=True, exist_ok=True)
    plain_ones = [value for value in WHOLE if value and len(value) < _LONGEST]
    found = [bytes([place | 128]) + value + b"\n" + value for place, value in enumerate(GOOD)]
    found += [bytes([place]) + value for place in range(len(GOOD)) for value in (*GOOD, *plain_ones)]
    found += [bytes([place]) + value + b"\n" + GOOD[place] for place, value in CHANGES if len(value) < _LONGEST]
    for number, each in enumerate(found):
        (folder / f"seed-{number}").write_bytes(each)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m dev.verify.fuzz", description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=60, help="default: %(default)s")
    parser.add_argument("inputs", nargs="*", type=Path, help="run these files only, such as one that broke a law")
    asked = parser.parse_args(arguments)
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        print("atheris is published for Linux on x86-64 only: run this there; the property tests run everywhere", file=sys.stderr)
        return 1
    python = backends.python("fuzz", plain)
    kept = cache.root() / "fuzz"
    seeds(kept / "seeds")
    (kept / "corpus").mkdir(exist_ok=True)
    # atheris itself grows by some kilobytes an input
    options = [f"-max_total_time={asked.seconds}", f"-max_len={_LONGEST}", f"-timeout={_SLOW_SECONDS}", "-rss_limit_mb=4096"]
    where = [str(path) for path in (asked.inputs or (kept / "corpus", kept / "seeds"))]
    told_apart = [f"-artifact_prefix={kept}/broken-", "-print_final_stats=1"]
    command = [str(python), "-m", "dev.verify.fuzz.target", *options, *told_apart, *where]
    paths = os.pathsep.join(str(ROOT / name) for name in ("", "crds", "detector"))
    told = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    status = subprocess.run([*LEASHED, *command], cwd=ROOT, env=told, check=False).returncode
    print("no law was broken" if status == 0 else f"a law was broken, see above; the input is in {kept}")
    return int(status != 0)


if __name__ == "__main__":
    sys.exit(main())
