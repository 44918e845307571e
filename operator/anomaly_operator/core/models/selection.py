"""Which revision is to decide: from the spec, the models there are, and the revision that decides now.

How it comes to decide is `core/rollout`. While one is being trained the old revision goes on, with the
pipeline it was trained for; without one the fallback scorer decides on the new pipeline from the first reading.
"""

import json
from dataclasses import dataclass, replace
from typing import Final

from pydantic import ValidationError

from anomaly_api import revision
from anomaly_api.assignment import Assignment, Revision, TrainingOrder
from anomaly_api.meta import ASSIGNMENT_FILE
from anomaly_api.source import Pipeline
from anomaly_operator.core.memo import ByIdentity
from anomaly_operator.core.models import gate
from anomaly_operator.core.models.history import recorded
from anomaly_operator.core.resources.names import ANNOTATION_CONTENT, CONFIG_MAPS, detector_child
from anomaly_operator.core.snapshot import Detector, Manifest, Model, Snapshot
from anomaly_operator.core.training.order import made_by

REFUSED: Final = "ModelRefused"
UNVERIFIED: Final = "ModelUnverified"


@dataclass(frozen=True)
class RevisionSelection:
    """The revision that is to decide, and why it is not what the spec asks for, if it is not."""

    revision: Revision
    model: Model | None = None
    """The AnomalyModel of `revision`, if it still exists."""
    reason: str = ""
    """Why the spec's model does not decide; empty when it does (or when it is being trained)."""
    message: str = ""
    awaited: bool = False
    """Whether a model of the spec's own is still to be trained."""
    rejected: Model | None = None
    """The model that was trained for the spec, where the gate rejected it."""


def select(snapshot: Snapshot, order: TrainingOrder | None) -> RevisionSelection:
    """The stable revision. `order` is the training in force; None where nothing is trained."""
    detector, current = snapshot.detector, current_revision(snapshot)
    if detector.spec.model.model_ref is not None:
        return _referenced(snapshot, detector.spec.model.model_ref.name, current)
    if order is None:
        return RevisionSelection(revision.without_model(detector.spec))
    model = newest(snapshot, order.key)
    if model is None:
        return _kept(snapshot, _compared(snapshot, order) or current, awaited=True)
    if gate.rejected(detector, model):
        return _after_rejection(snapshot, current, model)
    return _with_model(detector, model, detector.spec.pipeline)


def _compared(snapshot: Snapshot, order: TrainingOrder) -> Revision | None:
    """The candidate, where its model is what the spec still asks for: a training of later data does not end its rollout."""
    candidate = snapshot.detector.status.candidate
    found = recorded(snapshot, candidate.revision) if candidate else None
    model = snapshot.models.get(found.model_name or "") if found else None
    return found if model is not None and made_by(order, model) else None


def newest(snapshot: Snapshot, key: str) -> Model | None:
    """The newest model that was trained for this detector by the order with this key."""
    detector = snapshot.detector
    fitting = [model for model in snapshot.models.values() if model.training == key and _trained_for(model, detector)]
    return max(fitting, key=lambda model: (model.created, model.name), default=None)


def _trained_for(model: Model, detector: Detector) -> bool:
    """Whether it is the detector's, or was one of that name's before it was deleted with `--cascade=orphan`."""
    if model.owner:
        return model.owner == detector.uid
    return model.spec.trained is not None and model.spec.trained.detector == detector.name


def current_assignment(snapshot: Snapshot) -> Assignment | None:
    """What the pods have been told; None when they were told nothing, or when someone edited it."""
    live = snapshot.children.get((CONFIG_MAPS, detector_child(snapshot.detector.name)))
    return _told(live) if live is not None else None


def _read(live: Manifest) -> Assignment | None:
    try:
        assignment = Assignment.model_validate(json.loads(live.get("data", {}).get(ASSIGNMENT_FILE, "null")))
    except (ValueError, ValidationError):
        return None
    written = live["metadata"].get("annotations", {}).get(ANNOTATION_CONTENT)
    return assignment if assignment.digest == written else None


_told: Final = ByIdentity(lambda live: live["metadata"].get("uid"), _read)


def current_revision(snapshot: Snapshot) -> Revision | None:
    """The revision that decides now: the one that the status names, as it is on record.

    Where there is no record, what the pods have been told; where someone has taken that away too, what status and model tell.
    """
    stable = snapshot.detector.status.stable
    kept = recorded(snapshot, stable.revision) if stable else None
    if kept is not None:
        return kept
    assignment = current_assignment(snapshot)
    if assignment is not None:
        told = [each for each in (assignment.stable, assignment.candidate) if each is not None]
        return next((each for each in told if stable is not None and each.name == stable.revision), assignment.stable)
    model = snapshot.models.get(stable.model) if stable and stable.model else None
    if model is None or model.spec.trained is None or model.spec.trained.pipeline is None:
        return None
    try:
        pipeline = Pipeline.model_validate(model.spec.trained.pipeline)
    except ValidationError:
        return None
    return _with_model(snapshot.detector, model, pipeline).revision


def _referenced(snapshot: Snapshot, name: str, current: Revision | None) -> RevisionSelection:
    model = snapshot.models.get(name)
    if model is None:
        message = (
            f"there is no AnomalyModel {name} in namespace {snapshot.detector.namespace}: create it, or correct model.modelRef"
        )
        return _kept(snapshot, current, reason="ModelNotFound", message=message)
    mismatch = revision.mismatch(snapshot.detector.spec.pipeline, model.spec.interface)
    if mismatch:
        message = f"AnomalyModel {name} does not fit the spec: {mismatch}"
        return _kept(snapshot, current, reason="InterfaceMismatch", message=message)
    checked = next((each for each in model.status.conditions or [] if each.type == "Verified"), None)
    if model.brought and (checked is None or checked.status != "True"):
        said = f": {checked.message}" if checked else ""
        if checked is not None and checked.status == "False":
            return _kept(snapshot, current, reason=REFUSED, message=f"AnomalyModel {name} is not loaded{said}")
        return _kept(snapshot, current, reason=UNVERIFIED, message=f"AnomalyModel {name} is not checked yet{said}")
    return _with_model(snapshot.detector, model, snapshot.detector.spec.pipeline)


def _after_rejection(snapshot: Snapshot, current: Revision | None, model: Model) -> RevisionSelection:
    """What decided before. Where that is a model of the spec's own pipeline, nothing is amiss but that there is no better one."""
    kept = _kept(snapshot, current)
    fits = kept.model is not None and kept.revision.pipeline.learned == snapshot.detector.spec.pipeline.learned
    if kept.reason or fits:
        return replace(kept, rejected=model)
    return replace(kept, rejected=model, reason=gate.CANDIDATE_REJECTED, message=gate.sentence(model))


def _kept(
    snapshot: Snapshot, current: Revision | None, reason: str = "", message: str = "", *, awaited: bool = False
) -> RevisionSelection:
    """The model that decides now, under today's thresholds and alert policy; the fallback scorer when there is none."""
    detector = snapshot.detector
    if current is None or current.model is None:
        return RevisionSelection(revision.without_model(detector.spec), reason=reason, message=message, awaited=awaited)
    model = next((each for each in snapshot.models.values() if each.spec.digest == current.model), None)
    if model is not None and not revision.mismatch(current.pipeline, model.spec.interface):
        selection = _with_model(detector, model, current.pipeline)
        return RevisionSelection(selection.revision, model, reason or selection.reason, message or selection.message, awaited)
    kept = revision.with_policies_of(detector.spec, current)
    return RevisionSelection(kept, reason=reason, message=message, awaited=awaited)


def _computed(detector: Detector, model: Model, pipeline: Pipeline) -> RevisionSelection:
    try:
        return RevisionSelection(revision.with_model(detector.spec, pipeline, model.name, model.spec), model)
    except revision.NotCalibratedError as error:
        return RevisionSelection(revision.without_model(detector.spec), reason="ModelNotCalibrated", message=str(error))


_with_model: Final = ByIdentity(lambda detector, model, pipeline: (detector.uid, model.name), _computed)
