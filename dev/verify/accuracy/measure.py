"""A contestant on a set, over seeds: its figures, and its row of the table. Nothing is written here."""

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
from dev.verify.accuracy.contest import Kept, contest, summary, torch_once
from dev.verify.accuracy.contestants import contestants
from dev.verify.accuracy.sets import cases

ROOT: Final = Path(__file__).resolve().parents[3]
FILES: Final = {"skab": "skab", "smdTsb": "smd-tsb", "smdNative": "smd-native", "asd": "asd", "nab": "nab"}
Entry = tuple[str, str]
"""Name of the set, and of the contestant."""
Measured = tuple[dict[str, Any] | None, str]
"""Figures, None where the set is not there; and the line to be shown."""
_EXACT: Final = frozenset({"pca", "seasonal", "bounds", "localOutlierFactor"})
"""Kinds in which nothing is random: every seed gives the same figures, so one is enough."""
_DRAWN: Final = frozenset({"skab"})
"""Sets where the seed draws something for the judge as well."""


def measured(entry: Entry, *, data: Path, seeds: list[int], one: bool, verbose: bool) -> Measured:
    """Figures of a contestant on a set, None where the set is not there; and the line to be shown."""
    name, who = entry
    torch_once()
    shipped = spec_file.detector(ROOT / "examples" / "accuracy" / f"{FILES[name]}.yaml")
    try:
        found = measure(name, contestants(shipped)[who], data, seeds, one=one, verbose=verbose)
    except CommandError as error:
        return None, f"  {name:10} {who:12} skipped: {error}"
    return found, line(name, who, found) if found is not None else f"  {name:10} {who:12} skipped: {data} has no files of it"


def measure(
    name: str, detector: AnomalyDetector, data: Path, seeds: Iterable[int], *, one: bool, verbose: bool = False
) -> dict[str, Any] | None:
    """The mean over seeds; None where the set is not there. Raises CommandError where a file cannot be read."""
    began = time.monotonic()
    told = (lambda text: print(f"    {text}", file=sys.stderr, flush=True)) if verbose else (lambda _: None)
    found = list(cases(name, data, detector, one=one))
    if not found:
        return None
    drawn = list(seeds) if name in _DRAWN or not _exact(detector) else list(seeds)[:1]
    kept: Kept | None = {} if _exact(detector) else None
    figures = _mean([summary(name, contest(name, detector, found, seed, told, kept)) for seed in drawn])
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
