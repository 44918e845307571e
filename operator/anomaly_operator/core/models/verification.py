"""Models that somebody brought are checked before a scoring pod loads them: once each, by a Job. Pure, like `plan`.

    no verdict yet ── Job made ── running ──┬── complete: Verified True, Checked
                                            ├── refused:  Verified False, with what is missing
                                            └── its archive cannot be fetched, its pod does not run: Unknown, and again later

Models that were trained here need none: a trainer has tried its graphs, and pods compare the digest.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydantic import ValidationError

from anomaly_api.status import Condition
from anomaly_api.verification import VerificationReason, VerificationResult
from anomaly_operator.core.models.model_status import condition
from anomaly_operator.core.resources import verification as manifests
from anomaly_operator.core.snapshot import Manifest, Model
from anomaly_operator.core.status.pods import Pod
from anomaly_operator.core.status.report import merge_patch
from anomaly_operator.core.timestamps import unix

VERIFIED: Final = "Verified"
CHECKING: Final = "Checking"
CHECK_FAILED: Final = "CheckFailed"
AGAIN_AFTER: Final = 300.0
"""Seconds after which a check that said nothing of the model is made again."""
_BUSY: Final = 10.0


@dataclass(frozen=True)
class ModelSnapshot:
    """What there is of a model."""

    namespace: str
    model: Model
    job: Manifest | None = None
    pods: tuple[Pod, ...] = ()


@dataclass(frozen=True)
class VerificationPlan:
    """What is to be done now, and when to look again."""

    apply: Manifest | None = None
    delete: Manifest | None = None
    status: dict[str, Any] | None = None
    """Merge patch for the model's status."""
    requeue_after: float = 0.0
    """Seconds; 0: not before something changes."""


@dataclass(frozen=True)
class _Verdict:
    status: str
    reason: str
    message: str


def verdict(model: Model) -> Condition | None:
    """What a check has said of the model; None where none was needed, or none has ended."""
    found = next((each for each in model.status.conditions or [] if each.type == VERIFIED), None)
    return found if model.brought and found is not None and found.status != "Unknown" else None


def plan(seen: ModelSnapshot, image: str, now: float) -> VerificationPlan:
    """Everything that follows from `seen` at `now` (Unix seconds). `image` is that of the scoring pods."""
    if not seen.model.brought or seen.model.deleting or verdict(seen.model) is not None:
        return VerificationPlan()
    if seen.job is None:
        status = _status(seen.model, _Verdict("Unknown", CHECKING, "the model is being checked"), now)
        return VerificationPlan(manifests.job(seen.namespace, seen.model, image), status=status, requeue_after=_BUSY)
    found = _judged(seen.job, seen.pods)
    status, ended = _status(seen.model, found, now), _ended(seen.job)
    if found.status != "Unknown":
        return VerificationPlan(status=status)
    if ended is None or "deletionTimestamp" in seen.job["metadata"]:
        return VerificationPlan(status=status, requeue_after=_BUSY)
    left = AGAIN_AFTER - (now - unix(ended.get("lastTransitionTime")))
    if left > 0:
        return VerificationPlan(status=status, requeue_after=left)
    return VerificationPlan(delete=seen.job, status=status, requeue_after=_BUSY)


def _ended(job: Manifest) -> dict[str, Any] | None:
    """The condition by which a Job has ended."""
    conditions: list[dict[str, Any]] = job.get("status", {}).get("conditions", [])
    return next((each for each in conditions if each["type"] in ("Complete", "Failed") and each["status"] == "True"), None)


def _judged(job: Manifest, pods: Sequence[Pod]) -> _Verdict:
    ended = _ended(job)
    if ended is not None and ended["type"] == "Complete":
        message = "digest, interface, operators and outputs were checked before any scoring pod loads it"
        return _Verdict("True", VerificationReason.CHECKED.value, message)
    newest = max(pods, key=lambda pod: pod.failed_at, default=None)
    result = _result(newest.termination_message) if newest else None
    if result is not None and not result.verified:
        status = "Unknown" if result.reason.passing else "False"
        return _Verdict(status, result.reason.value, result.message)
    if ended is None:
        stuck = next((pod.failure for pod in pods if pod.failure), None)
        return _Verdict("Unknown", stuck.reason if stuck else CHECKING, stuck.message if stuck else "the model is being checked")
    words = (newest.termination_message if newest else "") or ended.get("message", "no reason given")
    return _Verdict("Unknown", CHECK_FAILED, f"Job {job['metadata']['name']} could not check the model: {words}")


def _result(words: str) -> VerificationResult | None:
    try:
        return VerificationResult.model_validate_json(words)
    except ValidationError:
        return None


def _status(model: Model, found: _Verdict, now: float) -> dict[str, Any]:
    before = model.status.document()
    conditions = {each.type: each for each in model.status.conditions or []}
    known = conditions.get(VERIFIED)
    conditions[VERIFIED] = condition(known, VERIFIED, found.status, found.reason, found.message, now)
    after = before | {"conditions": [conditions[name].document() for name in sorted(conditions, reverse=True)]}
    return merge_patch(before, after)
