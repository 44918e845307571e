"""The score of the Numenta Anomaly Benchmark (Lavin and Ahmad 2015), from its description: detections in, 0 to 100 out.

The first 15 % of a file's rows, at most 750, are not scored. In a labelled window only the best detection counts, the more the
earlier it is; a window without any costs, and so does a detection outside, the more the further it is behind the last window.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

PROBATION_SHARE: Final = 0.15
_LONGEST_PROBATION: Final = 750
FALSE_ALARM: Final = 0.11
"""Of the standard profile; a hit and a miss weigh 1."""


@dataclass(frozen=True)
class Judged:
    """A file, judged."""

    points: float
    windows: int


def probation(rows: int) -> int:
    """Rows that are not scored."""
    return int(min(PROBATION_SHARE * rows, _LONGEST_PROBATION))


def judge(detected: NDArray[np.bool_], windows: list[tuple[int, int]]) -> Judged:
    """`detected` [n]; `windows`: first and last row of each, rising."""
    values, window = _values(len(detected), windows)
    first = probation(len(detected))
    hits = np.flatnonzero(detected[first:]) + first
    outside = float(values[hits[window[hits] < 0]].sum())
    inside = 0.0
    for place in range(len(windows)):
        mine = hits[window[hits] == place]
        inside += float(values[mine].max()) if len(mine) else -1.0
    return Judged(outside + inside, len(windows))


def total(parts: list[Judged]) -> float:
    """0 is a detector that says nothing, 100 one that is right at once and never wrong."""
    windows = sum(part.windows for part in parts)
    return 100 * (sum(part.points for part in parts) + windows) / (2 * windows)


def _values(rows: int, windows: list[tuple[int, int]]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """[rows] What a detection is worth, and the window it lies in, -1 for none."""
    values, window = np.full(rows, -FALSE_ALARM), np.full(rows, -1)
    best = float(_sigmoid(np.array(-1.0)))
    behind: tuple[int, int] | None = None
    place = 0
    for number, (first, last) in enumerate([*windows, (rows, rows)]):
        before = np.arange(place, first)
        if behind is not None and len(before):
            end, width = behind
            values[before] = FALSE_ALARM * _sigmoid((before - end) / (width - 1.0))
        if first == rows:
            break
        inside, width = np.arange(first, last + 1), last - first + 1
        window[inside] = number
        values[inside] = _sigmoid(-(last - inside + 1) / width) / best
        behind, place = (last, width), last + 1
    return values, window


def _sigmoid(position: NDArray[np.float64]) -> NDArray[np.float64]:
    """From 1 far before the end of a window, over 0 at its end, to -1 far behind it."""
    found: NDArray[np.float64] = np.where(position > 3, -1.0, 2 / (1 + np.exp(5 * np.minimum(position, 3))) - 1)
    return found
