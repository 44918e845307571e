"""The conditions: four that speak of one thing each, and Ready, Reconciling and Stalled drawn from them, as kstatus wants.

Ready is True when the stream is scored as the spec says. Of several obstacles the first in `_obstacles` is named.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from anomaly_api.status import Condition
from anomaly_operator.core.models.gate import CANDIDATE_REJECTED
from anomaly_operator.core.status.health import ConditionDraft, Progress
from anomaly_operator.core.text import bounded
from anomaly_operator.core.timestamps import rfc3339

READY, RECONCILING, STALLED = "Ready", "Reconciling", "Stalled"
SOURCE, MODEL, SCORING, ALERTING = "SourceReachable", "ModelAvailable", "Scoring", "Alerting"
ARRIVING: Final = "ReadingsArriving"
USED: Final = "ReadingsUsed"
_WORRYING: Final = (Progress.STALLED, Progress.RESTING)
DRIFT: Final = "DriftDetected"
ROLLOUT: Final = "Progressing"
RETRAINING, RETRAINING_FAILED = "Retraining", "RetrainingFailed"
_TOLD_AS_WARNINGS: Final = (CANDIDATE_REJECTED, RETRAINING_FAILED)
"""Reasons of ModelAvailable while it is True."""
ORDER = (READY, RECONCILING, STALLED, SOURCE, MODEL, SCORING, ALERTING, ARRIVING, USED, DRIFT, ROLLOUT)


@dataclass(frozen=True)
class ConditionInputs:
    """What the conditions are drawn from."""

    source: ConditionDraft
    model: ConditionDraft
    scoring: ConditionDraft
    alerting: ConditionDraft
    """Nothing else hangs on it: what is held back is held back because someone asked for it."""
    arriving: ConditionDraft
    """Nothing else hangs on it: a topic may be quiet."""
    used: ConditionDraft
    """Nothing else hangs on it: the readings that count are scored."""
    drift: ConditionDraft
    """Nothing else hangs on it: what is unlike the training data is scored all the same."""
    rollout: ConditionDraft
    """Ready does not hang on it: what decides is stable, and a candidate is no obstacle."""
    scorer: str
    """What scores, for people."""
    blocked: ConditionDraft | None = None
    """Why nothing is to run at all: paused, or the consumer group is taken."""
    spec_error: ConditionDraft | None = None
    """The newest spec is not the one that is acted on."""
    apply_error: ConditionDraft | None = None
    """The API server refused a child."""
    pod_failure: ConditionDraft | None = None
    """A scoring pod does not run."""
    lagging: ConditionDraft | None = None
    """Pods are being replaced, or have not taken over the revision yet."""


@dataclass(frozen=True)
class Transition:
    """A condition that changed its status or reason: worth an Event."""

    condition: Condition
    before: Condition | None
    warning: bool = field(default=False)


def evaluate(inputs: ConditionInputs) -> dict[str, ConditionDraft]:
    """A draft of each condition."""
    parts = {
        SOURCE: inputs.blocked or inputs.source,
        MODEL: inputs.model,
        SCORING: inputs.blocked or inputs.scoring,
        ALERTING: inputs.blocked or inputs.alerting,
        ARRIVING: inputs.blocked or inputs.arriving,
        USED: inputs.blocked or inputs.used,
        DRIFT: inputs.drift,
        ROLLOUT: inputs.rollout,
    }
    obstacle = next(_obstacles(inputs), None)
    if obstacle is None:
        message = f"the stream is scored by {inputs.scorer}"
        ready, rest = ConditionDraft("True", "Ready", message), ConditionDraft("False", "Ready", message)
        rollout = inputs.rollout
        moving = rollout.status == "True" and rollout.progress is Progress.MOVING
        return {
            READY: ready,
            RECONCILING: ConditionDraft("True", rollout.reason, rollout.message) if moving else rest,
            STALLED: ConditionDraft("True", rollout.reason, rollout.message) if rollout.progress is Progress.STALLED else rest,
            **parts,
        }
    ready = ConditionDraft("False", obstacle.reason, obstacle.message)
    moving, stalled = obstacle.progress is Progress.MOVING, obstacle.progress is Progress.STALLED
    return {
        READY: ready,
        RECONCILING: ConditionDraft("True" if moving else "False", obstacle.reason, obstacle.message),
        STALLED: ConditionDraft("True" if stalled else "False", obstacle.reason, obstacle.message),
        **parts,
    }


def set_conditions(
    drafts: Mapping[str, ConditionDraft], before: list[Condition], generation: int, now: float, *, refresh: bool
) -> tuple[list[Condition], list[Transition]]:
    """Conditions with their times, and which of them changed.

    Without `refresh`, a condition that says the same about the same generation keeps its message: numbers in it must
    not make a write every few seconds.
    """
    known = {condition.type: condition for condition in before}
    conditions, transitions = [], []
    for name in ORDER:
        draft, old = drafts[name], known.get(name)
        same = old is not None and (old.status, old.reason) == (draft.status, draft.reason)
        held = old.message if old and same and old.observed_generation == generation and not refresh else bounded(draft.message)
        condition = Condition(
            type=name,
            status=draft.status,
            reason=draft.reason,
            message=held,
            observed_generation=generation,
            last_transition_time=old.last_transition_time if old and old.status == draft.status else rfc3339(now),
        )
        conditions.append(condition)
        if not same:
            bad = "True" if name == DRIFT else "False"
            warning = (
                (draft.status == bad or draft.reason in _TOLD_AS_WARNINGS)
                and draft.progress in _WORRYING
                and name not in (RECONCILING, STALLED)
            )
            transitions.append(Transition(condition, old, warning))
    return conditions, transitions


def _obstacles(inputs: ConditionInputs) -> Iterator[ConditionDraft]:
    """What stands between the detector and Ready, the most telling first."""
    yield from (draft for draft in (inputs.spec_error, inputs.blocked, inputs.apply_error, inputs.pod_failure) if draft)
    if inputs.source.status == "False":
        yield inputs.source
    if inputs.model.status != "True":
        yield inputs.model
    if inputs.lagging:
        yield inputs.lagging
    if inputs.scoring.status != "True":
        yield inputs.scoring
