"""`make accuracy [DATA=FOLDER]`: the table, and `accuracy.json`."""

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent import futures
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final

from dev.verify.accuracy.contestants import CONTESTANTS
from dev.verify.accuracy.measure import ROOT, Entry, Measured, measured
from dev.verify.accuracy.published import PUBLISHED
from dev.verify.accuracy.sets import NAMES

DATA: Final = ROOT.parent / "shared" / "quality" / "data"
SEEDS: Final = (1, 2, 3)


def main(arguments: list[str] | None = None) -> int:
    """The exit status; 0 also where the data is not there."""
    parser = argparse.ArgumentParser(prog="make accuracy", description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--out", type=Path, default=Path("accuracy.json"))
    parser.add_argument("--sets", nargs="+", choices=NAMES, default=list(NAMES))
    parser.add_argument("--seeds", nargs="+", type=int, default=list(SEEDS))
    parser.add_argument("--only", nargs="+", help="contestants: shipped, default, PCA, ...")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes (as many as there are processors)")
    parser.add_argument("--quick", action="store_true", help="one seed, one file of each set")
    parser.add_argument("--verbose", action="store_true", help="a line for each file")
    asked = parser.parse_args(arguments)
    if not asked.data.is_dir():
        print(f"skipped: there is no folder {asked.data}; give one of the layout of its MANIFEST.md with DATA=FOLDER")
        return 0
    seeds = asked.seeds[:1] if asked.quick else asked.seeds
    entries = [(name, who) for name in asked.sets for who in CONTESTANTS if not asked.only or who in asked.only]
    work = partial(measured, data=asked.data, seeds=seeds, one=asked.quick, verbose=asked.verbose)
    results: dict[str, dict[str, Any]] = {}
    for (name, who), (found, said) in zip(entries, _side_by_side(work, entries, asked.jobs), strict=True):
        print(said, flush=True)
        if found is not None:
            results.setdefault(who, {})[name] = found
            _write(asked.out, results)  # as it comes: whoever has no time for all of it has something
    for name in asked.sets:
        print("\n".join(f"  {name:10} published: {row}" for row in PUBLISHED[name]), flush=True)
    _write(asked.out, results)
    print(f"wrote {asked.out}")
    return 0


def _side_by_side(work: Callable[[Entry], Measured], entries: Sequence[Entry], jobs: int) -> Iterator[Measured]:
    """What `work` makes of the entries, in their order, in so many processes."""
    if jobs == 1 or len(entries) < 2:
        yield from map(work, entries)
        return
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):  # processes beside each other, not threads
        os.environ.setdefault(name, "1")
    with futures.ProcessPoolExecutor(min(jobs, len(entries)), get_context("spawn")) as pool:
        yield from pool.map(work, entries)


def _write(path: Path, results: dict[str, dict[str, Any]]) -> None:
    document = results.get("shipped", {}) | {"default": results.get("default", {})}
    path.write_text(json.dumps(document, indent=1, allow_nan=False) + "\n")


if __name__ == "__main__":
    sys.exit(main())
