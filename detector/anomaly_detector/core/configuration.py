"""The configuration of a partition: its intake and its deciders. Each change of it is written down with its offset.

intake     entity, time, features, lateness, maxWaiting, missing, windows, bounds     makes windows of readings
deciders   stable, candidate, weight, rollout                                         make decisions of windows
"""

from collections.abc import Mapping
from typing import TypeVar

from anomaly_api.alert import ScorerKind
from anomaly_api.assignment import revision_name
from anomaly_api.schema import Contract
from anomaly_api.source import Window
from anomaly_detector.core.preprocess.intake import Intake

_State = TypeVar("_State")


class Decider(Contract):
    """One revision: its windows, and what its records say about who decided."""

    revision: str
    """Digest."""
    windows: list[Window]
    scorer: ScorerKind = ScorerKind.STATISTICAL
    model: str | None = None
    """Digest of the model that scores. None: the revision has none, or it cannot be used, and the statistical scorer decides."""
    thresholds: dict[str, float] = {}
    """By window, as the scorer computes scores."""

    @property
    def name(self) -> str:
        """Short name of the revision: state that belongs to the revision is kept under this name."""
        return revision_name(self.revision)


class Deciders(Contract):
    """The revisions that score each window, and which of them decides an entity."""

    stable: Decider
    candidate: Decider | None = None
    weight: int = 0
    """Percent of the entities that the candidate decides. 0: the candidate is in shadow and decides none."""
    rollout: str = ""
    """Name of the rollout; entities are drawn by a hash of it and the entity."""
    partitions: int = 1
    """Of the topic: each has an equal share of the alerts that are allowed in all."""

    @property
    def names(self) -> list[str]:
        """Short names of the revisions, stable first."""
        return [self.stable.name] if self.candidate is None else [self.stable.name, self.candidate.name]

    def carry(self, state: Mapping[str, _State], before: "Deciders") -> dict[str, _State]:
        """State by revision under the deciders `before`, as these deciders go on with it.

        What the stable revision knew goes to the stable revision, whichever it is now: an episode that is open stays open. A
        candidate goes on with its own.

            before   stable A, candidate B    {A: 1, B: 2}
            after    stable A, candidate B    {A: 1, B: 2}
                     stable B                 {B: 1}
                     stable A, candidate C    {A: 1}
        """
        found: dict[str, _State] = {}
        if before.stable.name in state:
            found[self.stable.name] = state[before.stable.name]
        candidate, known = self.candidate, before.candidate
        if candidate is not None and known is not None and candidate.name == known.name and candidate.name in state:
            found[candidate.name] = state[candidate.name]
        return found


def decides_otherwise(before: Deciders, after: Deciders) -> bool:
    """Whether another model decides: what people said of the scores of the one before says nothing of its own.

    A model that fails for a while, and is stood in for, is not another one.
    """
    return after.stable.model is not None and after.stable.model != before.stable.model


class Configuration(Contract):
    """All that alerts depend on besides the readings."""

    intake: Intake
    deciders: Deciders
