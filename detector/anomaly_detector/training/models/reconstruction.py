"""What all kinds that reproduce a window share: errors by feature, in units of what is usual for each, and one score of them.

    e_f = mean over the window's readings of (scaled value - reproduced value)^2
    u_f = the larger of a floor and the 99 % quantile of e_f in the training windows
    r_f = e_f / u_f, beyond the saturation s: s * (1 + log(e_f / u_f / s))
    score = mean over the features of g(r_f), g the square root, log(1 + x), or nothing

With the floor, a feature that the others predict almost perfectly does not cry at a deviation that is small beside its own
range; with the root, one wild feature does not drown what several others say together; and with saturation, a feature that has
drifted away for good does not hold an alarm by itself. It has no ceiling: a score above every threshold stays possible.
"""

from typing import Final

import numpy as np
import torch
from torch import nn

from anomaly_api.kinds import Combination, FeatureErrors
from anomaly_detector.training.models.by_time import ByTime
from anomaly_detector.training.models.kind import INPUT_LIMIT, Data, Scorer
from anomaly_detector.training.models.scaling import Scaling

_USUAL: Final = 0.99


class WindowScorer(Scorer):
    """Scores windows by what `network` makes of them: a module from flat scaled windows to flat scaled windows."""

    usual: torch.Tensor

    def __init__(self, size: int, scaling: Scaling, network: nn.Module, errors: FeatureErrors) -> None:
        super().__init__(size, scaling)
        self.network, self.errors = network, errors
        self.by_time: ByTime | None = None
        self.register_buffer("usual", torch.ones(self.features))

    def reconstruct(self, scaled: torch.Tensor) -> torch.Tensor:
        """What the network makes of flat scaled windows [n, size * features]."""
        rebuilt: torch.Tensor = self.network(scaled.clamp(-INPUT_LIMIT, INPUT_LIMIT))
        return rebuilt

    def forward(
        self, windows: torch.Tensor, times: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        scaled = self.scaled(windows)
        rebuilt = self.reconstruct(scaled)
        error = self.counted(scaled, rebuilt)
        # means by MatMul: in ONNX Runtime ReduceMean's last bit would depend on the window's place in its batch
        feature_errors = (error * error) @ (self.pick / (self.usual * self.size))
        expected = self.own(rebuilt[:, -self.features :])
        if self.by_time is not None and times is not None:
            of_time, level = self.by_time(self, scaled, times)
            expected = torch.where(of_time > feature_errors, self.own(level), expected)
            feature_errors = torch.maximum(feature_errors, of_time)
        counted = saturated(feature_errors, self.errors.saturation)
        return (combined(counted, self.errors.combine) @ self.share).squeeze(1), feature_errors, expected

    def settle(self, data: Data) -> "WindowScorer":
        """Sets what is usual for each feature, from the windows learned from; the module is then done."""
        self.eval()
        with torch.no_grad():
            self.usual.fill_(1.0)
            errors = data.outputs(self, data.train, 1)
            ordinary = torch.from_numpy(np.quantile(errors, _USUAL, axis=0).astype(np.float32))  # torch's refuses large tensors
            self.usual.copy_(ordinary.clamp_min(self.errors.floor))
        if data.clock is not None:
            self.by_time, self.timed = ByTime(self, data, data.clock, self.errors.floor), True
        return self


def saturated(errors: torch.Tensor, most: float) -> torch.Tensor:
    """Errors in usual ones, of which only the logarithm of what is beyond `most` counts; smooth there.

    >>> saturated(torch.tensor([0.5, 2.0, 4.0]), 2.0).tolist()
    [0.5, 2.0, 3.386294364929199]
    """
    return errors.clamp_max(most) + most * (errors.clamp_min(most) / most).log()


def combined(errors: torch.Tensor, how: Combination) -> torch.Tensor:
    """Errors of features as they are added up."""
    if how is Combination.SQUARE_ROOT:
        return errors.sqrt()
    if how is Combination.LOGARITHM:
        return (errors + 1).log()
    return errors
