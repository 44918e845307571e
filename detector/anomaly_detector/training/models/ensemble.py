"""Several models of one window whose scores are added up, each in units of its own mean over the windows learned from."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from anomaly_api.kinds import Ensemble
from anomaly_detector.training.models.kind import Data, Effort, Fitted, Scorer
from anomaly_detector.training.models.scaling import Scaling


class EnsembleScorer(Scorer):
    """Weighted mean of the members' scores, feature errors and expected readings."""

    def __init__(self, size: int, scaling: Scaling, members: Sequence[Scorer], shares: Sequence[float]) -> None:
        """`shares`: what each member's score is multiplied by."""
        super().__init__(size, scaling)
        self.members = nn.ModuleList(members)
        self.shares = list(shares)
        self.expecting = [place for place, member in enumerate(members) if member.expects]
        self.expects, self.timed = bool(self.expecting), any(member.timed for member in members)

    def forward(self, windows: torch.Tensor, times: torch.Tensor | None = None) -> tuple[torch.Tensor, ...]:
        found = [member(windows, times) if member.timed else member(windows) for member in self.members]
        score, errors = (sum(share * each[place] for share, each in zip(self.shares, found, strict=True)) for place in (0, 1))
        if not self.expects:
            return score, errors
        expected = sum(found[place][2] for place in self.expecting) / len(self.expecting)
        return score, errors, expected


class EnsembleKind:
    """Fits every member to the same windows."""

    def fit(self, settings: Ensemble, data: Data, effort: Effort) -> Fitted:
        """Raises FittingError when a member cannot be fitted."""
        from anomaly_detector.training.models.kinds import fit_model  # the members' kinds, of which this is one

        fitted = []
        total = sum(member.weight for member in settings.members)
        shares = []
        for place, member in enumerate(settings.members):

            def tell(share: float, place: int = place) -> None:
                effort.progress((place + share) / len(settings.members))

            part = Effort(effort.epochs, effort.seed + place, effort.graphs * len(settings.members), tell, effort.device)
            fitted.append(fit_model(member, data, part))
            usual = float(np.mean(data.outputs(fitted[-1].scorer, data.train, 0), dtype=np.float64))
            shares.append(member.weight / total / max(usual, 1e-12))
        scorer = EnsembleScorer(data.size, data.scaling(), [each.scorer for each in fitted], shares)
        said = {"members": [{member.kind: each.settings} for member, each in zip(settings.members, fitted, strict=True)]}
        longest = max(fitted, key=lambda each: each.epochs)
        return Fitted(scorer.eval(), said, longest.epochs, longest.history)
