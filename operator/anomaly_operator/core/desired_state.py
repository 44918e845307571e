"""What is to be for a detector, before it is compared with what is: revision, runtime, training, delivery."""

from dataclasses import dataclass

from anomaly_api.assignment import Assignment, Identity, Runtime, TrainingOrder, state_topic
from anomaly_api.quantity import amount
from anomaly_operator.core import scaling
from anomaly_operator.core.models import selection, slots
from anomaly_operator.core.snapshot import Detector, Observed
from anomaly_operator.core.status.health import Finding, Standing
from anomaly_operator.core.training import order as training_order


@dataclass(frozen=True)
class Course:
    """What is to be."""

    asked: TrainingOrder | None
    """The training that the spec asks for."""
    choice: selection.Choice
    fate: training_order.Training | None
    """Of the training; None when no model is awaited."""
    runtime: Runtime
    assignment: Assignment
    delivery: slots.Delivery
    scale: scaling.Scale
    prevented: Finding | None
    """Why nothing is to run at all."""


def course(observed: Observed, now: float) -> Course:
    """What follows from the spec and the models there are."""
    detector = observed.detector
    prevented = _prevented(observed)
    asked = training_order.order(detector)
    choice = selection.choose(observed, asked.key if asked else None)
    fate = training_order.judge(observed, asked, now) if asked and choice.awaited else None
    needed = {choice.revision.model: choice.model} if choice.revision.model else {}
    carried = slots.deliver(observed, needed)
    assignment = Assignment(stable=choice.revision, artifacts=carried.artifacts)
    return Course(asked, choice, fate, _runtime(detector), assignment, carried, scaling.scale(observed, now), prevented)


def _runtime(detector: Detector) -> Runtime:
    return Runtime(
        detector=Identity(namespace=detector.namespace, name=detector.name, uid=detector.uid),
        kafka=detector.spec.source.kafka,
        group_id=detector.group_id,
        alerts_topic=detector.spec.alerts_topic,
        dead_letter_topic=detector.spec.dead_letter_topic,
        state_topic=detector.spec.state_topic or state_topic(detector.spec.source.kafka.topic, detector.group_id),
        delivery=detector.spec.delivery,
        memory_budget=int(amount(detector.spec.memory_budget)),
        expire_after=detector.spec.entity.expire_after,
    )


def _prevented(observed: Observed) -> Finding | None:
    detector, rival = observed.detector, observed.rival
    if detector.spec.paused:
        return Finding("False", "Paused", "spec.paused is set: nothing is scored or trained", Standing.WANTED)
    if rival is not None:
        message = (
            f"AnomalyDetector {rival.namespace}/{rival.name}, which is older, reads these brokers with the same consumer group "
            f"{detector.group_id}: they would take each other's readings. Set another source.kafka.groupId here, or delete one."
        )
        return Finding("False", "GroupConflict", message, Standing.STALLED)
    return None
