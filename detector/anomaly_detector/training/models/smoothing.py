"""Scores that are means over the parts of a window, so that a deviation has to last. State-free: the window holds all of it.

    window of 5, smoothing 3       [1 2 3 4 5]
    parts of 5 - 3 + 1 readings    [1 2 3]
                                     [2 3 4]
                                       [3 4 5]     score = mean of the three scores

What is expected is that of the newest part. A mean over earlier scores would be state that is rebuilt by scoring again whatever
is replayed; a longer window costs computing, and is a function of the readings.
"""

from dataclasses import replace
from typing import Final

import torch

from anomaly_detector.training.models.kind import Data, Fitted, FittingError, Scorer
from anomaly_detector.training.models.scaling import Scaling

_SHORTEST: Final = 2


def newest_part(data: Data, smoothing: int) -> Data:
    """The newest part of each window: what the inner model learns. Raises FittingError when nothing would be left of it."""
    size = data.size - smoothing + 1
    if size < _SHORTEST:
        raise FittingError(
            f"errors.smoothing is {smoothing} and the window has {data.size} readings: parts would have {size}. "
            "Choose a window of at least smoothing + 1 readings, or less smoothing"
        )
    return replace(data, values=data.values[:, -size:])


def smoothed(fitted: Fitted, size: int, smoothing: int) -> Fitted:
    """The same model over all parts of windows of `size` readings."""
    return replace(fitted, scorer=SmoothedScorer(fitted.scorer, size, smoothing).eval())


class SmoothedScorer(Scorer):
    """Mean score and mean feature errors of a window's parts."""

    places: torch.Tensor
    mean: torch.Tensor

    def __init__(self, inner: Scorer, size: int, smoothing: int) -> None:
        scaling = Scaling(
            inner.center.numpy(), inner.scale.numpy(), inner.center.numpy() != inner.center.numpy(), spread=inner.spread.numpy()
        )
        super().__init__(size, scaling)
        self.inner, self.smoothing, self.part = inner, smoothing, size - smoothing + 1
        self.expects, self.timed = inner.expects, inner.timed
        starts, steps = torch.arange(smoothing)[:, None], torch.arange(self.part)[None, :]
        self.register_buffer("places", (starts + steps).flatten())
        self.register_buffer("mean", torch.full((smoothing, 1), 1 / smoothing))

    def forward(self, windows: torch.Tensor, times: torch.Tensor | None = None) -> tuple[torch.Tensor, ...]:
        parts = windows[:, self.places].reshape(-1, self.part, self.features)
        given = (parts,) if times is None else (parts, times.repeat_interleave(self.smoothing))
        score, errors, *expected = self.inner(*given)
        by_part = errors.reshape(-1, self.smoothing, self.features).transpose(1, 2)
        newest = [each.reshape(-1, self.smoothing, self.features)[:, -1] for each in expected]
        # means by MatMul: in ONNX Runtime ReduceMean's last bit would depend on the window's place in its batch
        return ((score.reshape(-1, self.smoothing) @ self.mean).squeeze(1), (by_part @ self.mean).squeeze(2), *newest)
