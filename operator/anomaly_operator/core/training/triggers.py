"""When to train: which training is in force, what asked for it, and what will ask next. Pure; the status keeps what is in force.

    cause                                                  request                       waits
    Spec      the order has another key than the status    (that of before)              for nothing
    Request   another word in the annotation               Request:<word>                for nothing
    Schedule  `status.training.next` has passed            Schedule:<the last due time>  for the training before, its rollout
    Drift     drift, with `drift.action: Retrain`          Drift:<since when>            for those, and training.minInterval
    Feedback  a label Normal                               Feedback:<when it was given>  for those, and training.minInterval

The request is part of the order's key, so whatever asks again for what was asked for finds its Job, or its model. Times before
`status.training.last` are answered by the training in force. Drift and labels that it did not answer, because its model was
rejected or aborted, or the training failed, ask again after training.minInterval.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from anomaly_api.assignment import TrainingOrder
from anomaly_api.schedule import following, latest
from anomaly_api.schema import seconds
from anomaly_api.status import TrainingReason, TrainingStatus
from anomaly_operator.core.drift import DriftVerdict
from anomaly_operator.core.feedback import FeedbackView
from anomaly_operator.core.models import gate
from anomaly_operator.core.models.selection import newest
from anomaly_operator.core.snapshot import Model, Snapshot
from anomaly_operator.core.timestamps import rfc3339, unix
from anomaly_operator.core.training.order import made_by, requested

_ENDS: Final = ("Complete", "Rejected", "Failed")


@dataclass(frozen=True)
class Trigger:
    """What asked for the training in force, and what asks next."""

    order: TrainingOrder
    """The training in force."""
    reason: TrainingReason
    last: float
    """When it was asked for. Unix seconds, as all times here."""
    token: str
    """Word of the annotation that was heeded last."""
    next: float | None = None
    """When the schedule is due next."""
    held_until: float | None = None
    """Until when drift or a label waits; None: none does."""

    @property
    def request(self) -> str:
        """What asked for it; empty: the spec."""
        return self.order.request

    def told(self, status: TrainingStatus) -> TrainingStatus:
        """The status of the training, with what is in force."""
        return status.model_copy(
            update={
                "reason": self.reason,
                "request": self.request or None,
                "last": rfc3339(self.last),
                "next": rfc3339(self.next) if self.next is not None else None,
                "held_until": rfc3339(self.held_until) if self.held_until is not None else None,
                "token": self.token or None,
            }
        )


def trigger(
    snapshot: Snapshot, order: TrainingOrder, drift: DriftVerdict, feedback: FeedbackView, now: float, *, blocked: bool
) -> Trigger:
    """The training in force at `now`, given the order that the spec leads to. While nothing may run, nothing is asked for."""
    present = _scheduled(snapshot, _in_force(snapshot, order, now), now)
    if blocked:
        return present
    token = snapshot.detector.token
    if token and token != present.token:
        return _asked(present, "Request", f"Request:{token}", now, token=token)
    over, model = _over(snapshot, present.order)
    if not over:
        return present
    due = present.next
    if due is not None and due <= now:
        training = snapshot.detector.spec.training
        assert training.schedule is not None, "there is a next time"
        begun = latest(training.schedule, training.time_zone, now) or due
        asked = _asked(present, "Schedule", f"Schedule:{rfc3339(begun)}", now)
        return replace(asked, next=following(training.schedule, training.time_zone, now))
    causes = list(_causes(snapshot, present, drift, feedback, model))
    return _damped(snapshot, present, causes, now)


def _in_force(snapshot: Snapshot, order: TrainingOrder, now: float) -> Trigger:
    """As the status has it. Where it has nothing, the newest model of this very spec tells what asked for it."""
    before, detector = snapshot.detector.status.training, snapshot.detector
    if before is None or before.reason is None or before.last is None:
        fitting = [model for model in snapshot.models.values() if model.owner == detector.uid and made_by(order, model)]
        model = max(fitting, key=lambda each: (each.created, each.name), default=None)
        token = detector.token if before is None else ""  # a first training answers it
        found = requested(order, model.request if model else "")
        return Trigger(found, "Spec", model.created if model else now, token)
    found = requested(order, before.request or "")
    present = Trigger(found, before.reason, unix(before.last), before.token or "", unix(before.next) if before.next else None)
    return present if before.job == found.job else replace(present, reason="Spec", last=now)


def _scheduled(snapshot: Snapshot, present: Trigger, now: float) -> Trigger:
    """With the next time of the schedule: the one that is known, even if it has passed, unless the schedule is another."""
    training = snapshot.detector.spec.training
    if training.schedule is None:
        return replace(present, next=None)
    known = present.next
    if known is not None and following(training.schedule, training.time_zone, known - 1) == known:
        return present
    return replace(present, next=following(training.schedule, training.time_zone, now))


def _over(snapshot: Snapshot, order: TrainingOrder) -> tuple[bool, Model | None]:
    """Whether a training is done or given up, as the status tells, and its model, if there is one.

    A model that the gate let in is done with once it decides, its rollout was aborted, or it cannot be used. Were another
    training asked for before that, it would be taken away untried, and with a short schedule each of them would.
    """
    status, model = snapshot.detector.status, newest(snapshot, order.key)
    before = status.training
    if before is None or before.job != order.job or before.state not in _ENDS:
        return False, model
    if model is None or gate.rejected(snapshot.detector, model):
        return before.state != "Complete", model  # a model that was deleted is trained again
    decides = status.stable is not None and status.stable.model == model.name
    aborted = status.aborted is not None and status.aborted.model == model.name
    unusable = any(each.type == "ModelAvailable" and each.status == "False" for each in status.conditions or [])
    return decides or aborted or unusable, model


def _causes(
    snapshot: Snapshot, present: Trigger, drift: DriftVerdict, feedback: FeedbackView, made: Model | None
) -> Iterator[tuple[TrainingReason, float]]:
    """What the training in force, which made `made`, has not answered, and since when."""
    stable = snapshot.detector.status.stable
    decides = snapshot.models.get(stable.model) if stable and stable.model else None
    in_vain = made is None or decides is None or made.name != decides.name
    since, normal = drift.retrain_since, feedback.normal_since
    if since is not None and (in_vain or since > present.last):
        yield "Drift", since
    if normal is not None and (normal > present.last or (in_vain and decides is not None and normal > decides.created)):
        yield "Feedback", normal


def _damped(snapshot: Snapshot, present: Trigger, causes: list[tuple[TrainingReason, float]], now: float) -> Trigger:
    """The training that a cause leads to, unless the last one was too short a time ago. One of the spec is no reason to wait."""
    if not causes:
        return present
    reason, since = min(causes, key=lambda each: each[1])
    answered = since <= present.last
    free = present.last + seconds(snapshot.detector.spec.training.min_interval)
    if now < free and (answered or present.reason != "Spec"):
        return replace(present, held_until=free)
    moment = free if answered else since
    return _asked(present, reason, f"{reason}:{rfc3339(moment)}", now)


def _asked(present: Trigger, reason: TrainingReason, request: str, now: float, token: str | None = None) -> Trigger:
    order = requested(present.order, request)
    return Trigger(order, reason, now, present.token if token is None else token, present.next)
