"""`anomaly-detector tune`: tries kinds, windows, preparation and thresholds on held-out readings, says why, and writes a spec.

The oldest 70 % of the readings train each candidate, the rest validates it. Without labels, faults are put into the validation
part: those of the training's gate (spikes, drifts, stuck values, broken correlations, level shifts), drawn by a seed. One thing
is searched after the other: kind and window together, then how errors are prepared, then the threshold, which needs no training.
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import yaml
from numpy.typing import NDArray

from anomaly_api.detector import AnomalyDetector, DetectorSpec
from anomaly_api.policy import Threshold
from anomaly_detector.cli import spec_file
from anomaly_detector.cli.backtest import figures_of
from anomaly_detector.cli.errors import CommandError
from anomaly_detector.cli.figures import Figures, together
from anomaly_detector.cli.replay import replay
from anomaly_detector.cli.table import Table, joined, read_labels, read_tables
from anomaly_detector.cli.terminal import bar
from anomaly_detector.training.gate.faults import put_into_series

if TYPE_CHECKING:
    from anomaly_detector.cli.fitting import Trained

_LEARNED: Final = 0.7
_FAULTS: Final = 60
_ROWS: Final = 30
"""In a fault, but for spikes."""
_EQUAL: Final = 0.01
"""F1: of candidates that are no further from the best the one with the fewest false episodes is taken."""
_KINDS: Final[dict[str, dict[str, Any]]] = {
    "pca": {"pca": {}},
    "pca, logarithm": {"pca": {"errors": {"combine": "Logarithm"}}},
    "autoencoder": {"autoencoder": {}},
}
_SIZES: Final = (6, 12, 24)
_PREPARATIONS: Final[dict[str, tuple[int, dict[str, Any]]]] = {
    "floor of errors 1": (0, {"floor": 1.0}),
    "mean of 4 scores": (3, {"smoothing": 4}),
    "errors not saturated": (0, {"saturation": 1e6}),
}
"""By name: readings that the window grows by, and what changes in `errors`."""
_THRESHOLDS: Final[dict[str, dict[str, Any]]] = {
    **{f"budget 1/{per}": {"budget": {"episodes": 1, "per": per}} for per in ("1w", "1d", "6h")},
    "budget 1/1d of the fleet": {"budget": {"episodes": 1, "per": "1d", "of": "Fleet"}},
    "budget 1/1d, a factor of each entity": {"budget": {"episodes": 1, "per": "1d"}, "perEntity": {"after": "1d"}},
    **{f"quantile {level}": {"quantile": level} for level in (0.99, 0.995, 0.999)},
    **{f"{deviations} standard deviations": {"standardDeviations": deviations} for deviations in (3, 6)},
    **{f"peaks over threshold, risk {risk:g}": {"peaksOverThreshold": {"risk": risk}} for risk in (0.001, 0.0001)},
    **{f"conformal, significance {level:g}": {"conformal": {"significance": level}} for level in (0.01, 0.001)},
}


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
    with bar("tuning") as tell:
        search = _Search(document, learned, checked, labels, tell, len(_KINDS) * len(asked.sizes) + len(_PREPARATIONS) + 1)
        found = [search.kind(kind, size) for kind in _KINDS for size in asked.sizes]
        found += [search.prepared(name, _best(found)) for name in _PREPARATIONS]
        tried = found + search.thresholds(_best(found))
    best = _best(tried)
    for each in sorted(tried, key=_merit, reverse=True):
        print(f"{each.name:48} {_said(each.figures)}")
    by = "labels" if asked.labels else f"{best.figures.events} faults that were put in"
    print(f"chosen: {best.name}: {_why(best, tried)}, by {by}")
    try:
        asked.to.write_text(yaml.safe_dump({**document, "spec": best.spec}, sort_keys=False), encoding="utf-8")
    except OSError as error:
        raise CommandError(f"{asked.to} cannot be written: {error.strerror}") from error
    print(f"wrote {asked.to}")
    return 0


class _Search:
    """Trains and judges candidates."""

    def __init__(
        self,
        document: dict[str, Any],
        learned: Table,
        checked: Table,
        labels: NDArray[np.bool_],
        tell: Callable[[float], None],
        steps: int,
    ) -> None:
        self._document, self._learned, self._checked, self._labels = document, learned, checked, labels
        self._tell, self._steps, self._done = tell, steps, 0
        self._gap = (document["spec"].get("windows") or [{}])[0].get("maxGap", "5m")

    def kind(self, kind: str, size: int) -> _Tried:
        """A kind of model over windows of a size."""
        return self._try(f"{kind}, window {size}", {"windows": self._windows(size), "model": _KINDS[kind]})[0]

    def prepared(self, name: str, best: _Tried) -> _Tried:
        """The best so far with its errors prepared otherwise."""
        wider, changes = _PREPARATIONS[name]
        [(kind, settings)] = best.spec["model"].items()
        model = {kind: {**settings, "errors": {**settings.get("errors", {}), **changes}}}
        size = best.spec["windows"][0]["size"] + wider
        return self._try(f"{best.name}, {name}", {"windows": self._windows(size), "model": model})[0]

    def thresholds(self, best: _Tried) -> list[_Tried]:
        """The best so far under other thresholds; it is trained once more and then only replayed."""
        from anomaly_detector.cli import fitting  # brings torch

        _, trained, spec = self._try(best.name, {name: best.spec[name] for name in ("windows", "model")})
        tried = []
        for name, threshold in _THRESHOLDS.items():
            asked = Threshold.model_validate(threshold)
            found = replay(self._checked, fitting.revision_of(spec, trained, asked), trained.model, reasons=False)
            figures = together(figures_of(self._checked, found, self._labels))
            tried.append(_Tried(f"{best.name}, {name}", {**best.spec, "threshold": threshold}, figures))
        return tried

    def _try(self, name: str, changes: dict[str, Any]) -> "tuple[_Tried, Trained, DetectorSpec]":
        from anomaly_detector.cli import fitting  # brings torch

        spec = {**self._document["spec"], **changes}
        asked = AnomalyDetector.model_validate({**self._document, "spec": spec}).spec
        trained = fitting.train(asked, self._learned, "the oldest readings")
        found = replay(self._checked, fitting.revision_of(asked, trained), trained.model, reasons=False)
        self._done += 1
        self._tell(min(1.0, self._done / self._steps))
        return _Tried(name, spec, together(figures_of(self._checked, found, self._labels))), trained, asked

    def _windows(self, size: int) -> list[dict[str, Any]]:
        return [{"name": "short", "size": size, "maxGap": self._gap}]


def _best(tried: Sequence[_Tried]) -> _Tried:
    """The highest F1; of those nearly as high the one with the fewest false episodes, then the highest VUS-PR."""
    highest = max(each.figures.f1 for each in tried)
    near = [each for each in tried if each.figures.f1 >= highest - _EQUAL]
    return min(near, key=lambda each: (each.figures.false_episodes, -_merit(each)[1]))


def _why(best: _Tried, tried: Sequence[_Tried]) -> str:
    highest = max(tried, key=lambda each: each.figures.f1)
    if best.figures.f1 == highest.figures.f1:
        return "the highest F1"
    return (
        f"an F1 within {_EQUAL} of the highest ({highest.name}: {highest.figures.f1:.3f}), and "
        f"{best.figures.false_episodes} false episodes instead of {highest.figures.false_episodes}"
    )


def _merit(tried: _Tried) -> tuple[float, float]:
    vus = [value for value in tried.figures.vus if np.isfinite(value)]
    return round(tried.figures.f1, 2), float(np.mean(vus)) if vus else 0.0


def _said(figures: Figures) -> str:
    shown = ("F1", "FAR", "VUS_PR", "events", "eventsFound", "falseEpisodes")
    document = figures.document()
    return "  ".join(f"{name} {document[name]}" for name in shown)


def _with_faults(table: Table, seed: int) -> tuple[Table, NDArray[np.bool_]]:
    """The readings with faults, and where these are."""
    rows = [np.flatnonzero(table.codes == code) for code in range(len(table.names))]
    ordered = [each[np.argsort(table.times[each], kind="stable")] for each in rows]
    spread = np.nan_to_num(np.nanstd(table.values.astype(np.float64), axis=0))
    values, labels = put_into_series(table.values, ordered, spread, _FAULTS, _ROWS, seed)
    return Table(table.names, table.codes, table.times, values), labels
