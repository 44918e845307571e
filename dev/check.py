"""`make test` and `make lint`: every check, cheapest first, each named and timed; the first that fails ends the run."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from dev import crds
from dev.environment.backends import compiled_in

_ROOT: Final = Path(__file__).resolve().parent.parent
_LINT: Final = (
    ("style", ["ruff", "check", "."]),
    ("format", ["ruff", "format", "--check", "--quiet", "."]),
    ("types", ["mypy"]),
    ("import contracts", ["lint-imports", "--no-cache"]),
)
_TESTS: Final = (
    ("unit and property tests", ["pytest", "-q", "-m", "not integration and not e2e and not keda"]),
    ("integration and end-to-end tests", ["pytest", "-v", "-m", "integration or e2e", "--durations=15"]),
)
# Two threads of torch or numpy collapse when the other core is busy (60 times slower): one each, always.
_ONE_THREAD: Final = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def _run(name: str, command: list[str], compiled: Path) -> bool:
    print(f"== {name}: {' '.join(command)}", flush=True)
    started = time.monotonic()
    status = subprocess.run(
        [_ROOT / ".venv/bin" / command[0], *command[1:]],
        cwd=_ROOT,
        env={**os.environ, **_ONE_THREAD, **compiled_in(compiled)},
        check=False,
    ).returncode
    print(f"== {name}: {'ok' if status == 0 else f'FAILED ({status})'} after {time.monotonic() - started:.0f} s", flush=True)
    return status == 0


def main() -> int:
    """Exit status 1 when a check failed."""
    if crds.stale():
        print("the CRDs are stale: run `make crds`", file=sys.stderr)
        return 1
    steps = _LINT if "--lint" in sys.argv[1:] else (*_LINT, *_TESTS)
    with tempfile.TemporaryDirectory(prefix="anomaly-compiled-") as compiled:
        return int(not all(_run(name, command, Path(compiled)) for name, command in steps))


if __name__ == "__main__":
    sys.exit(main())
