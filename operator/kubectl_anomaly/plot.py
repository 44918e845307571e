"""Plots of a terminal's width: what was read, what was expected, and when the episode was. Pure.

vibration: 7.9 in place of 2.1, 81 % of the error
  7.9 ┤              ●●●●
      │            ●●    ●
  4.8 ┤
      │           ●       ●
  1.6 ┤◉◉◉◉◉◉◉◉◉◉◉········◉◉◉
      └────────────═══════────
       10:00:05        10:02:35     ● read  · expected  ═ episode
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from kubectl_anomaly.detector_view import number
from kubectl_anomaly.printing import coloured

Values = Sequence[float | None]
_HEIGHT: Final = 9
_READ, _EXPECTED, _BOTH = "●", "·", "◉"
LEGEND: Final = f"{_READ} read   {_EXPECTED} expected   {_BOTH} both   ═ episode"


@dataclass(frozen=True)
class Line:
    """Values at rising times; None: there is none."""

    values: Values
    mark: str


def plot(lines: Sequence[Line], inside: Sequence[bool], width: int, *, height: int = _HEIGHT, colour: bool = False) -> list[str]:
    """A picture of some lines over the same times; `inside`: whether each time is within the episode.

    The first line is drawn over the others; where it meets another one, `_BOTH` stands.
    """
    known = [value for line in lines for value in line.values if value is not None]
    if not known:
        return []
    low, high = min(known), max(known)
    labels = [number(high), number((low + high) / 2), number(low)]
    margin = max(map(len, labels))
    columns = max(min(width - margin - 3, len(inside)), 1)
    grid = [[" "] * columns for _ in range(height)]
    for line in reversed(lines):
        for column, value in enumerate(_drawn(line.values, columns)):
            if value is not None:
                row = round((high - value) / (high - low) * (height - 1)) if high > low else height // 2
                grid[row][column] = _BOTH if grid[row][column] not in (" ", line.mark) else line.mark
    places = {0: labels[0], height // 2: labels[1], height - 1: labels[2]}
    drawn = []
    for row, cells in enumerate(grid):
        label = places.get(row, "")
        text = "".join(
            coloured(cell, "bad" if _within(inside, column, columns) else "accent", on=colour and cell == _READ)
            for column, cell in enumerate(cells)
        )
        drawn.append(f"{label:>{margin}} {'┤' if label else '│'}{text}".rstrip())
    axis = "".join("═" if _within(inside, column, columns) else "─" for column in range(columns))
    return [*drawn, f"{'':{margin}} └{axis}"]


def times(first: str, last: str, width: int, margin: int) -> str:
    """What stands below the axis."""
    room = max(width - margin - 3 - len(first) - len(last), 1)
    return f"{'':{margin + 2}}{first}{'':{room}}{last}"


def _bounds(count: int, columns: int) -> Iterator[tuple[int, int]]:
    for column in range(columns):
        begin = column * count // columns
        yield begin, max((column + 1) * count // columns, begin + 1)


def _drawn(values: Values, columns: int) -> list[float | None]:
    """A value for each column: of several the one farthest from the middle of all, so that peaks are seen."""
    known = [value for value in values if value is not None]
    middle = sorted(known)[len(known) // 2] if known else 0.0
    found: list[float | None] = []
    for begin, end in _bounds(len(values), columns):
        here = [value for value in values[begin:end] if value is not None]
        found.append(max(here, key=lambda value: abs(value - middle)) if here else None)
    return found


def _within(inside: Sequence[bool], column: int, columns: int) -> bool:
    begin = column * len(inside) // columns
    return any(inside[begin : max((column + 1) * len(inside) // columns, begin + 1)])
