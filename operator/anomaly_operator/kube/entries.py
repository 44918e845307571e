"""Detectors as the cache keeps them: the newest document, and the newest of the specs that can be acted on."""

from dataclasses import dataclass, replace
from typing import Any

from pydantic import ValidationError

from anomaly_api.schedule import flaws
from anomaly_operator.core.snapshot import Detector, Manifest, detector


class InvalidSpecError(Exception):
    """A detector's spec that makes no sense or that this version cannot read, though the API server admitted it."""

    def __init__(self, why: str, generation: int, conditions: list[dict[str, Any]]) -> None:
        super().__init__(why)
        self.generation = generation
        self.conditions = conditions
        """Conditions of the status as they are."""


@dataclass(frozen=True)
class Entry:
    """A detector: its newest document, and the newest of its specs that could be read."""

    uid: str
    generation: int
    terminating: bool
    group: str
    """Its consumer group; empty where no spec of it could be read."""
    readable: Detector | None
    member: Detector | None
    """As other members of its consumer group see it."""
    problem: str
    """Why the newest spec is not the one that is acted on; empty when it is."""
    conditions: list[dict[str, Any]]


def entered(document: Manifest, before: Entry | None) -> Entry:
    """The entry of a document, after that of an earlier one."""
    metadata = document["metadata"]
    parsed, problem = _parsed(document)
    last = before.readable if before is not None and before.uid == metadata["uid"] else None
    readable = parsed if not problem else _as_before(last, document)
    member = parsed or readable
    return Entry(
        uid=metadata["uid"],
        generation=metadata.get("generation", 0),
        terminating="deletionTimestamp" in metadata,
        group=member.group_id if member else "",
        readable=readable,
        member=member,
        problem=problem,
        conditions=(document.get("status") or {}).get("conditions") or [],
    )


def _parsed(document: Manifest) -> tuple[Detector | None, str]:
    """The detector, and what is wrong with its spec; None when it cannot be read at all."""
    try:
        parsed = detector(document)
    except ValidationError as error:
        wrong = [f"spec.{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()]
        return None, f"{'; '.join(wrong[:3])}: do the CRDs and the operator have the same version?"
    return parsed, "; ".join(flaws(parsed.spec.alerts, parsed.spec.training))  # what the schema cannot see


def _as_before(last: Detector | None, document: Manifest) -> Detector | None:
    """The last detector that could be read, with the newest version and status; None where there was none."""
    if last is None:
        return None
    try:
        newest = detector({**document, "spec": last.spec.document()})
    except ValidationError:  # its status cannot be read either: it was written by another version
        return None
    return replace(newest, spec=last.spec)
