"""`anomaly-detector tune`: tries kinds of model and sizes of window on held-out readings, says why it chose, and writes a spec.

The oldest 70 % of the readings train each candidate, the rest validates it. Without labels, faults are put into the validation
part: stretches in which one feature is shifted by some of its own standard deviations, drawn by a seed.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import yaml
from numpy.typing import NDArray

from anomaly_api.detector import AnomalyDetector
from anomaly_detector.cli import spec_file
from anomaly_detector.cli.backtest import figures_of
from anomaly_detector.cli.errors import CommandError
from anomaly_detector.cli.figures import Figures, together
from anomaly_detector.cli.replay import replay
from anomaly_detector.cli.table import Table, joined, read_labels, read_tables
from anomaly_detector.cli.terminal import bar

_LEARNED: Final = 0.7
_FAULTS: Final = 30
_STRENGTHS: Final = (2.0, 4.0, 8.0)
"""Standard deviations of the feature."""
_ROWS: Final = 30
_KINDS: Final[dict[str, dict[str, Any]]] = {
    "pca": {"pca": {}},
    "pca, logarithm": {"pca": {"errors": {"combine": "Logarithm"}}},
    "autoencoder": {"autoencoder": {}},
}
_SIZES: Final = (6, 12, 24)


@dataclass(frozen=True)
class _Tried:
    """A candidate, and how it did."""

    name: str
    spec: dict[str, Any]
    figures: Figures


def arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's own."""
    parser.add_argument("spec", metavar="SPEC", type=Path, help="YAML file with an AnomalyDetector to begin with")
    parser.add_argument("data", metavar="DATA", nargs="+", help="CSV or Parquet files, also .gz and .xz")
    parser.add_argument("--labels", metavar="FILE", help="which readings are anomalous; without, faults are put in")
    parser.add_argument("--to", metavar="OUT.yaml", type=Path, default=Path("tuned.yaml"), help="the spec (./tuned.yaml)")
    parser.add_argument("--sizes", metavar="N", nargs="+", type=int, default=list(_SIZES), help="sizes of window to try")
    parser.add_argument("--seed", metavar="N", type=int, default=1, help="of the faults that are put in")


def run(asked: argparse.Namespace) -> int:
    """Raises CommandError."""
    document, detector = spec_file.document(asked.spec), spec_file.detector(asked.spec)
    table = joined(read_tables(asked.data, detector.spec.pipeline, spec_file.interval(detector)))
    border = np.quantile(table.times, _LEARNED) if len(table) else 0
    learned, checked = table.rows(table.times <= border), table.rows(table.times > border)
    if len(checked) < 10 * _ROWS:
        raise CommandError(
            f"{len(table):,} readings are too few to tune by: give at least {round(10 * _ROWS / (1 - _LEARNED)):,}"
        )
    if asked.labels:
        labels = read_labels(asked.labels, len(table))[table.times > border]
    else:
        checked, labels = _with_faults(checked, asked.seed)
    candidates = [(kind, size) for kind in _KINDS for size in asked.sizes]
    tried = []
    with bar("tuning") as tell:
        for place, (kind, size) in enumerate(candidates):
            tried.append(_try(document, kind, size, learned, checked, labels))
            tell((place + 1) / len(candidates))
    tried.sort(key=_merit, reverse=True)
    for each in tried:
        print(f"{each.name:28} {_said(each.figures)}")
    best = tried[0]
    by = "labels" if asked.labels else f"{best.figures.events} faults that were put in"
    print(f"chosen: {best.name}: the highest F1 by {by}; among equals, the highest VUS-PR")
    try:
        asked.to.write_text(yaml.safe_dump({**document, "spec": best.spec}, sort_keys=False), encoding="utf-8")
    except OSError as error:
        raise CommandError(f"{asked.to} cannot be written: {error.strerror}") from error
    print(f"wrote {asked.to}")
    return 0


def _try(document: dict[str, Any], kind: str, size: int, learned: Table, checked: Table, labels: NDArray[np.bool_]) -> _Tried:
    from anomaly_detector.cli import fitting  # brings torch

    gap = (document["spec"].get("windows") or [{}])[0].get("maxGap", "5m")
    windows = [{"name": "short", "size": size, "maxGap": gap}]
    spec = {**document["spec"], "windows": windows, "model": _KINDS[kind]}
    asked = AnomalyDetector.model_validate({**document, "spec": spec}).spec
    trained = fitting.train(asked, learned, "the oldest readings")
    found = replay(checked, fitting.revision_of(asked, trained), trained.model, reasons=False)
    return _Tried(f"{kind}, window {size}", spec, together(figures_of(checked, found, labels)))


def _merit(tried: _Tried) -> tuple[float, float]:
    vus = [value for value in tried.figures.vus if np.isfinite(value)]
    return round(tried.figures.f1, 2), float(np.mean(vus)) if vus else 0.0


def _said(figures: Figures) -> str:
    shown = ("F1", "FAR", "VUS_PR", "events", "eventsFound", "falseEpisodes")
    document = figures.document()
    return "  ".join(f"{name} {document[name]}" for name in shown)


def _with_faults(table: Table, seed: int) -> tuple[Table, NDArray[np.bool_]]:
    """The readings with stretches of shifted values, and where these are."""
    random = np.random.default_rng(seed)
    values, labels = table.values.copy(), np.zeros(len(table), bool)
    spread = np.nanstd(table.values, axis=0)
    for number in range(_FAULTS):
        code = int(random.integers(len(table.names)))
        rows = np.flatnonzero(table.codes == code)
        if len(rows) < 4 * _ROWS:
            continue
        start = int(random.integers(_ROWS, len(rows) - _ROWS))
        stretch, feature = rows[start : start + _ROWS], int(random.integers(values.shape[1]))
        if labels[rows[max(0, start - _ROWS) : start + 2 * _ROWS]].any():
            continue
        shift = _STRENGTHS[number % len(_STRENGTHS)] * max(float(spread[feature]), 1e-6) * random.choice([-1, 1])
        values[stretch, feature] += np.float32(shift)
        labels[stretch] = True
    return Table(table.names, table.codes, table.times, values), labels
