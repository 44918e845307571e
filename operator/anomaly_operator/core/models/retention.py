"""Which old models of a detector are deleted: those beyond the newest few that nobody uses, names or has on record.

    newest first   m12 m11 m10 ... m3 | m2 m1        with 10 kept, m2 and m1 go,
                                                     but for one that decides, is referred to, or is pinned

Models that the gate rejected count like others. What belongs to a model, its archive and its card, goes by owner reference.
"""

from collections.abc import Collection, Iterable, Sequence

from anomaly_api.assignment import Revision
from anomaly_operator.core.models.selection import RevisionSelection
from anomaly_operator.core.resources.names import CONTROLLER_REVISIONS
from anomaly_operator.core.snapshot import Model, Snapshot


def outdated(snapshot: Snapshot, selection: RevisionSelection, needed: Sequence[Revision]) -> list[Model]:
    """Models beyond `rollout.history` that are to be deleted, the oldest first; none of a revision that is `needed`."""
    kept = _named(snapshot, selection) | {revision.model_name or "" for revision in needed}
    return beyond(snapshot.models.values(), snapshot.detector.uid, kept, snapshot.detector.spec.rollout.history)


def beyond(models: Iterable[Model], owner: str, needed: Collection[str], history: int) -> list[Model]:
    """Models of the detector with the uid `owner` beyond its newest `history`, but for those that are used, pinned, or `needed`
    by name. The oldest first.
    """
    own = sorted((model for model in models if model.owner == owner), key=lambda model: (model.created, model.name))
    old = own[: max(0, len(own) - history)]
    return [model for model in old if not (model.pinned or model.status.used_by or model.name in needed or model.deleting)]


def _named(snapshot: Snapshot, selection: RevisionSelection) -> set[str]:
    """Names of models that the detector itself, a revision on record, or another detector refers to."""
    chosen = {model.name for model in (selection.model, selection.rejected) if model is not None}
    status, reference = snapshot.detector.status, snapshot.detector.spec.model.model_ref
    chosen |= {selection.revision.model_name or "", status.stable.model or "" if status.stable else ""}
    chosen |= {reference.name} if reference else set()
    records = [live.get("data") or {} for (kind, _), live in snapshot.children.items() if kind == CONTROLLER_REVISIONS]
    digests = {record.get("model") for record in records}
    recorded = {model.name for model in snapshot.models.values() if model.spec.digest in digests}
    return chosen | recorded | snapshot.models_referred
