"""What is: the frozen input of `plan`. It is read from trimmed documents of the API server; nothing is decided here."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

from anomaly_api.detector import DetectorSpec
from anomaly_api.evidence import DetectorEvidence, TrainingEvidence
from anomaly_api.lenient import read_leniently
from anomaly_api.meta import ANNOTATION_KEEP, ANNOTATION_REQUEST, ANNOTATION_TRAIN, LABEL_TRAINING
from anomaly_api.model import ModelSpec, ModelStatus
from anomaly_api.status import DetectorStatus
from anomaly_operator.core.resources.names import Kind
from anomaly_operator.core.status.pods import Pod
from anomaly_operator.core.timestamps import unix

Manifest = dict[str, Any]
"""A Kubernetes object as a plain value."""
_LONGEST_TOKEN: Final = 253


@dataclass(frozen=True)
class Detector:
    """An AnomalyDetector."""

    namespace: str
    name: str
    uid: str
    generation: int
    created: float
    resource_version: str
    """Version of the document that everything is decided on."""
    spec: DetectorSpec
    status: DetectorStatus
    unread_status: Mapping[str, Any] = field(default_factory=dict)
    """Fields of the status that a newer operator wrote and this one cannot read, as they are."""
    token: str = ""
    """Word of the annotation that asks for a training; empty: there is none."""

    @property
    def group_id(self) -> str:
        """Its consumer group."""
        return self.spec.group_id(self.namespace, self.name)

    @property
    def age_order(self) -> tuple[float, str, str]:
        """Of two that want the same, the smaller one has it."""
        return (self.created, self.namespace, self.name)


@dataclass(frozen=True)
class Model:
    """An AnomalyModel."""

    name: str
    owner: str
    """uid of the AnomalyDetector that it was trained for; empty for imported ones."""
    training: str
    """Key of the training order that made it."""
    request: str
    """What asked for that training; empty: nothing but the spec, or an older operator made it."""
    created: float
    spec: ModelSpec
    status: ModelStatus
    uid: str = ""
    resource_version: str = ""
    pinned: bool = False
    """Whether somebody wants it to be kept, whatever else is."""
    deleting: bool = False

    @property
    def brought(self) -> bool:
        """Whether it was not trained here: it is checked before it is loaded. What it says of its training is not proof."""
        return self.spec.imported is not None or not (self.owner or self.training)


@dataclass(frozen=True)
class ApplyError:
    """What could not be done for a detector the last time it was tried."""

    reason: str
    """ChildRefused, ApplyFailed (it may go away by itself); for a model's artifact ArtifactMissing or DigestMismatch."""
    message: str

    @property
    def of_model(self) -> bool:
        """Whether it is about the model's artifact."""
        return self.reason in ("ArtifactMissing", "DigestMismatch")

    @property
    def transient(self) -> bool:
        """Whether it may succeed without anyone's help."""
        return self.reason == "ApplyFailed"


@dataclass(frozen=True)
class Answer:
    """What a Prometheus server answered to a query."""

    at: float
    """When it was asked, in Unix seconds."""
    value: float | None = None
    """None: the answer had no number, or there was none."""
    error: str = ""
    """Why there was no answer, for people."""


@dataclass(frozen=True)
class Evidence:
    """What the pods said when they were asked last."""

    asked: Mapping[str, float] = field(default_factory=dict)
    """When each pod answered, in Unix seconds of the operator's clock."""
    detectors: tuple[DetectorEvidence, ...] = ()
    trainer: TrainingEvidence | None = None
    queries: Mapping[str, Answer] = field(default_factory=dict)
    """The last answers to Prometheus queries, by measure."""


@dataclass(frozen=True)
class TrainingRoom:
    """How many trainings there may be, and how many come before this detector's."""

    limit: int | None = None
    """Trainings that may run at once, over all detectors; None: any number."""
    running: int = 0
    """Those of others that run."""
    ahead: int = 0
    """Others that wait and come first."""

    @property
    def free(self) -> bool:
        """Whether there is room for one more."""
        return self.limit is None or self.running + self.ahead < self.limit


@dataclass(frozen=True)
class Snapshot:
    """Everything `plan` may look at, but the clock."""

    detector: Detector
    spec_error: str = ""
    """Why the newest spec is not the one in `detector`: it makes no sense, or cannot be read."""
    children: Mapping[tuple[Kind, str], Manifest] = field(default_factory=dict)
    """Live children, trimmed, by kind and name: those that the detector owns, or that nobody does and the operator has made."""
    pods: tuple[Pod, ...] = ()
    models: Mapping[str, Model] = field(default_factory=dict)
    """AnomalyModels by name: the detector's own, those that it has to do with by spec, status or records, and those that say it
    uses them. Not all of the namespace."""
    models_referred: frozenset[str] = frozenset()
    """Names of those models that the spec of another detector names."""
    detectors_here: frozenset[str] = frozenset()
    """Names of all AnomalyDetectors of the namespace."""
    group_members: tuple[Detector, ...] = ()
    """Other detectors with the same consumer group, on whatever brokers."""
    apply_error: ApplyError | None = None
    """What could not be done the last time."""
    pod_refusals: Mapping[str, str] = field(default_factory=dict)
    """Why the API server refuses the pods of a Job, by the Job's name. A Deployment says so itself."""
    autoscaled: bool = False
    """Whether there is a HorizontalPodAutoscaler of the scoring pods' Deployment."""
    stats_written: float = 0.0
    """When figures of the stream were written to the status last. 0: not by this process."""
    evidence: Evidence = field(default_factory=Evidence)
    room: TrainingRoom = TrainingRoom()
    patience: float = 0.0
    """Seconds that scoring pods are given to say how much data there is, before a training is begun without knowing."""

    @cached_property
    def evidence_by_pod(self) -> dict[str, DetectorEvidence]:
        """Of pods that still belong to the detector."""
        present = {pod.name for pod in self.pods if not pod.terminating}
        return {evidence.pod: evidence for evidence in self.evidence.detectors if evidence.pod in present}


def detector(document: Manifest) -> Detector:
    """An AnomalyDetector from its document. Raises pydantic.ValidationError for a spec that this version cannot read."""
    metadata = document["metadata"]
    status, unread = read_leniently(DetectorStatus, document.get("status") or {})
    return Detector(
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        generation=metadata.get("generation", 0),
        created=unix(metadata.get("creationTimestamp")),
        resource_version=metadata.get("resourceVersion", ""),
        spec=DetectorSpec.model_validate(document["spec"]),
        status=status,
        unread_status=unread,
        token=(metadata.get("annotations") or {}).get(ANNOTATION_TRAIN, "")[:_LONGEST_TOKEN],
    )


def model(document: Manifest) -> Model:
    """An AnomalyModel from its document. Raises pydantic.ValidationError for a spec that this version cannot read."""
    metadata = document["metadata"]
    owners = [owner["uid"] for owner in metadata.get("ownerReferences", []) if owner["kind"] == "AnomalyDetector"]
    return Model(
        name=metadata["name"],
        owner=owners[0] if owners else "",
        training=metadata.get("labels", {}).get(LABEL_TRAINING, ""),
        request=(metadata.get("annotations") or {}).get(ANNOTATION_REQUEST, ""),
        created=unix(metadata.get("creationTimestamp")),
        spec=ModelSpec.model_validate(document["spec"]),
        status=read_leniently(ModelStatus, document.get("status") or {})[0],
        uid=metadata.get("uid", ""),
        resource_version=metadata.get("resourceVersion", ""),
        pinned=(metadata.get("annotations") or {}).get(ANNOTATION_KEEP) == "true",
        deleting="deletionTimestamp" in metadata,
    )
