"""How a new revision earns its place: the steps of a rollout, the analysis, and the paired evidence that it rests on."""

from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field

from anomaly_api.evidence import RevisionEvidence
from anomaly_api.schema import Contract, Duration, exactly_one, list_map, matching

_ADDRESS: Final = "write the address of a server, such as http://prometheus.monitoring:9090, without credentials"


class Shadow(Contract):
    """A step in which the candidate scores every window beside stable and decides none."""

    for_: Annotated[Duration, Field(alias="for")] = "30m"
    """Length of time that the step lasts at least, default 30m. Longer sees more of the stream's daily pattern."""
    windows: Annotated[int, Field(ge=1, le=1_000_000_000)] = 1000
    """Number of windows that both revisions must have scored before the step ends, default 1000."""


class Pause(Contract):
    """A step that waits: for a time, or without `for` until someone says go."""

    for_: Annotated[Duration | None, Field(alias="for")] = None
    """Length of time that the step waits. Unset: until someone says go, by a command or by `rollout.promote`."""


@exactly_one("shadow", "weight", "pause")
class Step(Contract):
    """One step of a rollout. The analysis goes on in all of them."""

    shadow: Shadow | None = None
    """The time and the number of windows for which the candidate scores beside stable, and decides nothing."""
    weight: Annotated[int, Field(ge=1, le=100)] | None = None
    """Percentage of the entities that the candidate decides from here on. The step ends when all pods have taken it over."""
    pause: Pause | None = None
    """The time for which the rollout waits with the weight that it has."""


class MeasureName(StrEnum):
    """What is compared between candidate and stable."""

    ALERT_RATIO = "AlertRatio"
    AGREEMENT = "Agreement"
    ONLY_CANDIDATE = "OnlyCandidate"
    ONLY_STABLE = "OnlyStable"
    FALSE_ALERTS = "FalseAlerts"
    SCORE_SHIFT = "ScoreShift"
    PRECISION = "Precision"
    SLOWDOWN = "Slowdown"
    ADDED_MEMORY = "AddedMemory"
    ERRORS = "Errors"


class Measure(Contract):
    """A bound on one measure; the candidate is aborted once the measure is certainly outside."""

    name: MeasureName
    """Name of what is measured. AlertRatio: episodes of the candidate for each of stable's. Agreement: share of windows that both
    call alike; OnlyCandidate and OnlyStable: share that only one of them calls unusual. FalseAlerts: episodes of the candidate
    for each that the alert budget allows; only with threshold.budget. ScoreShift: greatest difference between the distributions
    of both scores, 0 to 1. Precision: share of the candidate's labelled alerts that were right; only with feedback. Slowdown:
    time that the candidate takes for a window, as a multiple of stable's. AddedMemory: bytes that it adds to a pod. Errors:
    batches that it failed to score."""
    max: Annotated[float, Field(ge=0)] | None = None
    """Greatest value that is acceptable. Unset: any."""
    min: Annotated[float, Field(ge=0)] | None = None
    """Smallest value that is acceptable. Unset: any."""


class PrometheusMeasure(Contract):
    """A bound on the answer of a Prometheus query, which is asked while a candidate is compared."""

    name: Annotated[str, Field(min_length=1, max_length=63)]
    """Name of the measure, for people."""
    address: Annotated[str, Field(max_length=1024), matching(_ADDRESS, r"^https?://[A-Za-z0-9.\[\]:-]+(/[A-Za-z0-9._/-]*)?$")]
    """Address of the Prometheus server, or of anything that speaks its HTTP API, as the operator reaches it."""
    query: Annotated[str, Field(min_length=1, max_length=4096)]
    """Query in PromQL that gives one number. `$(candidate)`, `$(stable)`, `$(detector)` and `$(namespace)` are
    replaced by names."""
    max: float | None = None
    """Greatest answer that is acceptable. Unset: any."""
    min: float | None = None
    """Smallest answer that is acceptable. Unset: any."""
    interval: Duration = "1m"
    """Length of time from one question to the next, default 1m."""
    failure_limit: Annotated[int, Field(ge=0, le=1000)] = 0
    """Number of answers out of bounds that are tolerated, default 0; one more, and the candidate is taken away."""
    inconclusive_limit: Annotated[int, Field(ge=0, le=1000)] = 3
    """Number of answers without a number, in a row, that are tolerated, default 3; after one more, no step ends until there is
    a number."""
    consecutive_error_limit: Annotated[int, Field(ge=0, le=1000)] = 4
    """Number of questions in a row that may go unanswered, default 4; after one more the candidate is taken away."""


def _measures() -> list[Measure]:
    return [Measure(name=MeasureName.ALERT_RATIO, max=1.5), Measure(name=MeasureName.AGREEMENT, min=0.95)]


class Analysis(Contract):
    """When a candidate is worse than stable."""

    measures: Annotated[list[Measure], Field(min_length=1, max_length=10, json_schema_extra=list_map("name"))] = Field(
        default_factory=_measures
    )
    """Bounds that the candidate must keep, all the time. Unset: an AlertRatio of at most 1.5 and an Agreement
    of at least 0.95."""
    prometheus: Annotated[list[PrometheusMeasure], Field(max_length=8, json_schema_extra=list_map("name"))] | None = None
    """Queries of your own that are asked besides. Unset: none."""
    minimum_windows: Annotated[int, Field(ge=1, le=1_000_000_000)] = 100
    """Number of windows that both must have scored before a verdict is drawn, default 100."""
    error_rate: Annotated[float, Field(gt=0, lt=0.5)] = 0.01
    """Share of good candidates that may be aborted by chance, however often the operator looks, default 0.01."""


class NoDataPolicy(StrEnum):
    """What becomes of a candidate for which no windows come."""

    WAIT = "Wait"
    PROMOTE = "Promote"
    ABORT = "Abort"


class NoData(Contract):
    """A step for whose windows the stream brings nothing."""

    policy: NoDataPolicy = NoDataPolicy.WAIT
    """Outcome of a shadow step that sees too few windows. Wait, the default, keeps the candidate where it is; Promote and Abort
    end the rollout."""
    after: Duration = "1h"
    """Length of time that the step waits beyond its own before the policy is followed, default 1h."""


def _steps() -> list[Step]:
    return [
        Step(shadow=Shadow()),
        Step(weight=10),
        Step(pause=Pause(for_="10m")),
        Step(weight=50),
        Step(pause=Pause(for_="10m")),
    ]


def _settings_steps() -> list[Step]:
    return [Step(shadow=Shadow(for_="5m", windows=100))]


Steps = Annotated[list[Step], Field(max_length=32)]
RevisionName = Annotated[
    str, Field(max_length=8), matching("write the 8 characters that name a revision, such as 3f2a91c0", "^[0-9a-f]{8}$")
]


class Rollout(Contract):
    """How a revision (model, pipeline, thresholds, alert policy) replaces the one that decides. The first model replaces the
    fallback scorer at once: there is nothing else to beat.
    """

    steps: Steps = Field(default_factory=_steps)
    """Steps of a new model, in order; after the last one the candidate becomes stable. Unset: 30 minutes and 1,000 windows of
    shadow, 10 minutes with 10 % of the entities, 10 minutes with half of them. An empty list promotes at once."""
    settings_steps: Steps = Field(default_factory=_settings_steps)
    """Steps where model and pipeline stay and only thresholds, fallback or alert policy change. Unset: five minutes and 100
    windows of shadow. An empty list promotes at once."""
    analysis: Analysis = Field(default_factory=Analysis)
    """Bounds that a candidate must keep, or be aborted."""
    no_data: NoData = Field(default_factory=NoData)
    """Outcome of a rollout for which the stream brings too few windows."""
    promote: RevisionName | None = None
    """Name of the revision (`status.candidate.revision`) that need not wait in pauses without an end: the way to say go by a
    commit. Any other revision waits, so that an edit is not promoted with it. Unset: none."""
    history: Annotated[int, Field(ge=2, le=50)] = 10
    """Number of revisions that are kept, default 10: any of them that has been stable can be gone back to."""


class PairedCounts(Contract):
    """What candidate and stable said of the very same windows. All counts are cumulative and can be added."""

    both: int = 0
    """Number of windows above the threshold for both."""
    only_stable: int = 0
    """Number of windows above the threshold for stable alone."""
    only_candidate: int = 0
    """Number of windows above the threshold for the candidate alone."""
    neither: int = 0
    """Number of windows above the threshold for neither."""
    stable_episodes: int = 0
    """Number of episodes that stable opened, or would have opened."""
    candidate_episodes: int = 0
    """Number of episodes that the candidate opened, or would have opened."""
    entity_seconds: float = 0.0
    """Event time, in seconds, of all entities together in which both scored."""
    errors: int = 0
    """Number of batches that the candidate failed to score."""

    @property
    def windows(self) -> int:
        """Windows that both revisions scored."""
        return self.both + self.only_stable + self.only_candidate + self.neither

    @classmethod
    def of(cls, evidence: RevisionEvidence) -> "PairedCounts":
        """Returns what one pod says of its candidate, all windows together."""
        counts = {name: sum(getattr(each, name) for each in evidence.paired) for name in cls.model_fields if name != "errors"}
        return cls(**counts, errors=evidence.errors)

    def __add__(self, other: "PairedCounts") -> "PairedCounts":
        """Returns the counts of both together."""
        return PairedCounts(**{name: getattr(self, name) + getattr(other, name) for name in type(self).model_fields})
