"""Status of rollouts: the candidate and where it stands, what was aborted, what people ask for, what has been.

A command is a patch of the status subresource, so that RBAC tells who may promote (`patch` on `anomalydetectors/status`) from who
may edit:

    {"status": {"command": {"id": "8c1f", "name": "Promote", "revision": "3f2a91c0", "to": null, "by": "ann"}}}

The operator answers in `status.commandHandled`, whose `id` is the command's, and says whether it did what was asked. A command
stays where it is; the next one replaces it, all its fields (those that are not set as null, since patches merge).
"""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from anomaly_api.rollout import PairedCounts
from anomaly_api.schema import Contract, list_map

Moment = Annotated[str, Field(json_schema_extra={"format": "date-time"})]


class CommandName(StrEnum):
    """What a person asks of a rollout."""

    PROMOTE = "Promote"
    """Go on to the next step; the analysis goes on, too."""
    PROMOTE_FULL = "PromoteFull"
    """Become stable now."""
    PAUSE = "Pause"
    RESUME = "Resume"
    ABORT = "Abort"
    RETRY = "Retry"
    """Begin the rollout of the revision that was aborted, or gone back from, anew."""
    UNDO = "Undo"
    """Go back at once to a revision that has been stable."""


class RolloutCommand(Contract):
    """What somebody asks of the rollout."""

    id: Annotated[str, Field(min_length=1, max_length=63)]
    """Token that tells this command from all others; chosen by whoever gives it."""
    name: CommandName
    """Action that is wanted. Promote: go on to the next step. PromoteFull: become stable now. Pause, Resume, Abort: of the
    rollout that is under way. Retry: what was aborted, anew. Undo: back to a revision that has been stable, at once."""
    revision: Annotated[str, Field(max_length=8)] | None = None
    """Name of the candidate that the command is about; Promote and PromoteFull need it. Another one is not touched. Unset: the
    one that there is."""
    to: Annotated[str, Field(max_length=8)] | None = None
    """Name of the revision to go back to. Unset: the last one that was stable before; where there is a candidate, the stable
    one."""
    by: Annotated[str, Field(max_length=253)] | None = None
    """Name of who asks, for people; what the API server believes is in its audit log. Unset: it is not said."""


class HandledCommand(Contract):
    """The operator's answer to the last command."""

    id: str
    """Token of the command that this is the answer to."""
    accepted: bool
    """Whether what was asked has been done."""
    message: str
    """Sentence for people: what was done, or why not."""
    at: Moment
    """Time at which the operator answered."""


class EvidenceLedger(Contract):
    """Paired counts since the rollout began, by pod instance, so that restarts neither lose nor double them."""

    settled: PairedCounts = PairedCounts()
    """Counts of pods that are gone, added up."""
    instances: dict[str, PairedCounts] = {}
    """Last report of each pod that runs, by its name and the start of its process."""


class MeasureStatus(Contract):
    """One measure of the analysis."""

    name: str
    """Name of the measure, as rollout.analysis has it."""
    value: float | None = None
    """Value so far. Unset: there is nothing to tell it from."""
    message: str
    """Sentence for people: the value, between which bounds it lies with certainty, and what was asked."""


class QueryStatus(Contract):
    """One Prometheus query of the analysis."""

    name: str
    """Name of the measure, as rollout.analysis.prometheus has it."""
    value: float | None = None
    """Last answer. Unset: it had no number, or there was none."""
    measured: Moment
    """Time at which the query was asked last."""
    failures: int = 0
    """Number of answers that were out of bounds."""
    inconclusive: int = 0
    """Number of answers in a row, the last ones, that had no number."""
    errors: int = 0
    """Number of questions in a row, the last ones, that were not answered."""
    message: str
    """Sentence for people: the answer and what was asked for, or what went wrong."""


class CandidateStatus(Contract):
    """The revision under analysis."""

    revision: str
    """Name of the revision: the first 8 characters of its digest."""
    digest: str | None = None
    """Digest of the revision: this and nothing else becomes stable."""
    model: str | None = None
    """AnomalyModel of the candidate. Unset: it has none."""
    since: Moment
    """Time at which the revision became a candidate."""
    phase: Literal["Loading", "Progressing", "Paused"] = "Loading"
    """Phase of the rollout. Loading: pods take the candidate over. Paused: someone has to say go."""
    held: bool = False
    """Whether the rollout stands still, since no scoring pod is to run (spec.paused). Its step begins anew afterwards."""
    step: str = "0/0"
    """Number of the step, of how many: 2/5. 0 while it is loaded."""
    weight: int = 0
    """Percentage of the entities that the candidate decides."""
    step_since: Moment | None = None
    """Time at which the present step began, by the operator's clock."""
    step_windows: int = 0
    """Number of windows that both had scored when the step began."""
    reason: str
    """Reason for which it is not stable yet, for people."""
    evidence: EvidenceLedger = EvidenceLedger()
    """Counts that candidate and stable are compared by."""
    measures: Annotated[list[MeasureStatus], Field(max_length=16, json_schema_extra=list_map("name"))] | None = None
    """Measures of the analysis, as they were when this was written last."""
    queries: Annotated[list[QueryStatus], Field(max_length=8, json_schema_extra=list_map("name"))] | None = None
    """Answers to the Prometheus queries of the analysis. Unset: none was asked."""


class AbortedStatus(Contract):
    """The revision that the spec asks for and that does not decide: its rollout was aborted, or someone went back from it."""

    revision: str
    """Name of the revision: the first 8 characters of its digest."""
    digest: str
    """Digest of the revision, in hexadecimal: it is not tried again by itself."""
    origin: str
    """Digest of what spec and model ask for; with another one a new rollout begins."""
    model: str | None = None
    """AnomalyModel of the revision. Unset: it has none."""
    since: Moment
    """Time at which the revision was taken away."""
    reason: str
    """Reason in one word in CamelCase: RolloutAborted, RolloutUndone, CandidateFailed, AnalysisFailed, NoData."""
    message: str
    """Sentence for people: why, and what to do."""


class HistoryStatus(Contract):
    """One rollout."""

    revision: str
    """Name of the revision: the first 8 characters of its digest."""
    model: str | None = None
    """AnomalyModel of the revision. Unset: the fallback scorer decides."""
    began: Moment
    """Time at which the rollout began."""
    changed: Moment
    """Time of the last transition of the rollout."""
    outcome: Literal["InProgress", "Promoted", "Aborted", "Replaced", "Cancelled"]
    """Outcome. Replaced: the spec or the model was changed meanwhile. Cancelled: the spec asked for the stable revision again."""
    reason: str
    """Reason of the last transition in one word in CamelCase, as its Event and metric have it."""
    message: str
    """Sentence for people about the last transition."""
    windows: int | None = None
    """Number of windows that both had scored. Unset: it was not compared."""
    candidate_episodes: int | None = None
    """Number of episodes that the candidate opened, or would have opened. Unset: it was not compared."""
    stable_episodes: int | None = None
    """Number of episodes that stable opened meanwhile. Unset: it was not compared."""
