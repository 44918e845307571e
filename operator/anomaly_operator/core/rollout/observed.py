"""What the machine is told of pods and spec at one moment. Pure."""

from collections.abc import Sequence
from typing import Final

from anomaly_api.assignment import Assignment, Revision
from anomaly_api.comparison import PairedEvidence, added
from anomaly_api.evidence import RevisionEvidence, RevisionFailure
from anomaly_api.policy import Threshold
from anomaly_api.rollout import PairedCounts
from anomaly_api.rollout_status import EvidenceLedger
from anomaly_api.schema import seconds
from anomaly_operator.core.rollout.analysis import Besides
from anomaly_operator.core.rollout.evidence import record
from anomaly_operator.core.snapshot import Snapshot
from anomaly_operator.core.status import health

_PACE: Final = 1000
"""Windows before which it is not said how long one takes."""
_ON_ITS_WAY: Final = (RevisionFailure.ARTIFACT_MISSING, RevisionFailure.MODEL_STORE_UNREACHABLE)
"""A mounted ConfigMap arrives a little later than the assignment, and a store that does not answer says nothing of the model."""


def candidates(snapshot: Snapshot, assignment: Assignment) -> dict[str, RevisionEvidence]:
    """What each pod says of the candidate of this very rollout, by the name of the pod's process."""
    if assignment.candidate is None:
        return {}
    wanted = (assignment.candidate.name, assignment.stable.name, assignment.rollout)
    found = {}
    for name, evidence in snapshot.evidence_by_pod.items():
        for row in evidence.revisions:
            told = (row.revision, row.against or assignment.stable.name, row.rollout)  # one that is refused is against nobody
            if row.role == "candidate" and told == wanted:
                found[evidence.instance or name] = row
    return found


def taken_over(snapshot: Snapshot, assignment: Assignment) -> bool:
    """Whether all scoring pods that run, and at least one, have what the assignment says, the candidate loaded.

    One that finds no node, or no image, holds nobody up: it takes over what it is told when it starts.
    """
    pods, evidence = [pod for pod in health.scoring_pods(snapshot) if pod.phase == "Running"], snapshot.evidence_by_pod
    said = [evidence[pod.name] for pod in pods if pod.name in evidence]
    if not pods or len(said) < len(pods) or any(each.assignment != assignment.digest for each in said):
        return False
    return len([row for row in candidates(snapshot, assignment).values() if row.loaded]) == len(pods)


def crashing(snapshot: Snapshot) -> str:
    """Why all scoring pods crash; empty when one runs."""
    failures = [pod.failure for pod in health.scoring_pods(snapshot)]
    found = [each for each in failures if each is not None and each.reason == "PodsCrashing"]
    return found[0].message if found and len(found) == len(failures) else ""


def failure(snapshot: Snapshot, assignment: Assignment) -> str:
    """Why the candidate cannot score, in a pod's words; empty when none says so. Pods ran when it began (see `gated`)."""
    if assignment.candidate is not None and (why := crashing(snapshot)):
        return f"all scoring pods crash since they have the candidate: {why}"
    for row in candidates(snapshot, assignment).values():
        if row.failure is not None and row.failure not in _ON_ITS_WAY:
            return f"{row.failure.value}: {row.message}" if row.message else row.failure.value
    return ""


def counted(snapshot: Snapshot, assignment: Assignment, ledger: EvidenceLedger) -> EvidenceLedger:
    """The ledger with what the pods say now; what pods that are gone said stays."""
    reports = {instance: PairedCounts.of(row) for instance, row in candidates(snapshot, assignment).items()}
    known = {evidence.instance or name for name, evidence in snapshot.evidence_by_pod.items()}
    silent = {pod.name for pod in health.scoring_pods(snapshot)} - set(snapshot.evidence_by_pod)
    live = set(ledger.instances) if silent else known  # one that does not answer may be any of them
    return record(ledger, reports, live)


def besides(snapshot: Snapshot, assignment: Assignment) -> Besides:
    """What pods and labels say of the candidate besides the paired counts; of the pods that there are now."""
    rows = list(candidates(snapshot, assignment).values())
    if assignment.candidate is None or not rows:
        return Besides()
    status, name = snapshot.detector.status.feedback, assignment.candidate.name
    label = next((each for each in status.revisions if each.revision == name), None) if status else None
    stable = [row for evidence in snapshot.evidence_by_pod.values() for row in evidence.revisions if row.role == "stable"]
    paces = [_pace(rows), _pace(stable)]
    return Besides(
        shift=_shift([pair for row in rows for pair in row.paired]),
        labelled=label.true_alarms + label.false_alarms if label else 0,
        right=label.true_alarms if label else 0,
        slowdown=paces[0] / paces[1] if paces[0] and paces[1] else None,
        memory=max(row.memory for row in rows),
    )


def _pace(rows: Sequence[RevisionEvidence]) -> float:
    """Seconds a window; 0 where it is not known."""
    windows = sum(row.windows for row in rows)
    return sum(row.seconds for row in rows) / windows if windows >= _PACE else 0.0


def _shift(pairs: Sequence[PairedEvidence]) -> float | None:
    """The greatest difference between the two distribution functions; None where no scores were counted."""
    stable, candidate = dict[int, int](), dict[int, int]()
    for pair in pairs:
        stable, candidate = added(stable, pair.stable_scores), added(candidate, pair.candidate_scores)
    sums = sum(stable.values()), sum(candidate.values())
    if not all(sums):
        return None
    greatest = below = above = 0.0
    for place in sorted({*stable, *candidate}):
        below, above = below + stable.get(place, 0) / sums[0], above + candidate.get(place, 0) / sums[1]
        greatest = max(greatest, abs(below - above))
    return greatest


def stable_scores(snapshot: Snapshot, stable: Revision) -> bool:
    """Whether no pod says that the stable revision cannot score."""
    return health.stable_failure(snapshot, stable.name) is None


def overlap(revision: Revision) -> int:
    """How many consecutive windows share readings, at the most."""
    return max((-(-window.size // window.every) for window in revision.pipeline.windows), default=1)


def accepted_rate(threshold: Threshold, target: Revision) -> float | None:
    """Episodes for each entity and second that the alert budget allows; None where there is none."""
    entities = next((each.entities for each in target.thresholds if each.entities), 1)  # share a budget of the fleet
    return threshold.budget.episodes / seconds(threshold.budget.per) / entities if threshold.budget else None


def gated(snapshot: Snapshot, stable: Revision, target: Revision, *, awaited: bool) -> str:
    """Why the target need not be compared with the revision that decides; empty when it must.

    Where nothing runs under what decides, its fix is not kept waiting for a comparison that nobody can make.
    """
    if crashing(snapshot):
        return "all scoring pods crash with the revision that decided, so that there is nothing to compare with"
    if stable.model is None and (awaited or target.model is not None):
        return "the first model has only the fallback scorer to replace" if target.model else "there is no model yet"
    windows = [{window.name for window in revision.pipeline.windows} for revision in (stable, target)]
    if stable.pipeline.entity != target.pipeline.entity or not windows[0] & windows[1]:  # pods pair them by entity, name and time
        return "its entities or windows are others, so that the two cannot be compared"
    return ""


def by_itself(stable: Revision, target: Revision) -> bool:
    """Whether only thresholds differ, of which the spec asks for the same."""
    asked = [[(each.window, each.source, each.asked) for each in revision.thresholds] for revision in (stable, target)]
    return asked[0] == asked[1] and stable.model_copy(update={"thresholds": target.thresholds}) == target


def names(revisions: Sequence[Revision]) -> dict[str, Revision]:
    """Revisions by their digests."""
    return {revision.digest: revision for revision in revisions}
