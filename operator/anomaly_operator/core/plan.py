"""The decision: what is to be done for a detector, from what is observed and the clock. Pure, so a restart changes nothing.

course    what is to be: revision (revisions), its way to the pods (delivery), training (training)
children  manifests that differ from it (manifests, drift), what must go, pods to be told
status    findings, conditions, figures (findings, conditions, reporting), and the registry's (registry)
"""

from typing import Final

from anomaly_api.schema import digest
from anomaly_api.status import TrainingStatus
from anomaly_operator.core.actions import Notice, Plan
from anomaly_operator.core.desired_state import Course, course
from anomaly_operator.core.models import model_status
from anomaly_operator.core.resources import children
from anomaly_operator.core.resources.manifests import Installation
from anomaly_operator.core.resources.names import DEPLOYMENTS, detector_child
from anomaly_operator.core.snapshot import Observed
from anomaly_operator.core.status import conditions, health, report
from anomaly_operator.core.status.conditions import Facts, Transition
from anomaly_operator.core.status.health import Finding, Standing
from anomaly_operator.core.training import order as training_order

BUSY: Final = 3.0
REST: Final = 10.0
"""Seconds until pods are asked again, while something is under way and when all is well."""


def plan(observed: Observed, installation: Installation, now: float) -> Plan:
    """Everything that follows from `observed` at `now` (Unix seconds)."""
    todo = course(observed, now)
    drawn = conditions.draw(_facts(observed, todo, now))
    refresh = report.figures_due(observed, now)
    before = observed.detector.status
    settled, transitions = conditions.settle(drawn, before.conditions or [], observed.detector.generation, now, refresh=refresh)
    status = report.report(observed, todo.choice.revision, _training_status(observed, todo), todo.scale.status, settled, now)
    return Plan(
        actions=(*children.actions(observed, installation, todo), *model_status.entries(observed, todo.choice.revision, now)),
        status=report.merge_patch(before.document(), status.document()),
        notices=_notices(observed, todo, transitions),
        look_again_in=_look_again_in(drawn, todo),
        ready=drawn[conditions.READY].status == "True",
        scoring=drawn[conditions.SCORING].status == "True",
        alerting=drawn[conditions.ALERTING].status != "False",
    )


def _facts(observed: Observed, todo: Course, now: float) -> Facts:
    revision = todo.choice.revision
    scorer = f"AnomalyModel {revision.model_name}" if revision.model else "the robust statistical scorer"
    refused = observed.refused
    return Facts(
        source=health.source(observed),
        model=_model(observed, todo, scorer),
        scoring=health.scoring(observed, now),
        alerting=health.alerting(observed),
        scorer=scorer,
        prevented=todo.prevented,
        refused=Finding("False", refused.reason, refused.message, Standing.STALLED) if refused and not refused.of_model else None,
        troubled=health.troubled(observed),
        behind=_behind(observed, todo),
    )


def _model(observed: Observed, todo: Course, scorer: str) -> Finding:
    """ModelAvailable."""
    choice, fate = todo.choice, todo.fate
    if todo.prevented and choice.awaited:
        return todo.prevented
    if choice.reason:
        return Finding("False", choice.reason, f"{choice.message}. Meanwhile {scorer} decides.", Standing.STALLED)
    if fate is not None:
        standing = Standing.STALLED if fate.waits_for_people else Standing.MOVING
        return Finding("False", fate.reason, f"{fate.message} (meanwhile {scorer} decides)", standing)
    if observed.refused is not None and observed.refused.of_model:
        return Finding("False", observed.refused.reason, observed.refused.message, Standing.STALLED)
    failure = health.stable_failure(observed, choice.revision.name)
    if failure is not None:
        return health.of_failure(failure, choice.revision.model_name or "")
    if choice.model is None:
        return Finding("True", "NotNeeded", "the robust statistical scorer needs no model")
    reason = "Referenced" if observed.detector.spec.model.model_ref else "Trained"
    return Finding("True", reason, f"AnomalyModel {choice.model.name} is in use")


def _behind(observed: Observed, todo: Course) -> Finding | None:
    """Whether the pods are not yet what and where they should be."""
    live = observed.children.get((DEPLOYMENTS, detector_child(observed.detector.name)))
    if live is None:
        return Finding("False", "PodsStarting", "the scoring pods are being made")
    status, wanted = live.get("status", {}), live["spec"].get("replicas", 1)
    seen = status.get("observedGeneration", 0) >= live["metadata"].get("generation", 0)
    if not seen or status.get("updatedReplicas", 0) < wanted or status.get("replicas", 0) > wanted:
        return Finding("False", "PodsRolling", "the scoring pods are being replaced")
    evidence, revision = observed.evidence_by_pod, todo.choice.revision.name
    for pod in health.scoring_pods(observed):
        said = evidence.get(pod.name)
        loaded = said is not None and any(each.revision == revision and each.loaded for each in said.revisions)
        if said is not None and (said.assignment != todo.assignment.digest or not loaded):
            return Finding("False", "Assigning", f"pod {pod.name} has not taken over revision {revision} yet")
    return None


def _training_status(observed: Observed, todo: Course) -> TrainingStatus | None:
    if todo.asked is None:
        return None
    if todo.fate is not None:
        return None if todo.prevented else todo.fate.status
    return report.completed(todo.choice.model) if todo.choice.model else observed.detector.status.training


def _notices(observed: Observed, todo: Course, transitions: list[Transition]) -> tuple[Notice, ...]:
    """Events: what changed, each thing once. Ready is told when no other condition says the same."""
    detector, notices = observed.detector, []
    revision, stable = todo.choice.revision, detector.status.stable
    if stable is None or stable.revision != revision.name:
        scorer = f"AnomalyModel {revision.model_name}" if revision.model else "the robust statistical scorer"
        key = digest([detector.uid, "stable", stable.since if stable else "", revision.name])
        notices.append(Notice(key, "RevisionStable", f"revision {revision.name} decides now, with {scorer}"))
    notices += _scaled(observed, todo)
    order = (conditions.SOURCE, conditions.MODEL, conditions.SCORING, conditions.ALERTING, conditions.READY)
    for transition in sorted(
        transitions, key=lambda each: order.index(each.condition.type) if each.condition.type in order else 9
    ):
        now, before = transition.condition, transition.before
        if now.type not in order or now.status == "Unknown" or now.reason in {notice.reason for notice in notices}:
            continue
        told = [before.status, before.reason, before.last_transition_time] if before else []
        key = digest([detector.uid, detector.generation, now.type, now.status, now.reason, told])
        notices.append(Notice(key, now.reason, f"{now.type}: {now.message}", transition.warning))
    return tuple(notices)


def _scaled(observed: Observed, todo: Course) -> list[Notice]:
    """That there are to be more or fewer pods."""
    before, now = observed.detector.status.scaling, todo.scale.status
    if before is None or now is None or before.replicas == now.replicas:
        return []
    why = {"Lag": "the stream was further behind than spec.scaling.lagSeconds", "Idle": "fewer keep up with the stream"}
    message = f"{now.replicas} pods instead of {before.replicas}: {why.get(now.reason, 'spec.scaling was changed')}"
    key = digest([observed.detector.uid, "scaled", before.since, now.replicas])
    return [Notice(key, "ScaledUp" if now.replicas > before.replicas else "ScaledDown", message)]


def _look_again_in(drawn: dict[str, Finding], todo: Course) -> float:
    if todo.prevented:
        return REST * 6
    reconciling = drawn[conditions.RECONCILING]
    moving = reconciling.status == "True" or drawn[conditions.SCORING].status == "Unknown"
    if reconciling.reason == training_order.WAITING_FOR_DATA and drawn[conditions.SCORING].status == "True":
        return REST  # it may last for days
    return BUSY if moving else REST
