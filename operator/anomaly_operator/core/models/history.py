"""Revisions on record: a ControllerRevision for each that was to become stable, whose content Kubernetes lets nobody change.

The status names the stable revision, and its record has the content: the ConfigMap that tells the pods may be edited by anyone.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from pydantic import ValidationError

from anomaly_api.assignment import Revision
from anomaly_operator.core.memo import ByIdentity
from anomaly_operator.core.resources.names import CONTROLLER_REVISIONS, revision_child
from anomaly_operator.core.snapshot import Manifest, Snapshot


def recorded(snapshot: Snapshot, name: str) -> Revision | None:
    """The revision of this name; None where there is no record of it, or one that is not what its name says."""
    live = snapshot.children.get((CONTROLLER_REVISIONS, revision_child(snapshot.detector.name, name)))
    revision = _content(live) if live is not None else None
    return revision if revision is not None and revision.name == name else None


def _read(record: Manifest) -> Revision | None:
    try:
        return Revision.model_validate(record.get("data"))
    except ValidationError:
        return None


_content: Final = ByIdentity(lambda record: record["metadata"].get("uid"), _read)


def numbered(snapshot: Snapshot, revisions: Sequence[Revision]) -> Iterable[tuple[Revision, int]]:
    """Each revision with the number of its record: its own where it is there, else one more than that of the newest."""
    records = _records(snapshot)
    newest = max(map(_number, records.values()), default=0)
    for revision in revisions:
        live = records.get(revision_child(snapshot.detector.name, revision.name))
        newest += live is None
        yield revision, _number(live) if live else newest


def outdated(snapshot: Snapshot, needed: Sequence[Revision]) -> list[Manifest]:
    """Records beyond those that are kept (`rollout.history`), the oldest ones; never one that is needed, or that is stable."""
    stable = snapshot.detector.status.stable
    names = {each.name for each in needed} | ({stable.revision} if stable else set())
    staying = {revision_child(snapshot.detector.name, name) for name in names}
    others = [live for name, live in _records(snapshot).items() if name not in staying]
    return sorted(others, key=_number, reverse=True)[max(snapshot.detector.spec.rollout.history - len(staying), 0) :]


def _records(snapshot: Snapshot) -> dict[str, Manifest]:
    return {name: live for (kind, name), live in snapshot.children.items() if kind == CONTROLLER_REVISIONS}


def _number(record: Manifest) -> int:
    return int(record.get("revision", 0))
