"""`make accuracy [DATA=FOLDER]`: the table, and `accuracy.json`."""

import argparse
import json
import math
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import numpy as np

from anomaly_api.detector import AnomalyDetector
from anomaly_detector.cli import spec_file
from anomaly_detector.cli.errors import CommandError
from dev.verify.accuracy.contest import contest, summary
from dev.verify.accuracy.contestants import contestants
from dev.verify.accuracy.published import PUBLISHED
from dev.verify.accuracy.sets import NAMES, cases

ROOT: Final = Path(__file__).resolve().parents[3]
DATA: Final = ROOT.parent / "shared" / "quality" / "data"
FILES: Final = {"skab": "skab", "smdTsb": "smd-tsb", "smdNative": "smd-native", "asd": "asd", "nab": "nab"}
SEEDS: Final = (1, 2, 3)
_EXACT: Final = frozenset({"pca", "seasonal", "bounds", "localOutlierFactor"})
"""Kinds in which nothing is random: every seed gives the same figures, so one is enough."""
_DRAWN: Final = frozenset({"skab"})
"""Sets where the seed draws something for the judge as well."""


def main(arguments: list[str] | None = None) -> int:
    """The exit status; 0 also where the data is not there."""
    parser = argparse.ArgumentParser(prog="make accuracy", description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--out", type=Path, default=Path("accuracy.json"))
    parser.add_argument("--sets", nargs="+", choices=NAMES, default=list(NAMES))
    parser.add_argument("--seeds", nargs="+", type=int, default=list(SEEDS))
    parser.add_argument("--only", nargs="+", help="contestants: shipped, default, PCA, ...")
    parser.add_argument("--quick", action="store_true", help="one seed, one file of each set")
    parser.add_argument("--verbose", action="store_true", help="a line for each file")
    asked = parser.parse_args(arguments)
    if not asked.data.is_dir():
        print(f"skipped: there is no folder {asked.data}; give one of the layout of its MANIFEST.md with DATA=FOLDER")
        return 0
    seeds = asked.seeds[:1] if asked.quick else asked.seeds
    results: dict[str, dict[str, Any]] = {}
    for name in asked.sets:
        shipped = spec_file.detector(ROOT / "examples" / "accuracy" / f"{FILES[name]}.yaml")
        for who, detector in contestants(shipped).items():
            if asked.only and who not in asked.only:
                continue
            found = measure(name, detector, asked.data, seeds, one=asked.quick, verbose=asked.verbose)
            if found is not None:
                results.setdefault(who, {})[name] = found
                print(line(name, who, found), flush=True)
        print("\n".join(f"  {name:10} published: {row}" for row in PUBLISHED[name]), flush=True)
    document = results.get("shipped", {}) | {"default": results.get("default", {})}
    asked.out.write_text(json.dumps(document, indent=1, allow_nan=False) + "\n")
    print(f"wrote {asked.out}")
    return 0


def measure(
    name: str, detector: AnomalyDetector, data: Path, seeds: Iterable[int], *, one: bool, verbose: bool = False
) -> dict[str, Any] | None:
    """The mean over seeds; None where the set is not there."""
    began = time.monotonic()
    told = (lambda text: print(f"    {text}", file=sys.stderr, flush=True)) if verbose else (lambda _: None)
    try:
        found = list(cases(name, data, detector, one=one))
    except CommandError as error:
        print(f"  {name:10} skipped: {error}")
        return None
    if not found:
        print(f"  {name:10} skipped: {data} has no files of it")
        return None
    drawn = list(seeds) if name in _DRAWN or not _exact(detector) else list(seeds)[:1]
    figures = _mean([summary(name, contest(name, detector, found, seed, told)) for seed in drawn])
    if verbose:
        print(f"    {name}: {time.monotonic() - began:.0f} s", file=sys.stderr)
    return figures


def _exact(detector: AnomalyDetector) -> bool:
    model = detector.spec.model
    return not model.trained or model.kind in _EXACT


def line(name: str, who: str, figures: dict[str, Any]) -> str:
    """A row of the table."""
    shown = {**figures, **{f"budget {key}": value for key, value in figures["budgets"].items()}}
    texts = (f"{key} {value:.3f}" for key, value in shown.items() if isinstance(value, float))
    return f"  {name:10} {who:12} {'  '.join(texts)}"


def _mean(found: list[dict[str, Any]]) -> dict[str, Any]:
    """Of the same figures of several seeds."""
    mean: dict[str, Any] = {}
    for key, value in found[0].items():
        if isinstance(value, dict):
            mean[key] = _mean([each[key] for each in found])
        else:
            number = float(np.mean([each[key] for each in found]))
            mean[key] = round(number, 4) if math.isfinite(number) else None
    return mean


if __name__ == "__main__":
    sys.exit(main())
