"""Revisions on record: a ControllerRevision for each that became stable, whose content Kubernetes lets nobody change.

The status names the stable revision, and its record has the content: the ConfigMap that tells the pods may be edited by anyone.
"""

from typing import Any, Final

from pydantic import ValidationError

from anomaly_api.assignment import Revision
from anomaly_operator.core.resources.names import CONTROLLER_REVISIONS, revision_child
from anomaly_operator.core.snapshot import Manifest, Snapshot

KEPT: Final = 3
"""Records, the stable revision's among them; each is in the operator's memory."""


def recorded(snapshot: Snapshot, name: str) -> Revision | None:
    """The revision of this name; None where there is no record of it, or one that is not what its name says."""
    live: dict[str, Any] = snapshot.children.get((CONTROLLER_REVISIONS, revision_child(snapshot.detector.name, name)), {})
    try:
        revision = Revision.model_validate(live.get("data"))
    except ValidationError:
        return None
    return revision if revision.name == name else None


def number(snapshot: Snapshot, revision: Revision) -> int:
    """The number of the revision's record: its own where it is there, else one more than that of the newest."""
    records = _records(snapshot)
    live = records.get(revision_child(snapshot.detector.name, revision.name))
    return _number(live) if live else 1 + max(map(_number, records.values()), default=0)


def outdated(snapshot: Snapshot, revision: Revision) -> list[Manifest]:
    """Records beyond those that are kept, the oldest ones; never the one of `revision`."""
    stable = revision_child(snapshot.detector.name, revision.name)
    others = [live for name, live in _records(snapshot).items() if name != stable]
    return sorted(others, key=_number, reverse=True)[KEPT - 1 :]


def _records(snapshot: Snapshot) -> dict[str, Manifest]:
    return {name: live for (kind, name), live in snapshot.children.items() if kind == CONTROLLER_REVISIONS}


def _number(record: Manifest) -> int:
    return int(record.get("revision", 0))
