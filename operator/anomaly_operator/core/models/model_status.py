"""The status of AnomalyModels: who uses them, and whether pods could verify them."""

from dataclasses import dataclass
from typing import Any

from anomaly_api.assignment import Revision
from anomaly_api.status import Condition
from anomaly_operator.core.snapshot import Model, Snapshot
from anomaly_operator.core.status.health import verified
from anomaly_operator.core.status.report import merge_patch
from anomaly_operator.core.timestamps import rfc3339


@dataclass(frozen=True)
class PatchModel:
    """A merge patch for the status of an AnomalyModel."""

    name: str
    status: dict[str, Any]


def entries(snapshot: Snapshot, revision: Revision, now: float) -> list[PatchModel]:
    """What is to be changed in the registry: `usedBy` of models that are or were in use here, `Verified` of the one in use."""
    patches = []
    for model in snapshot.models.values():
        if model.name != revision.model_name and snapshot.detector.name not in (model.status.used_by or []):
            continue  # one of a thousand others
        used_by = _used_by(snapshot, model, used=model.name == revision.model_name)
        before = model.status.document()
        after = dict(before)
        if used_by != (model.status.used_by or []):
            after["usedBy"] = used_by
        # One of several users speaks for the model: two that disagree must not overwrite each other for ever.
        if used_by and used_by[0] == snapshot.detector.name and model.name == revision.model_name:
            after["conditions"] = [_condition(snapshot, model, revision, now).document()]
        patch = merge_patch(before, after)
        if patch:
            patches.append(PatchModel(model.name, patch))
    return patches


def _used_by(snapshot: Snapshot, model: Model, *, used: bool) -> list[str]:
    others = set(model.status.used_by or []) & (snapshot.detectors_here - {snapshot.detector.name})
    return sorted(others | ({snapshot.detector.name} if used else set()))


def _condition(snapshot: Snapshot, model: Model, revision: Revision, now: float) -> Condition:
    before = next((each for each in model.status.conditions or [] if each.type == "Verified"), None)
    match verified(snapshot, revision.name):
        case True:
            wanted = ("True", "DigestMatches", "scoring pods have loaded the artifact and its digest matches")
        case False:
            wanted = ("False", "DigestMismatch", "scoring pods refuse the artifact: its content is not what spec.digest names")
        case _ if before is not None:
            return before
        case _:
            wanted = ("Unknown", "NotLoadedYet", "no scoring pod has loaded the artifact yet")
    if before is not None and (before.status, before.reason) == wanted[:2]:
        return before
    return Condition.model_validate(
        {
            "type": "Verified",
            "status": wanted[0],
            "reason": wanted[1],
            "message": wanted[2],
            "observedGeneration": 1,
            "lastTransitionTime": rfc3339(now),
        }
    )
