"""The decision: what is to be done for a detector, from a snapshot and the clock. Pure, so a restart changes nothing.

desired_state  revision, slots, training, scale: what is to be
children       manifests that differ from it, what must go, mounts to be refreshed
status         conditions, Events, stream stats, the models' status
requeue        when to look again
"""

from anomaly_api.assignment import Revision
from anomaly_api.status import TrainingStatus
from anomaly_operator.core.actions import Delete, Plan
from anomaly_operator.core.desired_state import DesiredState, desired_state
from anomaly_operator.core.models import model_status, retention
from anomaly_operator.core.requeue import requeue_after
from anomaly_operator.core.resources import children
from anomaly_operator.core.resources.manifests import Installation
from anomaly_operator.core.resources.names import MODELS
from anomaly_operator.core.snapshot import Snapshot
from anomaly_operator.core.status import conditions, report
from anomaly_operator.core.status.condition_inputs import condition_inputs
from anomaly_operator.core.status.events import events, transition
from anomaly_operator.core.status.health import WARMING_UP
from anomaly_operator.core.training.queue import Standing


def plan(snapshot: Snapshot, installation: Installation, now: float) -> Plan:
    """Everything that follows from `snapshot` at `now` (Unix seconds)."""
    desired = desired_state(snapshot, now)
    drafts = conditions.evaluate(condition_inputs(snapshot, desired, now))
    refresh = report.stats_due(snapshot, now)
    before = snapshot.detector.status
    current, transitions = conditions.set_conditions(
        drafts, before.conditions or [], snapshot.detector.generation, now, refresh=refresh
    )
    status = report.report(
        snapshot,
        desired.rollout,
        _training_status(snapshot, desired),
        desired.scale.status,
        desired.drift.figures,
        desired.feedback.status,
        desired.thresholds,
        current,
        now,
    )
    return Plan(
        actions=(
            *children.actions(snapshot, installation, desired),
            *model_status.entries(snapshot, _in_use(desired), now),
            *(
                Delete(MODELS, old.name, old.uid, old.resource_version)
                for old in retention.outdated(snapshot, desired.selection, desired.rollout.kept)
            ),
        ),
        status=report.merge_patch({**before.document(), **snapshot.detector.unread_status}, status.document()),
        events=events(snapshot, desired, transitions),
        transition=transition(snapshot, desired),
        requeue_after=requeue_after(drafts, desired),
        ready=drafts[conditions.READY].status == "True",
        scoring=drafts[conditions.SCORING].status == "True" or drafts[conditions.SCORING].reason == WARMING_UP,
        arriving=drafts[conditions.ARRIVING].status != "False",
        alerting=drafts[conditions.ALERTING].status != "False",
        drifted=drafts[conditions.DRIFT].status == "True",
        training=desired.training_outcome.standing if desired.training_outcome and not desired.blocked else Standing.NONE,
        training_started=desired.trigger.reason if desired.trigger and desired.starts else "",
    )


def _in_use(desired: DesiredState) -> list[Revision]:
    rollout = desired.rollout
    return [rollout.stable, *([rollout.candidate] if rollout.candidate else [])]


def _training_status(snapshot: Snapshot, desired: DesiredState) -> TrainingStatus | None:
    """How the training in force is going, or how it ended. What asked for it is kept whatever happens, paused or not."""
    why, selection = desired.trigger, desired.selection
    if why is None:
        return None
    if desired.training_outcome is not None:
        status = report.not_run(why.order) if desired.blocked else desired.training_outcome.status
    elif selection.rejected is not None:
        status = report.rejected(selection.rejected, why.order)
    else:
        status = report.completed(selection.model, why.order)
    return why.told(status)
