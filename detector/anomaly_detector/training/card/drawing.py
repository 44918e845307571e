"""Small pictures as SVG: bars, histograms, a window's course, a table of shares. Numbers in, text out."""

import html
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

_STYLE: Final = 'font-size="11" font-family="system-ui,sans-serif" fill="#57606a"'
_BLUE, _PALE, _RED = "#2f6fb3", "#bcd7f2", "#c0392b"
Values = NDArray[np.float64]


def bars(rows: Sequence[tuple[str, float, float]], key: tuple[str, str]) -> str:
    """A bar a row: name, a dark part and the whole; `key` says what the two are."""
    height, left, right = 20, 180, 960
    largest = max((whole for _, _, whole in rows), default=0.0) or 1.0
    parts = []
    for place, (name, part, whole) in enumerate(rows):
        at = place * height + 4
        for value, colour in ((whole, _PALE), (part, _BLUE)):
            width = max(0.0, value) / largest * (right - left - 130)
            parts.append(f'<rect x="{left}" y="{at}" width="{width:.1f}" height="{height - 6}" fill="{colour}"/>')
        end = left + max(0.0, whole) / largest * (right - left - 130) + 5
        parts.append(f'<text x="{left - 6}" y="{at + 11}" text-anchor="end">{html.escape(name[:28])}</text>')
        parts.append(f'<text x="{end:.1f}" y="{at + 11}">{part:.3g} / {whole:.3g}</text>')
    shown = f'<p class="key"><span style="background:{_BLUE}"></span>{key[0]}<span style="background:{_PALE}"></span>{key[1]}</p>'
    return f'{shown}<svg viewBox="0 0 {right} {len(rows) * height + 8}" width="100%" {_STYLE}>{"".join(parts)}</svg>'


def histogram(name: str, shares: Sequence[float], edges: Sequence[float]) -> str:
    """One distribution: `shares` of bins with these inner `edges`; the outermost bins are drawn as wide as their neighbours."""
    width, height = 200, 90
    inner = np.diff(edges).tolist()
    wide = inner[0] if inner else 1.0, inner[-1] if inner else 1.0
    borders = np.array([edges[0] - wide[0], *edges, edges[-1] + wide[1]], np.float64)
    steps = np.maximum(np.diff(borders), 1e-9 * max(float(borders[-1] - borders[0]), 1e-300))
    density = np.asarray(shares, np.float64) / steps
    across, up = width / float(steps.sum()), 54 / max(float(density.max(initial=0.0)), 1e-300)
    rects = "".join(
        f'<rect x="{start:.1f}" y="{height - 16 - tall:.1f}" width="{max(step - 0.6, 0.6):.1f}" '
        f'height="{tall:.1f}" fill="{_BLUE}"/>'
        for start, step, tall in zip((borders[:-1] - borders[0]) * across, steps * across, density * up, strict=True)
    )
    texts = (
        f'<text x="2" y="12" font-weight="600">{html.escape(name[:26])}</text>'
        f'<text x="2" y="{height - 3}">{edges[0]:.4g}</text>'
        f'<text x="{width - 2}" y="{height - 3}" text-anchor="end">{edges[-1]:.4g}</text>'
    )
    return f'<svg viewBox="0 0 {width} {height}" width="{width}" {_STYLE}>{rects}{texts}</svg>'


def course(name: str, values: Values, usual: tuple[float, float]) -> str:
    """The readings [n] of a feature in a window, before the band in which it usually is."""
    width, height = 300, 96
    known = values[np.isfinite(values)]
    low: float = min([*known.tolist(), usual[0]])
    high: float = max([*known.tolist(), usual[1]])
    room = 0.08 * (high - low) or 0.5
    low, high = low - room, high + room

    def down(value: float) -> float:
        return 18.0 + (high - value) / (high - low) * (height - 34)

    across = np.linspace(4, width - 4, len(values))
    points = " ".join(f"{x:.1f},{down(y):.1f}" for x, y in zip(across, values.tolist(), strict=True) if np.isfinite(y))
    dots = "".join(f'<circle cx="{x}" cy="{y}" r="1.8" fill="{_BLUE}"/>' for x, y in (each.split(",") for each in points.split()))
    band = down(usual[1]), down(usual[0])
    return (
        f'<svg viewBox="0 0 {width} {height}" width="{width}" {_STYLE}>'
        f'<rect x="0" y="{band[0]:.1f}" width="{width}" height="{band[1] - band[0]:.1f}" fill="{_PALE}" fill-opacity=".6"/>'
        f'<polyline points="{points}" fill="none" stroke="{_BLUE}" stroke-width="1.3"/>{dots}'
        f'<text x="2" y="12" font-weight="600">{html.escape(name[:40])}</text>'
        f'<text x="2" y="{height - 3}">{low + room:.4g} to {high - room:.4g}</text></svg>'
    )


def shares_table(columns: Sequence[str], rows: Sequence[tuple[str, Sequence[float | None]]]) -> str:
    """Shares between 0 and 1 as cells that are the greener the larger they are."""
    head = "".join(f"<th>{html.escape(column)}</th>" for column in columns)
    lines = []
    for name, shares in rows:
        cells = "".join(_cell(share) for share in shares)
        lines.append(f"<tr><td>{html.escape(name)}</td>{cells}</tr>")
    return f'<table class="shares"><tr><th></th>{head}</tr>{"".join(lines)}</table>'


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A plain table of texts."""
    top = "".join(f"<th>{html.escape(each)}</th>" for each in head)
    lines = "".join("<tr>" + "".join(f"<td>{html.escape(each)}</td>" for each in row) + "</tr>" for row in rows)
    return f"<table><tr>{top}</tr>{lines}</table>"


def _cell(share: float | None) -> str:
    if share is None:
        return "<td>&ndash;</td>"
    return f'<td style="background:rgba(58,150,88,{0.75 * share:.2f})">{100 * share:.0f} %</td>'
