"""The rollout as the status keeps it: read into the machine's `State`, and written from it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from anomaly_api.assignment import Revision
from anomaly_api.rollout import PairedCounts
from anomaly_api.rollout_status import (
    AbortedStatus,
    CandidateStatus,
    EvidenceLedger,
    HandledCommand,
    HistoryStatus,
    MeasureStatus,
    QueryStatus,
    RolloutCommand,
)
from anomaly_api.status import DetectorStatus, StableStatus
from anomaly_operator.core.rollout.evidence import total
from anomaly_operator.core.rollout.machine import Change, Phase, State
from anomaly_operator.core.text import bounded
from anomaly_operator.core.timestamps import rfc3339, unix

_LATELY: Final = 600.0


@dataclass(frozen=True)
class RolloutStatus:
    """The fields of the status that rollouts have."""

    stable: StableStatus
    candidate: CandidateStatus | None = None
    aborted: AbortedStatus | None = None
    command: RolloutCommand | None = None
    command_handled: HandledCommand | None = None
    history: list[HistoryStatus] | None = None


@dataclass(frozen=True)
class Figures:
    """What is shown of a candidate besides its state."""

    steps: int
    reason: str
    ledger: EvidenceLedger = field(default_factory=EvidenceLedger)
    measures: Sequence[MeasureStatus] = ()
    queries: Sequence[QueryStatus] = ()


def read(status: DetectorStatus, stable: str) -> State:
    """The state that the status keeps; `stable` is the digest of the revision that decides."""
    candidate, aborted = status.candidate, status.aborted
    if candidate is not None and candidate.digest:
        number = int(candidate.step.partition("/")[0] or 0)
        return State(
            stable=stable,
            phase=Phase(candidate.phase),
            candidate=candidate.digest,
            since=unix(candidate.since),
            step=max(number - 1, 0),
            step_since=unix(candidate.step_since),
            step_windows=candidate.step_windows,
            weight=candidate.weight,
            held=candidate.held,
        )
    if aborted is not None:
        return State(stable=stable, phase=Phase.ABORTED, aborted=aborted.digest, origin=aborted.origin)
    return State(stable=stable)


def write(
    before: DetectorStatus,
    after: State,
    change: Change | None,
    revisions: Mapping[str, Revision],
    figures: Figures,
    now: float,
) -> RolloutStatus:
    """The status of `after`, which `change` led to; `revisions` has those that are named, by digest."""
    return RolloutStatus(
        stable=_stable(before.stable, revisions[after.stable], now),
        candidate=_candidate(after, revisions, figures) if after.candidate else None,
        aborted=_aborted(before.aborted, after, change, revisions, now),
        command=before.command,
        command_handled=before.command_handled,
        history=before.history,
    )


def _stable(before: StableStatus | None, revision: Revision, now: float) -> StableStatus:
    if before is not None and (before.revision, before.model) == (revision.name, revision.model_name):
        return before
    return StableStatus(revision=revision.name, model=revision.model_name, since=rfc3339(now))


def _candidate(state: State, revisions: Mapping[str, Revision], figures: Figures) -> CandidateStatus:
    revision = revisions[state.candidate]
    number = 0 if state.phase is Phase.LOADING else state.step + 1
    return CandidateStatus(
        revision=revision.name,
        digest=state.candidate,
        model=revision.model_name,
        since=rfc3339(state.since),
        phase=state.phase.value,
        held=state.held,
        step=f"{number}/{figures.steps}",
        weight=state.weight,
        step_since=rfc3339(state.step_since),
        step_windows=state.step_windows,
        reason=figures.reason,
        evidence=figures.ledger,
        measures=list(figures.measures) or None,
        queries=list(figures.queries) or None,
    )


def _aborted(
    before: AbortedStatus | None, state: State, change: Change | None, revisions: Mapping[str, Revision], now: float
) -> AbortedStatus | None:
    if state.phase is not Phase.ABORTED:
        return None
    if before is not None and before.digest == state.aborted and change is None:
        return before
    revision = revisions.get(state.aborted)
    return AbortedStatus(
        revision=state.aborted[:8],
        digest=state.aborted,
        origin=state.origin,
        model=revision.model_name if revision else None,
        since=rfc3339(now),
        reason=change.reason if change else "RolloutAborted",
        message=bounded(change.message if change else "it was taken away"),
    )


def first(stable: StableStatus) -> list[HistoryStatus]:
    """The history of a detector that has none yet: what decides, however it came to."""
    since, said = stable.since, f"revision {stable.revision} decides"
    row = HistoryStatus(
        revision=stable.revision,
        model=stable.model,
        began=since,
        changed=since,
        outcome="Promoted",
        reason="RevisionStable",
        message=said,
    )
    return [row]


def replaced(rows: Sequence[HistoryStatus], now: float) -> int:
    """How many candidates have been replaced by others within the last ten minutes."""
    return sum(row.outcome == "Replaced" and 0 <= now - unix(row.changed) < _LATELY for row in rows)


def history(
    before: Sequence[HistoryStatus],
    was: State,
    after: State,
    change: Change,
    revisions: Mapping[str, Revision],
    ledger: EvidenceLedger,
    kept: int,
    now: float,
) -> list[HistoryStatus]:
    """The rows after a transition, the newest first: one for each rollout, which its transitions change."""
    rows = list(before)
    if was.candidate and rows and rows[0].outcome == "InProgress":
        rows[0] = rows[0].model_copy(update=_updated(was, after, change, total(ledger), now))
    if after.candidate and after.candidate != was.candidate:
        rows.insert(0, _row(revisions[after.candidate], "InProgress", change, now))
    elif after.stable not in (was.stable, was.candidate):  # at once, or gone back to
        rows.insert(0, _row(revisions[after.stable], "Promoted", change, now))
    return rows[:kept]


def _updated(was: State, after: State, change: Change, counts: PairedCounts, now: float) -> dict[str, Any]:
    compared = counts.windows > 0
    return {
        "outcome": _outcome(was, after),
        "reason": change.reason,
        "message": bounded(change.message),
        "changed": rfc3339(now),
        "windows": counts.windows if compared else None,
        "candidate_episodes": counts.candidate_episodes if compared else None,
        "stable_episodes": counts.stable_episodes if compared else None,
    }


def _outcome(was: State, after: State) -> str:
    if after.candidate == was.candidate:
        return "InProgress"
    if after.stable == was.candidate:
        return "Promoted"
    if after.phase is Phase.ABORTED:
        return "Aborted"
    return "Replaced" if after.candidate or after.stable != was.stable else "Cancelled"


def _row(revision: Revision, outcome: Any, change: Change, now: float) -> HistoryStatus:
    return HistoryStatus(
        revision=revision.name,
        model=revision.model_name,
        began=rfc3339(now),
        changed=rfc3339(now),
        outcome=outcome,
        reason=change.reason,
        message=bounded(change.message),
    )
