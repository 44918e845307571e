"""Line charts over time as SVG: lines, a band, shaded spans, a level. Numbers in, text out."""

import html
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

_WIDTH: Final = 1000
_LEFT: Final = 62
_POINTS: Final = 1000
"""Steps that a line is drawn in: of more readings, the lowest and the highest of each step are drawn."""

Values = NDArray[np.float64]
Span = tuple[float, float]


def spans(times: Values, marks: NDArray[np.bool_]) -> list[Span]:
    """First and last time of each run of marked readings."""
    steps = np.flatnonzero(np.diff(np.concatenate(([0], marks.astype(np.int8), [0]))))
    return [(float(times[begin]), float(times[end - 1])) for begin, end in zip(steps[::2], steps[1::2], strict=True)]


class Chart:
    """One picture."""

    def __init__(self, times: Values, behind: Sequence[tuple[str, list[Span]]], title: str, height: int = 130) -> None:
        """`times` [n], rising; `behind`: colours and the spans that are shaded in them, from top to bottom beside each other."""
        self._times, self._behind, self._title, self._height = times, behind, title, height
        self._start = float(times[0]) if len(times) else 0.0
        self._length = max(float(times[-1]) - self._start, 1.0) if len(times) else 1.0
        self._lines: list[tuple[Values, str]] = []
        self._band: tuple[Values, Values, str] | None = None
        self._level: tuple[float, str] | None = None

    def line(self, values: Values, colour: str) -> None:
        """`values` [n]; not a number: a gap."""
        self._lines.append((values, colour))

    def band(self, low: Values, high: Values, colour: str) -> None:
        """Shades between `low` and `high` [n]."""
        self._band = (low, high, colour)

    def level(self, value: float, name: str) -> None:
        """A level across the picture."""
        self._level = (value, name)

    def svg(self, unit: str = "") -> str:
        """The picture."""
        low, high = self._range()
        parts = [self._shade(place, colour, found) for place, (colour, found) in enumerate(self._behind)]
        if self._band is not None:
            under, over, colour = self._band
            places = np.unique(np.linspace(0, len(self._times) - 1, _POINTS).astype(int))
            there = [*self._points(places, over, low, high), *reversed(self._points(places, under, low, high))]
            parts.append(f'<polygon points="{" ".join(there)}" fill="{colour}" fill-opacity=".7"/>')
        parts += [self._path(values, colour, low, high) for values, colour in self._lines]
        if self._level is not None:
            at, name = self._y(np.array([self._level[0]]), low, high)[0], html.escape(self._level[1])
            parts.append(
                f'<line x1="{_LEFT}" x2="{_WIDTH}" y1="{at:.1f}" y2="{at:.1f}" stroke="#c0392b" stroke-dasharray="5 4"/>'
            )
            parts.append(
                f'<text x="{_WIDTH - 4}" y="{at + 12 if at < 16 else at - 4:.1f}" text-anchor="end" fill="#c0392b">{name}</text>'
            )
        title = html.escape(f"{self._title} ({unit})" if unit else self._title)
        parts += [
            f'<text x="{_LEFT + 6}" y="14" font-weight="600">{title}</text>',
            f'<text x="{_LEFT - 6}" y="14" text-anchor="end">{high:.4g}</text>',
            f'<text x="{_LEFT - 6}" y="{self._height - 6}" text-anchor="end">{low:.4g}</text>',
            f'<rect x="{_LEFT}" y=".5" width="{_WIDTH - _LEFT - 0.5}" height="{self._height - 1}" fill="none" stroke="#d8dee4"/>',
        ]
        style = 'font-size="11" font-family="system-ui,sans-serif" fill="#57606a"'
        return f'<svg viewBox="0 0 {_WIDTH} {self._height}" width="100%" {style}>{"".join(parts)}</svg>'

    def _range(self) -> tuple[float, float]:
        """Of the readings; a band may reach beyond."""
        values = np.concatenate([values for values, _ in self._lines])
        if self._level is not None:
            values = np.append(values, self._level[0])
        values = values[np.isfinite(values)]
        low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)
        room = 0.06 * (high - low) or 0.5
        return low - room, high + room

    def _x(self, times: Values) -> Values:
        found: Values = _LEFT + (times - self._start) / self._length * (_WIDTH - _LEFT)
        return found

    def _y(self, values: Values, low: float, high: float) -> Values:
        found: Values = np.clip((high - values) / (high - low), 0, 1) * (self._height - 2) + 1
        return found

    def _shade(self, place: int, colour: str, found: Sequence[Span]) -> str:
        """Labels and episodes share the height, so that both are seen where they overlap."""
        share = self._height / len(self._behind)
        return "".join(
            f'<rect x="{first:.1f}" y="{place * share:.1f}" width="{max(last - first, 1.5):.1f}" height="{share:.1f}" '
            f'fill="{colour}" fill-opacity=".55"/>'
            for first, last in (self._x(np.array(span)) for span in found)
        )

    def _path(self, values: Values, colour: str, low: float, high: float) -> str:
        known = np.flatnonzero(np.isfinite(values))
        if len(known) > 2 * _POINTS:
            cuts = np.array_split(known, _POINTS)
            known = np.unique([cut[pick(values[cut])] for cut in cuts for pick in (np.argmin, np.argmax)])
        points = " ".join(self._points(known, values, low, high))
        return f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.1"/>'

    def _points(self, places: NDArray[np.int64], values: Values, low: float, high: float) -> list[str]:
        across, down = self._x(self._times[places]), self._y(values[places], low, high)
        return [f"{x:.1f},{y:.1f}" for x, y in zip(across.tolist(), down.tolist(), strict=True)]
