"""Events: what changed, each thing once. An Event's key is derived from what happened, so that it is recorded once."""

from typing import Final

from anomaly_api.schema import digest
from anomaly_api.status import TrainingReason
from anomaly_operator.core.actions import Event
from anomaly_operator.core.desired_state import DesiredState
from anomaly_operator.core.snapshot import Snapshot
from anomaly_operator.core.status import conditions
from anomaly_operator.core.status.conditions import Transition
from anomaly_operator.core.timestamps import rfc3339


def events(snapshot: Snapshot, desired: DesiredState, transitions: list[Transition]) -> tuple[Event, ...]:
    """Events of the transitions and of a new revision or scale. Ready gets one when no other condition has the same reason."""
    detector, found = snapshot.detector, list[Event]()
    revision, stable = desired.rollout.deciding, detector.status.stable
    if stable is None:
        scorer = f"AnomalyModel {revision.model_name}" if revision.model else "the robust statistical scorer"
        key = digest([detector.uid, "stable", "", revision.name])
        found.append(Event(key, "RevisionStable", f"revision {revision.name} decides now, with {scorer}"))
    found += _scaled(snapshot, desired)
    found += _training(snapshot, desired)
    for move in desired.thresholds.new:
        key = digest([detector.uid, "threshold", move.model, move.asked, move.message.split(":")[0], move.moves])
        found.append(Event(key, "ThresholdMoved", move.message))
    of_input = (conditions.ARRIVING, conditions.USED)
    said_alone = (conditions.ALERTING, conditions.DRIFT)
    order = (conditions.SOURCE, conditions.MODEL, conditions.SCORING, *said_alone, *of_input, conditions.READY)
    for transition in sorted(
        transitions, key=lambda each: order.index(each.condition.type) if each.condition.type in order else 9
    ):
        now, before = transition.condition, transition.before
        resting = now.type in of_input and "False" not in (now.status, before.status if before else "")
        steady = now.type == conditions.DRIFT and "True" not in (now.status, before.status if before else "")
        retrained = now.reason == conditions.RETRAINING or (before is not None and before.reason == conditions.RETRAINING)
        if retrained and now.status == "True" and not transition.warning:  # its start and its end have Events of their own
            continue
        if resting or steady:  # a stream with pauses is Quiet and Arriving in turns
            continue
        if now.type not in order or now.status == "Unknown" or now.reason in {event.reason for event in found}:
            continue
        said = [before.status, before.reason, before.last_transition_time] if before else []
        key = digest([detector.uid, detector.generation, now.type, now.status, now.reason, said])
        found.append(Event(key, now.reason, f"{now.type}: {now.message}", transition.warning))
    return tuple(found)


_WHY: Final[dict[TrainingReason, str]] = {
    "Spec": "the spec asks for a model that is not there",
    "Schedule": "training.schedule is due",
    "Request": "the annotation anomaly-operator.dev/train asks for it",
    "Drift": "what arrives is not what the model was trained on (drift.action: Retrain)",
    "Feedback": "somebody said that something is normal now",
}


def _training(snapshot: Snapshot, desired: DesiredState) -> list[Event]:
    """The Event of a training whose Job is made now, or that begins to wait for its turn."""
    outcome, why, before = desired.training_outcome, desired.trigger, snapshot.detector.status.training
    if outcome is None or why is None or desired.blocked is not None:
        return []
    job, because = why.order.job, f"{why.reason}: {_WHY[why.reason]}"
    of = [snapshot.detector.uid, job, rfc3339(why.last)]
    if outcome.starts:
        return [Event(digest([*of, "training started"]), "TrainingStarted", f"{because}; Job {job} trains")]
    if outcome.status.state == "Queued" and (before is None or (before.state, before.job) != ("Queued", job)):
        return [Event(digest([*of, "training queued"]), "TrainingQueued", f"{because}; {outcome.message}")]
    return []


def transition(snapshot: Snapshot, desired: DesiredState) -> Event | None:
    """The Event of the rollout's transition, which is recorded once the status has it."""
    rollout = desired.rollout
    if rollout.change is None:
        return None
    was, after = rollout.persisted, rollout.after
    states = [[each.stable, each.phase.value, each.candidate, each.since, each.step, each.aborted] for each in (was, after)]
    key = digest([snapshot.detector.uid, "rollout", rollout.change.reason, states])
    return Event(key, rollout.change.reason, rollout.change.message, rollout.change.warning)


def _scaled(snapshot: Snapshot, desired: DesiredState) -> list[Event]:
    """The Event of a changed number of pods."""
    before, now = snapshot.detector.status.scaling, desired.scale.status
    if before is None or now is None or before.replicas == now.replicas:
        return []
    why = {"Lag": "the stream was further behind than spec.scaling.maxLag", "Idle": "fewer keep up with the stream"}
    message = f"{now.replicas} pods instead of {before.replicas}: {why.get(now.reason, 'spec.scaling was changed')}"
    key = digest([snapshot.detector.uid, "scaled", before.since, now.replicas])
    return [Event(key, "ScaledUp" if now.replicas > before.replicas else "ScaledDown", message)]
