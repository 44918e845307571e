"""What a plan consists of. Values only: the cluster adapter carries them out, in order."""

from dataclasses import dataclass
from typing import Any

from anomaly_operator.core.models.model_status import PatchModel
from anomaly_operator.core.resources.names import Kind
from anomaly_operator.core.snapshot import Manifest
from anomaly_operator.core.training.queue import Standing


@dataclass(frozen=True)
class Apply:
    """Server-side apply with our field manager, forced."""

    manifest: Manifest


@dataclass(frozen=True)
class FillSlot:
    """Copy an artifact from the ConfigMap `source` into the slot, whose manifest lacks the content."""

    manifest: Manifest
    source: str
    digest: str


@dataclass(frozen=True)
class Delete:
    """Delete, with what belongs to it, in the background; only the object with this uid."""

    kind: Kind
    name: str
    uid: str
    version: str = ""
    """resourceVersion that it was decided on; empty where no change would change the decision."""


@dataclass(frozen=True)
class RefreshMounts:
    """Annotate a pod with the assignment's digest: kubelet then refreshes its mounts at once instead of within minutes."""

    pod: str
    digest: str


Action = Apply | FillSlot | Delete | RefreshMounts | PatchModel


@dataclass(frozen=True)
class Event:
    """An Event. Its key names what happened, so that it is said once, whoever says it."""

    key: str
    reason: str
    message: str
    warning: bool = False


@dataclass(frozen=True)
class Plan:
    """What is to be done now, and when to look again."""

    actions: tuple[Action, ...]
    status: dict[str, Any]
    """Merge patch for the status; empty when nothing changed."""
    events: tuple[Event, ...]
    requeue_after: float
    """Seconds."""
    transition: Event | None = None
    """The Event of a rollout's transition that `status` has; it is recorded when that is written."""
    ready: bool = False
    scoring: bool = False
    alerting: bool = False
    """Whether nothing is known to be held back or left out."""
    drifted: bool = False
    """Whether what arrives is unlike the training data."""
    training: Standing = Standing.NONE
    """What the detector is to the queue of trainings."""
    training_started: str = ""
    """Reason of the training whose Job is made now; empty: none is."""

    arriving: bool = True
    """Whether the stream is not silent for longer than is worth a word."""

    @property
    def empty(self) -> bool:
        """Whether nothing is to be written."""
        return not (self.actions or self.status or self.events)
