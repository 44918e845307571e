"""A model card as HTML: what a person asks of a model, in the order in which they ask it."""

import gzip
import html
import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

import numpy as np

from anomaly_api.gate import RivalName
from anomaly_detector.chart import Chart
from anomaly_detector.training.card.drawing import bars, course, histogram, shares_table, table
from anomaly_detector.training.card.figures import CardFigures, Strange, WindowFigures
from anomaly_detector.training.gate.faults import OFFSETS, STRENGTHS, FaultKind
from anomaly_detector.training.gate.judge import CANDIDATE, WindowJudgement

MAX_BYTES: Final = 400 * 1024
"""Of a compressed card; one that is larger goes without its pictures of windows and distributions."""
_MOST_FEATURES: Final = 24
_COURSES: Final = 3
_NAMES: Final = {CANDIDATE: "this model", RivalName.STABLE: "the model in use", RivalName.PCA: "a PCA"}
_STYLE: Final = """
body{font:15px/1.5 system-ui,sans-serif;color:#1c2733;background:#fff;max-width:1000px;margin:2em auto;padding:0 1em}
h1{font-size:1.6em;margin:0}h2{margin:1.6em 0 .3em;border-top:1px solid #d8dee4;padding-top:.8em;font-size:1.25em}
h3{margin:1.1em 0 .2em;font-size:1em}table{border-collapse:collapse;margin:.6em 0;font-size:13px}
td,th{padding:.25em .9em .25em 0;text-align:left;vertical-align:top}th{color:#57606a;border-bottom:1px solid #d8dee4}
.shares td,.shares th{padding:.25em .6em;text-align:right}.shares td:first-child{text-align:left}
p,.key{color:#57606a;margin:.4em 0}.key span{display:inline-block;width:1.1em;height:.8em;margin:0 .35em 0 1em}
.row{display:flex;flex-wrap:wrap;gap:.6em}
.verdict{border-left:4px solid #3a9658;padding:.3em .8em;background:#f4f8f5;color:#1c2733}
.Rejected{border-color:#c0392b;background:#fbf3f2}.NotJudged{border-color:#b08900;background:#fbf8ee}svg{display:block}
"""


def card(figures: CardFigures) -> str:
    """The page."""
    return _page(figures, pictures=True)


def compressed(figures: CardFigures) -> bytes:
    """The page as a ConfigMap keeps it: gzip, the same bytes for the same figures."""
    whole = gzip.compress(card(figures).encode(), mtime=0)
    return whole if len(whole) <= MAX_BYTES else gzip.compress(_page(figures, pictures=False).encode(), mtime=0)


def _page(figures: CardFigures, *, pictures: bool) -> str:
    title = html.escape(figures.title)
    parts = [f"<h1>{title}</h1>", _first_lines(figures), _gate(figures)]
    for window in figures.windows:
        parts += _window(figures, window, pictures=pictures)
    if pictures:
        parts.append(_distributions(figures))
    parts.append(_provenance(figures))
    head = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style>'
    return f"{head}<body>{''.join(parts)}</body></html>\n"


def _first_lines(figures: CardFigures) -> str:
    trained = figures.manifest.trained
    assert trained is not None, "it was just trained"
    many = "" if len(figures.features) == 1 else "s"
    return (
        f"<p>{html.escape(trained.kind.value)} over {len(figures.features)} feature{many}, learned from "
        f"{trained.readings:,} readings of {trained.entities:,} entities, "
        f"{html.escape(trained.data_from)} to {html.escape(trained.data_to)}.</p>"
    )


def _gate(figures: CardFigures) -> str:
    judgement = figures.judgement
    if judgement is None:
        return "<h2>Gate</h2><p>The model was not judged.</p>"
    report = judgement.report
    said = f'<p class="verdict {report.verdict.value}"><b>{report.verdict.value}</b>: {html.escape(report.message)}.</p>'
    rivals = [
        (
            _NAMES[each.name] + (f" ({each.model})" if each.model else ""),
            f"{each.found} of {report.faults}",
            str(each.false_episodes),
            str(each.only_candidate),
            str(each.only_rival),
            f"{each.p_value:.3g}",
        )
        for each in report.rivals or []
    ]
    own = ("this model", f"{report.found} of {report.faults}", str(report.false_episodes), "", "", "")
    head = ("", "faults found", "false episodes", "only this model found", "only it found", "p")
    shown = table(head, [own, *rivals]) if report.faults else ""
    return f"<h2>Gate</h2>{said}{shown}{''.join(_faults(each) for each in judgement.windows)}"


def _faults(window: WindowJudgement) -> str:
    """Share found by kind and strength, for each model."""
    if not window.faults:
        return ""
    offsets = ", ".join(f"{each:g}" for each in OFFSETS)
    said = (
        f"<h3>Put-in faults found, window {html.escape(window.window.name)}</h3><p>Weak, medium and strong are {offsets} of a "
        "feature's usual spreads; a stuck value lasts a half, three quarters, all of the window; of a broken correlation a half, "
        "three quarters, all is another time's course.</p>"
    )
    columns = [f"{_NAMES[name]}, {strength}" for name in window.found for strength in STRENGTHS]
    rows = []
    for kind in FaultKind:
        shares = []
        for found in window.found.values():
            for strength in range(len(STRENGTHS)):
                places = [at for at, each in enumerate(window.faults) if (each.kind, each.strength) == (kind, strength)]
                shares.append(float(np.mean(found[places])) if places else None)
        rows.append((kind.value, shares))
    return said + shares_table(columns, rows)


def _window(figures: CardFigures, window: WindowFigures, *, pictures: bool) -> Iterable[str]:
    name, learned, expected = html.escape(window.window.name), window.learned, window.expected
    yield f"<h2>Window {name}, {window.window.size} readings</h2>"
    yield (
        f"<p>A score of 1.0 is {window.threshold.value:.4g} in the model's own unit ({window.threshold.source.value} "
        f"{html.escape(window.threshold.asked)}). False episodes to be expected of an entity in {expected.per}: "
        f"<b>{expected.count:.3g}</b>; the held-out part, {expected.exposure / 3600:,.1f} hours of entities with {expected.seen} "
        f"excursions above the threshold, bounds the rate to {expected.low:.3g} to {expected.high:.3g} (95 %).</p>"
    )
    if learned.left_out:
        yield f"<p>{learned.left_out:,} windows were too strange to be learned from.</p>"
    if len(learned.history) > 1:
        yield f"<h3>Loss</h3><p>Blue: windows learned from, with noise; purple: newer ones; {len(learned.history)} epochs.</p>"
        yield _losses(window)
    yield f"<h3>Scores of {len(window.scores):,} held-out windows</h3>"
    chart = Chart(window.times, [], f"{_moment(window.times[0])} to {_moment(window.times[-1])}", height=150)
    chart.line(np.log10(np.maximum(window.scores, 1e-3)), "#7a3fa8")
    chart.level(0.0, "threshold")
    yield chart.svg("logarithm; the highest and lowest of each step")
    yield "<h3>Errors by feature</h3>"
    order = np.argsort(-window.errors[:, 1], kind="stable")[:_MOST_FEATURES]
    yield bars([(figures.features[at], *window.errors[at].tolist()) for at in order], ("mean", "99 % quantile, held out"))
    if pictures:
        yield f"<h3>The strangest held-out windows</h3><p>The {_COURSES} features that add most; shaded: what is usual.</p>"
        yield from (_strange(figures, window, each) for each in window.strangest)


def _losses(window: WindowFigures) -> str:
    losses = np.array(window.learned.history, np.float64)
    chart = Chart(np.arange(1.0, len(losses) + 1), [], "mean squared error by epoch", height=150)
    chart.line(np.log10(np.maximum(losses[:, 0], 1e-12)), "#2f6fb3")
    chart.line(np.log10(np.maximum(losses[:, 1], 1e-12)), "#7a3fa8")
    return chart.svg("logarithm")


def _strange(figures: CardFigures, window: WindowFigures, found: Strange) -> str:
    loudest = np.argsort(-found.shares, kind="stable")[:_COURSES].tolist()
    pictures = "".join(
        course(
            f"{figures.features[at]} ({100 * found.shares[at]:.0f} %)",
            found.values[:, at],
            (float(window.usual[at, 0]), float(window.usual[at, 1])),
        )
        for at in loudest
    )
    return f'<p>{html.escape(found.entity)}, {_moment(found.time)}: score {found.score:.3g}</p><div class="row">{pictures}</div>'


def _distributions(figures: CardFigures) -> str:
    """The drift reference: what arrives is compared with this."""
    drift = figures.manifest.drift
    if drift is None or not drift.features:
        return ""
    shown = []
    for each in drift.features[:_MOST_FEATURES]:
        hours = np.array([hour for hour in each.hours if hour], np.float64)
        if len(hours):
            shown.append(histogram(each.name, hours.mean(axis=0).tolist(), each.edges))
    left = len(drift.features) - _MOST_FEATURES
    note = f"<p>{left} further features are not shown.</p>" if left > 0 else ""
    return (
        "<h2>Drift reference</h2><p>How the features were distributed, in the bins in which the pods count what arrives; the "
        f'numbers are the innermost edges of the first and last bin.</p><div class="row">{"".join(shown)}</div>{note}'
    )


def _provenance(figures: CardFigures) -> str:
    trained = figures.manifest.trained
    assert trained is not None, "it was just trained"
    rows = []
    for name, value in trained.document().items():
        if name == "heldOut":
            continue
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        rows.append((name, text if len(text) < 300 else f"{text[:300]} ..."))
    return f"<h2>Training</h2>{table(('', ''), rows)}"


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
