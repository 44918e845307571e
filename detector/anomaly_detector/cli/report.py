"""The report of a backtest: one HTML file without scripts or anything from elsewhere, pictures as SVG."""

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from anomaly_api.assignment import Revision
from anomaly_api.preparation import EntityScale
from anomaly_detector.chart import Chart, spans
from anomaly_detector.cli.errors import CommandError
from anomaly_detector.cli.figures import Figures, together
from anomaly_detector.cli.replay import Replayed
from anomaly_detector.cli.table import Table
from anomaly_detector.core.scoring.onnx import Model

_MOST_ENTITIES: Final = 12
_MOST_FEATURES: Final = 8
_POINTS: Final = 600
"""Of a line, as many as a screen can show."""
_STYLE: Final = """
body{font:15px/1.5 system-ui,sans-serif;color:#1c2733;background:#fff;max-width:1060px;margin:2em auto;padding:0 1em}
h1{font-size:1.6em;margin:0}h2{margin:1.6em 0 .3em;border-top:1px solid #d8dee4;padding-top:.8em}
table{border-collapse:collapse;margin:.8em 0;font-size:12px}td,th{padding:.2em .8em .2em 0;text-align:right}
td:first-child,th:first-child{text-align:left}th{color:#57606a;font-weight:600;border-bottom:1px solid #d8dee4}
p,.key{color:#57606a}svg{display:block;margin:.15em 0}.key span{display:inline-block;width:1.1em;height:.8em;margin:0 .35em 0 1em}
"""
_KEY: Final = (
    ("#2f6fb3", "reading"),
    ("#bcd7f2", "expected band"),
    ("#f3a6a0", "episode"),
    ("#8fca9b", "labelled anomaly"),
    ("#7a3fa8", "score"),
)


@dataclass(frozen=True)
class Backtest:
    """What there is to show."""

    table: Table
    found: Replayed
    revision: Revision
    model: Model | None
    labels: NDArray[np.bool_] | None
    figures: list[Figures] | None
    """By entity; None without labels."""


def write_report(path: Path, name: str, backtest: Backtest) -> None:
    """Raises CommandError."""
    try:
        path.write_text(_page(name, backtest), encoding="utf-8")
    except OSError as error:
        raise CommandError(f"{path} cannot be written: {error.strerror or error}") from error


def _page(name: str, backtest: Backtest) -> str:
    table, found = backtest.table, backtest.found
    alarmed = [int(found.anomalous[table.codes == code].sum()) for code in range(len(table.names))]
    shown = sorted(range(len(table.names)), key=lambda code: (-alarmed[code], code))[:_MOST_ENTITIES]
    key = "".join(f'<span style="background:{colour}"></span>{what}' for colour, what in _KEY)
    since, until = _moment(table.times.min()), _moment(table.times.max())
    parts = [
        f"<h1>Backtest of {html.escape(name)}</h1>",
        f"<p>{len(table):,} readings of {len(table.names):,} entities, {since} to {until}. ",
        f"Scored by {html.escape(found.scorer or 'the statistical scorer')}; a score of 1.0 is the threshold.</p>",
        _thresholds(backtest.revision),
        _figures(backtest),
        f'<div class="key">{key}</div>',
        *(_entity(code, backtest) for code in shown),
    ]
    if len(shown) < len(table.names):
        parts.append(f"<p>{len(table.names) - len(shown):,} further entities, with fewer alarms, are not shown.</p>")
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Backtest of {html.escape(name)}</title>'
        f"<style>{_STYLE}</style><body>{''.join(parts)}</body></html>\n"
    )


def _thresholds(revision: Revision) -> str:
    rows = [
        (
            each.window,
            f"{each.value:.6g}",
            f"{each.source.value} {each.asked}",
            each.supported or each.asked,
            _number(each.expected_episodes),
        )
        for each in revision.thresholds
    ]
    return _table(("window", "threshold", "asked", "supported", "expected in that time, or in a week"), rows)


def _figures(backtest: Backtest) -> str:
    if backtest.figures is None:
        return "<p>No labels were given: there are no figures.</p>"
    whole = [("all", together(backtest.figures))] if len(backtest.figures) > 1 else []
    named = [*whole, *zip(backtest.table.names[:50], backtest.figures, strict=False)]
    columns = list(named[0][1].document())
    return _table(("entity", *columns), [(name, *map(_number, one.document().values())) for name, one in named])


def _entity(code: int, backtest: Backtest) -> str:
    table, found = backtest.table, backtest.found
    rows = np.flatnonzero(table.codes == code)
    rows = rows[np.argsort(table.times[rows], kind="stable")]
    times = table.times[rows].astype(np.float64)
    behind = [("#f3a6a0", spans(times, found.anomalous[rows]))]
    if backtest.labels is not None:
        behind.insert(0, ("#8fca9b", spans(times, backtest.labels[rows])))
    low, high = _band(rows, backtest)
    loudest = _loudest(rows, backtest)
    pictures = []
    for place in loudest:
        chart = Chart(times, behind, found.features[place])
        if low is not None and high is not None:
            chart.band(low[:, place], high[:, place], "#bcd7f2")
        chart.line(_values(backtest)[rows, place].astype(np.float64), "#2f6fb3")
        pictures.append(chart.svg())
    score = Chart(times, behind, "score", height=110)
    score.line(np.log10(np.maximum(found.score[rows], 1e-2)), "#7a3fa8")
    score.level(0.0, "threshold")
    left = len(found.features) - len(loudest)
    note = f"<p>{left} features that add less to its alarms are not shown.</p>" if left else ""
    return f"<h2>{html.escape(table.names[code])}</h2>{''.join(pictures)}{score.svg('logarithm')}{note}"


def _values(backtest: Backtest) -> NDArray[Any]:
    """[n, features] As windows have them."""
    return backtest.table.values if backtest.found.prepared is None else backtest.found.prepared


def _loudest(rows: NDArray[np.int64], backtest: Backtest) -> list[int]:
    """The features that add most to scores beyond the threshold first."""
    count = len(backtest.found.features)
    tops = backtest.found.top[rows]
    times = np.bincount(tops[tops >= 0], minlength=count)
    return sorted(np.argsort(-times, kind="stable")[:_MOST_FEATURES].tolist())


def _band(rows: NDArray[np.int64], backtest: Backtest) -> tuple[NDArray[np.float64] | None, NDArray[np.float64] | None]:
    """[n, features] Low and high of what was expected; nothing where the kind of model has no such values.

    The band is as wide as what was expected was usually wrong by: 99 % of the readings outside of episodes lie in it.
    """
    window = backtest.revision.pipeline.windows[0]
    scaled = any(feature.scale is EntityScale.PER_ENTITY for feature in backtest.revision.pipeline.features)
    if backtest.model is None or scaled or len(rows) < window.size:
        return None, None
    values = _values(backtest)[rows].astype(np.float32)
    ends = np.unique(np.linspace(window.size - 1, len(rows) - 1, _POINTS).astype(int))
    windows = np.stack([values[end - window.size + 1 : end + 1] for end in ends])
    whole = np.isfinite(windows).all(axis=(1, 2))
    if not whole.any():
        return None, None
    ends, windows = ends[whole], windows[whole]
    expected = _expected(backtest.model, window.name, windows, backtest.table.times[rows][ends])
    if not np.isfinite(expected).all():
        return None, None
    calm = ~backtest.found.anomalous[rows][ends]
    away = np.abs(values[ends] - expected)
    width = np.quantile(away[calm] if calm.any() else away, 0.99, axis=0)
    filled = np.stack([np.interp(np.arange(len(rows)), ends, expected[:, place]) for place in range(expected.shape[1])], axis=1)
    return filled - width, filled + width


def _expected(model: Model, window: str, windows: NDArray[np.float32], times: NDArray[np.int64]) -> NDArray[np.float32]:
    """[n, features] What the model takes the newest readings for."""
    return model.explain(window, windows, times)[1]


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    top = "".join(f"<th>{html.escape(cell)}</th>" for cell in head)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><tr>{top}</tr>{body}</table>"


def _number(value: float | None) -> str:
    return "" if value is None or math.isnan(value) else f"{value:g}"


def _moment(micros: int) -> str:
    return str(np.datetime64(int(micros), "us").astype("datetime64[s]")) + "Z"
