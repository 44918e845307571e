"""How models reach the pods: which slot carries which digest, and the paths that the assignment tells.

Slots (two ConfigMaps that every scoring pod mounts) let a model arrive without replacing pods. A slot is refilled only
when what it holds is neither wanted nor what the pods run now.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from anomaly_api.meta import CLAIM_FOLDER, MODEL_FILE, MODEL_FOLDER, MODEL_SLOTS
from anomaly_operator.core.models.selection import current_assignment
from anomaly_operator.core.resources.names import CONFIG_MAPS, slot_child
from anomaly_operator.core.snapshot import Model, Snapshot

HASHES: Final = "binaryDataDigests"
"""Where the trimmed document of a ConfigMap has `sha256:...` of each binary value, instead of the value."""


@dataclass(frozen=True)
class Copy:
    """A slot that is to be filled."""

    slot: str
    digest: str
    source: str
    """ConfigMap with the artifact."""


@dataclass(frozen=True)
class SlotPlan:
    """Where each model is found, and what has to be copied first."""

    artifacts: dict[str, str]
    copies: tuple[Copy, ...] = ()


def plan_slots(snapshot: Snapshot, models: Mapping[str, Model | None]) -> SlotPlan:
    """`models`: digests that the assignment needs, with their AnomalyModels where they still exist."""
    current = current_assignment(snapshot)
    known = dict(current.artifacts) if current else {}
    artifacts: dict[str, str] = {}
    copies: list[Copy] = []
    holding = slots(snapshot)
    for digest, model in models.items():
        if model is not None and model.spec.artifact.uri is not None:
            artifacts[digest] = location(model)
            continue
        letter = next((letter for letter, held in holding.items() if held == digest), None)
        if letter is None and model is not None and model.spec.artifact.config_map_ref is not None:
            letter = _free(holding, set(models), set(known), _slot_of(known.get(digest, "")))
            holding[letter] = digest
            copies.append(Copy(letter, digest, model.spec.artifact.config_map_ref.name))
        if letter is not None:
            artifacts[digest] = f"{MODEL_FOLDER}/{letter}/{MODEL_FILE}"
        elif digest in known:
            artifacts[digest] = known[digest]
    return SlotPlan(artifacts, tuple(copies))


def slots(snapshot: Snapshot) -> dict[str, str]:
    """Digest of what each slot really holds; empty text for none."""
    found = {}
    for letter in MODEL_SLOTS:
        live = snapshot.children.get((CONFIG_MAPS, slot_child(snapshot.detector.name, letter)), {})
        found[letter] = live.get(HASHES, {}).get(MODEL_FILE, "")
    return found


def content_digest(content: bytes) -> str:
    """As artifacts are named."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _free(holding: Mapping[str, str], wanted: set[str], known: set[str], current: str | None) -> str:
    """The slot that pods have been told (someone emptied it), else an empty one, else one that holds what pods do not run,
    else one that holds what is no longer wanted. Never one whose model is wanted: there are as many slots as revisions.
    """
    free = [letter for letter, held in holding.items() if held not in wanted]
    empty = [letter for letter in free if not holding[letter]]
    idle = [letter for letter in free if holding[letter] not in known]
    return current if current in idle else [*empty, *idle, *free][0]


def _slot_of(path: str) -> str | None:
    return next((letter for letter in MODEL_SLOTS if path == f"{MODEL_FOLDER}/{letter}/{MODEL_FILE}"), None)


def location(model: Model) -> str:
    """The artifact's URI, or its path in the pod where the URI is of a claim."""
    uri = model.spec.artifact.uri
    assert uri is not None, "the caller has looked"
    if uri.url.startswith("file://"):
        return f"{CLAIM_FOLDER}/{uri.url.removeprefix('file://').lstrip('/')}"
    return uri.url
