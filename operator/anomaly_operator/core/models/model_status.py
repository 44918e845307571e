"""The status of AnomalyModels: who uses them, and whether pods could verify them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from anomaly_api.assignment import Revision
from anomaly_api.gate import Verdict
from anomaly_api.status import Condition
from anomaly_operator.core.models import gate
from anomaly_operator.core.snapshot import Model, Snapshot
from anomaly_operator.core.status.health import verified
from anomaly_operator.core.status.report import merge_patch
from anomaly_operator.core.text import bounded
from anomaly_operator.core.timestamps import rfc3339


@dataclass(frozen=True)
class PatchModel:
    """A merge patch for the status of an AnomalyModel."""

    name: str
    status: dict[str, Any]


def entries(snapshot: Snapshot, revisions: Sequence[Revision], now: float) -> list[PatchModel]:
    """What is to be changed in the registry: `usedBy` of models that are or were in use here, `Verified` of those in use,
    `Accepted` of those that were trained for this detector.
    """
    patches, in_use = [], {each.model_name: each for each in reversed(revisions) if each.model_name}
    for model in snapshot.models.values():
        used = model.name in in_use or snapshot.detector.name in (model.status.used_by or [])
        judged = model.owner == snapshot.detector.uid and gate.judgement(model) is not None
        if not used and not judged:
            continue  # one of a thousand others
        before = model.status.document()
        after = dict(before)
        conditions = {each.type: each for each in model.status.conditions or []}
        if used:
            used_by = _used_by(snapshot, model, used=model.name in in_use)
            if used_by != (model.status.used_by or []):
                after["usedBy"] = used_by
            # One of several users speaks for the model: two that disagree must not overwrite each other for ever.
            speaks = bool(used_by) and used_by[0] == snapshot.detector.name and model.name in in_use
            if speaks and not model.brought:  # of those that were brought a check speaks
                conditions["Verified"] = _verified(snapshot, model, in_use[model.name], now)
        if judged:
            conditions["Accepted"] = _accepted(snapshot, model, now)
        if conditions:
            after["conditions"] = [conditions[name].document() for name in sorted(conditions, reverse=True)]
        patch = merge_patch(before, after)
        if patch:
            patches.append(PatchModel(model.name, patch))
    return patches


def _used_by(snapshot: Snapshot, model: Model, *, used: bool) -> list[str]:
    others = set(model.status.used_by or []) & (snapshot.detectors_here - {snapshot.detector.name})
    return sorted(others | ({snapshot.detector.name} if used else set()))


def _verified(snapshot: Snapshot, model: Model, revision: Revision, now: float) -> Condition:
    before = _before(model, "Verified")
    match verified(snapshot, revision.name):
        case True:
            return condition(before, "Verified", "True", "DigestMatches", "scoring pods have loaded it; its digest matches", now)
        case False:
            said = "scoring pods refuse the artifact: its content is not what spec.digest names"
            return condition(before, "Verified", "False", "DigestMismatch", said, now)
        case _ if before is not None:
            return before
        case _:
            return condition(before, "Verified", "Unknown", "NotLoadedYet", "no scoring pod has loaded the artifact yet", now)


def _accepted(snapshot: Snapshot, model: Model, now: float) -> Condition:
    """What follows from the gate's judgement for the detector that the model was trained for."""
    found, before = gate.judgement(model), _before(model, "Accepted")
    assert found is not None, "the caller has looked"
    if found.verdict is Verdict.NOT_JUDGED:
        return condition(before, "Accepted", "Unknown", found.reason, found.message, now)
    refused = gate.rejected(snapshot.detector, model)
    reason = found.reason if refused or found.verdict is Verdict.ACCEPTED else "Audited"
    return condition(before, "Accepted", "False" if refused else "True", reason, found.message, now)


def _before(model: Model, name: str) -> Condition | None:
    return next((each for each in model.status.conditions or [] if each.type == name), None)


def condition(before: Condition | None, name: str, status: str, reason: str, message: str, now: float) -> Condition:
    """`before`, where it says the same."""
    if before is not None and (before.status, before.reason) == (status, reason):
        return before
    moved = before is None or before.status != status
    return Condition.model_validate(
        {
            "type": name,
            "status": status,
            "reason": reason,
            "message": bounded(message),
            "observedGeneration": 1,
            "lastTransitionTime": rfc3339(now) if moved or before is None else before.last_transition_time,
        }
    )
