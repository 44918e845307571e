"""The configuration of a partition: its intake and its deciders. Each change of it is written down with its offset.

intake     entity, time, features, lateness, maxWaiting, missing, windows, bounds     makes windows of readings
deciders   stable, candidate, weight, rollout                                         make decisions of windows
"""

from anomaly_api.alert import ScorerKind
from anomaly_api.assignment import revision_name
from anomaly_api.schema import Contract
from anomaly_api.source import Window
from anomaly_detector.core.entities.draws import place_of
from anomaly_detector.core.preprocess.intake import Intake


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

    @property
    def deciding(self) -> list[Decider]:
        """Those that decide any entity."""
        return [self.stable, self.candidate] if self.candidate is not None and self.weight else [self.stable]

    def drawn(self, entity: str) -> bool:
        """Whether the candidate decides an entity."""
        return self.candidate is not None and self.weight > 0 and place_of(self.rollout, entity) < self.weight

    def of(self, entity: str) -> Decider:
        """Who decides an entity."""
        return self.candidate if self.candidate is not None and self.drawn(entity) else self.stable


def decides_otherwise(before: Decider, after: Decider) -> bool:
    """Whether another model decides: what people said of the scores of the one before says nothing of its own.

    A model that fails for a while, and is stood in for, is not another one.
    """
    return after.model is not None and after.model != before.model


class Configuration(Contract):
    """All that alerts depend on besides the readings."""

    intake: Intake
    beside: Intake | None = None
    """A candidate's own, where it cannot share windows. If it is promoted and its readings are others, it becomes the intake."""
    deciders: Deciders
