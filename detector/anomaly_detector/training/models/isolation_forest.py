"""Isolation forest (Liu, Ting, Zhou 2008) over newest value, level and spread of each feature in the window.

The score is the usual depth of a tree over the mean depth at which its trees set the window apart: about 1 for what is normal,
more for what is rare. A feature's error is its farthest robust distance from what is usual among those three.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from anomaly_api.kinds import IsolationForest
from anomaly_detector.training.models.kind import Data, Effort, Fitted, Scorer
from anomaly_detector.training.models.scaling import Scaling

_EULER: Final = 0.5772156649
_MOST_WINDOWS: Final = 50_000
_FARTHEST: Final = 1e6


@dataclass
class _Tree:
    """Nodes of one tree; a leaf leads to itself."""

    column: list[int]
    cut: list[float]
    left: list[int]
    depth: list[float]


class ForestScorer(Scorer):
    """Walks all trees side by side."""

    column: torch.Tensor
    cut: torch.Tensor
    left: torch.Tensor
    depth: torch.Tensor
    begin: torch.Tensor
    median: torch.Tensor
    spread: torch.Tensor
    expects = False

    def __init__(self, size: int, scaling: Scaling) -> None:
        super().__init__(size, scaling)
        self.steps, self.usual = 0, 1.0

    def summary(self, windows: torch.Tensor) -> torch.Tensor:
        """[n, 3 * features] Newest value, mean and standard deviation of each feature, scaled."""
        scaled = self.scaled(windows)
        average = self.pick / self.size
        mean = scaled @ average
        deviation = scaled - mean @ self.pick.T
        return torch.cat([scaled[:, -self.features :], mean, ((deviation * deviation) @ average).sqrt()], dim=1)

    def plant(self, trees: list[_Tree], usual: float, steps: int, summary: NDArray[np.float32]) -> None:
        """Takes the trees over, and what is usual among `summary` [n, 3 * features]."""
        most = max(len(tree.column) for tree in trees)
        table = {name: np.zeros((len(trees), most)) for name in ("column", "cut", "left", "depth")}
        for row, tree in enumerate(trees):
            for name, values in table.items():
                values[row, : len(tree.column)] = getattr(tree, name)
        begin = np.arange(len(trees)) * most
        self.register_buffer("column", torch.tensor(table["column"].ravel(), dtype=torch.int64))
        self.register_buffer("cut", torch.tensor(table["cut"].ravel(), dtype=torch.float32))
        self.register_buffer("left", torch.tensor((table["left"] + begin[:, None]).ravel(), dtype=torch.int64))
        self.register_buffer("depth", torch.tensor(table["depth"].ravel(), dtype=torch.float32))
        self.register_buffer("begin", torch.tensor(begin, dtype=torch.int64))
        low, median, high = np.quantile(summary, [0.05, 0.5, 0.95], axis=0)
        self.register_buffer("median", torch.tensor(median, dtype=torch.float32))
        self.register_buffer("spread", torch.tensor(np.maximum(high - low, 1e-3), dtype=torch.float32))
        self.usual, self.steps = usual, steps

    def forward(self, windows: torch.Tensor) -> tuple[torch.Tensor, ...]:
        found = self.summary(windows)
        node = self.begin.unsqueeze(0) + torch.zeros_like(found[:, :1]).long()
        for _ in range(self.steps):
            value = found.gather(1, self.column[node])
            node = self.left[node] + (value >= self.cut[node]).long()
        share = torch.full((node.shape[1], 1), 1.0 / self.begin.shape[0])
        depth = (self.depth[node] @ share).squeeze(1)
        distance = ((found - self.median).abs() / self.spread).clamp_max(_FARTHEST)
        newest, level, spread = (distance * distance).chunk(3, dim=1)
        return self.usual / depth, torch.maximum(torch.maximum(newest, level), spread)


class IsolationForestKind:
    """Fits an isolation forest."""

    def fit(self, settings: IsolationForest, data: Data, effort: Effort) -> Fitted:
        """Never fails: a feature that does not vary is not cut."""
        scorer = ForestScorer(data.size, data.scaling())
        places = data.train[:: max(1, len(data.train) // _MOST_WINDOWS)]
        with torch.no_grad():
            summary = np.concatenate([scorer.summary(chunk).numpy() for chunk in data.chunks(places)])
        random = np.random.default_rng(effort.seed)
        samples = min(settings.samples, len(summary))
        most = math.ceil(math.log2(max(samples, 2)))
        room = max(10, effort.parameters // (4 * 2 * samples))  # four numbers a node, twice as many nodes as windows
        trees = []
        for _ in range(min(settings.trees, room)):
            chosen = summary[random.choice(len(summary), samples, replace=False)]
            trees.append(_tree(chosen, random, most))
        scorer.plant(trees, _usual_depth(samples), most, summary)
        effort.progress(1.0)
        return Fitted(scorer.eval(), {"trees": len(trees), "samples": samples})


def _tree(values: NDArray[np.float32], random: np.random.Generator, most: int) -> _Tree:
    """Cuts at random until each window stands alone or `most` cuts deep."""
    tree = _Tree([], [], [], [])
    waiting = [(np.arange(len(values)), 0)]
    while waiting:
        rows, depth = waiting.pop(0)
        place = len(tree.column)
        low, high = values[rows].min(axis=0), values[rows].max(axis=0)
        varying = np.flatnonzero(high > low)
        if depth >= most or len(rows) <= 1 or not len(varying):
            tree.column.append(0)
            tree.cut.append(math.inf)  # nothing is as large: a leaf leads to itself
            tree.left.append(place)
            tree.depth.append(max(depth + _usual_depth(len(rows)), 0.5))
            continue
        column = int(random.choice(varying))
        cut = np.float32(random.uniform(low[column], high[column]))
        tree.column.append(column)
        tree.cut.append(float(max(cut, np.nextafter(low[column], np.float32(np.inf)))))
        tree.left.append(place + len(waiting) + 1)
        tree.depth.append(0.0)
        right = values[rows, column] >= tree.cut[-1]
        waiting += [(rows[~right], depth + 1), (rows[right], depth + 1)]
    return tree


def _usual_depth(count: int) -> float:
    """Mean depth at which a search in a random tree of so many ends in vain; 0 for one."""
    if count <= 1:
        return 0.0
    return 2 * (math.log(count - 1) + _EULER) - 2 * (count - 1) / count if count > 2 else 1.0
