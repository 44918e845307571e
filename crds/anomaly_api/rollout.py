"""How a new revision earns its place: the steps of a rollout, the analysis, and the paired evidence that it rests on.

No resource has these fields yet: the operator's `core/rollout` is the pure part of rollouts, and what acts on it comes next.
"""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from anomaly_api.evidence import RevisionEvidence
from anomaly_api.schema import Contract, Duration, exactly_one, list_map


class Shadow(Contract):
    """A step in which the candidate scores every window beside stable and decides none."""

    for_: Annotated[Duration, Field(alias="for")] = "30m"
    """How long the step lasts at least. Longer sees more of the stream's daily pattern."""
    windows: Annotated[int, Field(ge=1, le=1_000_000_000)] = 1000
    """How many windows both revisions must have scored before the step ends."""


class Pause(Contract):
    """A step that waits: for a time, or without `for` until someone promotes."""

    for_: Annotated[Duration | None, Field(alias="for")] = None
    """How long the step waits. Unset: until someone says go."""


@exactly_one("shadow", "weight", "pause")
class Step(Contract):
    """One step of a rollout."""

    shadow: Shadow | None = None
    """The candidate scores beside stable and decides nothing."""
    weight: Annotated[int, Field(ge=1, le=100)] | None = None
    """From here on the candidate decides this percentage of the entities."""
    pause: Pause | None = None
    """The rollout waits with the weight that it has."""


class MeasureName(StrEnum):
    """What is compared between candidate and stable."""

    ALERT_RATIO = "AlertRatio"
    AGREEMENT = "Agreement"
    FALSE_ALERTS = "FalseAlerts"


class Measure(Contract):
    """A bound on one measure; the candidate is aborted once the measure is certainly outside."""

    name: MeasureName
    """AlertRatio: episodes of the candidate for each of stable's. Agreement: share of windows that both call alike. FalseAlerts:
    episodes of the candidate for each that the alert budget allows."""
    max: Annotated[float, Field(gt=0)] | None = None
    """The greatest value that is acceptable."""
    min: Annotated[float, Field(ge=0)] | None = None
    """The smallest value that is acceptable."""


class Analysis(Contract):
    """When a candidate is worse than stable."""

    measures: Annotated[list[Measure], Field(min_length=1, max_length=8, json_schema_extra=list_map("name"))] = [
        Measure(name=MeasureName.ALERT_RATIO, max=1.5),
        Measure(name=MeasureName.AGREEMENT, min=0.95),
    ]
    """Bounds that the candidate must keep, all the time."""
    error_rate: Annotated[float, Field(gt=0, lt=0.5)] = 0.01
    """Share of good candidates that may be aborted by chance, however often the operator looks."""


class NoDataPolicy(StrEnum):
    """What becomes of a candidate for which no windows come."""

    WAIT = "Wait"
    PROMOTE = "Promote"
    ABORT = "Abort"


class NoData(Contract):
    """A step for whose windows the stream brings nothing."""

    policy: NoDataPolicy = NoDataPolicy.WAIT
    """Wait keeps the candidate where it is; Promote and Abort end the rollout."""
    after: Duration = "1h"
    """How long the step waits beyond its own time before the policy is followed."""


def _steps() -> list[Step]:
    return [
        Step(shadow=Shadow()),
        Step(weight=10),
        Step(pause=Pause(for_="10m")),
        Step(weight=50),
        Step(pause=Pause(for_="10m")),
    ]


class Rollout(Contract):
    """How a revision that changes decisions replaces the one that decides."""

    steps: Annotated[list[Step], Field(max_length=32)] = Field(default_factory=_steps)
    """The steps, in order; after the last one the candidate becomes stable. An empty list promotes at once."""
    analysis: Analysis = Analysis()
    """When the candidate is aborted."""
    no_data: NoData = NoData()
    """What happens when the stream brings too few windows."""


class PairedCounts(Contract):
    """What candidate and stable said of the very same windows. All counts are cumulative and can be added."""

    both: int = 0
    """Windows above the threshold for both."""
    only_stable: int = 0
    """Windows above the threshold for stable alone."""
    only_candidate: int = 0
    """Windows above the threshold for the candidate alone."""
    neither: int = 0
    """Windows above the threshold for neither."""
    stable_episodes: int = 0
    """Episodes that stable opened, or would have opened."""
    candidate_episodes: int = 0
    """Episodes that the candidate opened, or would have opened."""
    entity_seconds: float = 0.0
    """Event time of all entities together in which both scored."""
    errors: int = 0
    """Batches that the candidate failed to score."""

    @property
    def windows(self) -> int:
        """Windows that both revisions scored."""
        return self.both + self.only_stable + self.only_candidate + self.neither

    @classmethod
    def of(cls, evidence: RevisionEvidence) -> "PairedCounts":
        """Returns what one pod says of its candidate, all windows together."""
        names = ("both", "only_stable", "only_candidate", "neither")
        windows = {name: sum(getattr(each, name) for each in evidence.paired) for name in names}
        return cls(**windows, candidate_episodes=evidence.episodes)

    def __add__(self, other: "PairedCounts") -> "PairedCounts":
        """Returns the counts of both together."""
        return PairedCounts(**{name: getattr(self, name) + getattr(other, name) for name in type(self).model_fields})
