"""The status: thresholds, training, figures of the stream. Figures are held back so that they do not cause a write each time."""

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from anomaly_api.assignment import Revision, TrainingOrder
from anomaly_api.exposure import ExposureLedger
from anomaly_api.status import (
    Condition,
    DetectorStatus,
    DriftStatus,
    FeedbackStatus,
    MemoryStatus,
    ScalingStatus,
    SourceStatus,
    TrainingStatus,
)
from anomaly_api.threshold_status import ThresholdMove, ThresholdStatus
from anomaly_operator.core.resources.names import pod_labels
from anomaly_operator.core.rollout.view import RolloutView
from anomaly_operator.core.snapshot import Model, Snapshot
from anomaly_operator.core.status.health import scoring_pods
from anomaly_operator.core.text import bounded
from anomaly_operator.core.thresholds.adjusted import ThresholdsView
from anomaly_operator.core.timestamps import rfc3339, unix

STATS_EVERY: Final = 300.0
STATS_EVERY_AT_FIRST: Final = 30.0
"""Seconds between two writes that only change figures: with a thousand detectors at rest they are all the writes there are, and
metrics have the figures too. Somebody may be looking at one that is not ready, for the first minutes."""
_AT_FIRST: Final = 600.0
_WAITS: Final = ("Waiting", "WaitingForData", "Queued")
_FIGURES: Final = {"progress", "readings", "windows", "place", "message"}


def stats_due(snapshot: Snapshot, now: float) -> bool:
    """Whether figures may be written again."""
    ready = next((each for each in snapshot.detector.status.conditions or [] if each.type == "Ready"), None)
    looked_at = ready is not None and ready.status != "True" and now - unix(ready.last_transition_time) < _AT_FIRST
    return now - snapshot.stats_written >= (STATS_EVERY_AT_FIRST if looked_at else STATS_EVERY)


def report(
    snapshot: Snapshot,
    rollout: RolloutView,
    training: TrainingStatus | None,
    scaling: ScalingStatus | None,
    drift: DriftStatus | None,
    feedback: FeedbackStatus | None,
    thresholds: ThresholdsView,
    conditions: list[Condition],
    now: float,
) -> DetectorStatus:
    """The status as it should be."""
    before, due = snapshot.detector.status, stats_due(snapshot, now)
    states = rollout.status
    source = _source(snapshot)
    if before.source is not None and source is not None and not due and before.source.partitions == source.partitions:
        source = before.source
    memory = _memory(snapshot)
    if before.memory is not None and (memory is None or not due):
        memory = before.memory
    return DetectorStatus(
        observed_generation=snapshot.detector.generation,
        conditions=conditions,
        stable=states.stable,
        candidate=states.candidate,
        aborted=states.aborted,
        command=states.command,
        command_handled=states.command_handled,
        history=states.history,
        thresholds=_thresholds(before, rollout, thresholds, due=due),
        exposure=_exposure(before.exposure, thresholds.ledger, due=due),
        training=_held(before.training, training, due=due),
        feedback=_feedback(before.feedback, feedback, due=due),
        drift=_drift(before.drift, drift, due=due),
        source=source,
        memory=memory,
        scaling=scaling,
        replicas=sum(pod.ready for pod in scoring_pods(snapshot)),
        selector=",".join(f"{name}={value}" for name, value in pod_labels(snapshot.detector.name).items()),
    )


def completed(model: Model | None, order: TrainingOrder) -> TrainingStatus:
    """The training that made the model."""
    trained = model.spec.trained if model else None
    return TrainingStatus(state="Complete", job=order.job, readings=trained.readings if trained else None)


def rejected(model: Model, order: TrainingOrder) -> TrainingStatus:
    """The training whose model the gate did not let in."""
    trained = model.spec.trained
    said = bounded(trained.gate.message) if trained and trained.gate else None
    return TrainingStatus(state="Rejected", job=order.job, readings=trained.readings if trained else None, message=said)


def not_run(order: TrainingOrder) -> TrainingStatus:
    """A training that is not run for now, as nothing is."""
    return TrainingStatus(state="Pending", job=order.job)


def merge_patch(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON merge patch (RFC 7386) that turns `before` into `after`; empty when they are the same.

    >>> merge_patch({"a": 1, "b": {"c": 1}}, {"b": {"d": 2}})
    {'b': {'d': 2, 'c': None}, 'a': None}
    """
    patch: dict[str, Any] = {}
    for key, value in after.items():
        old = before.get(key)
        if isinstance(value, dict) and isinstance(old, dict):
            inner = merge_patch(old, value)
            if inner:
                patch[key] = inner
        elif value != old or key not in before:
            patch[key] = value
    return patch | {key: None for key in before if key not in after}


def _held(before: TrainingStatus | None, training: TrainingStatus | None, *, due: bool) -> TrainingStatus | None:
    """A wait may last for days: its figures are written now and then. A training that runs is followed closely."""
    if before is None or training is None or due or training.state not in _WAITS:
        return training
    alike = before.model_dump(exclude=_FIGURES) == training.model_dump(exclude=_FIGURES)
    return before if alike else training


def _feedback(before: FeedbackStatus | None, feedback: FeedbackStatus | None, *, due: bool) -> FeedbackStatus | None:
    """Written at once where there are other labels; the number of episodes, which grows by itself, now and then."""
    if before is None or feedback is None or due:
        return feedback
    alike = {"labels", "rejected", "normal_since", "message"}
    return before if before.model_dump(include=alike) == feedback.model_dump(include=alike) else feedback


def _drift(before: DriftStatus | None, drift: DriftStatus | None, *, due: bool) -> DriftStatus | None:
    """Figures are written now and then; at once where they are of another model, or the first ones."""
    if before is None or drift is None or due or (before.model, before.measure) != (drift.model, drift.measure):
        return drift
    return before


def _thresholds(before: DetectorStatus, rollout: RolloutView, view: ThresholdsView, *, due: bool) -> list[ThresholdStatus]:
    """Thresholds in force. What was realised is written now and then, and at once where the revision is another one."""
    revision = rollout.deciding
    others = rollout.target.model != revision.model  # then the view is of a model that does not decide yet
    known = {each.window: each for each in before.thresholds or []}
    held = not due and before.stable is not None and before.stable.revision == revision.name
    return [
        ThresholdStatus(
            window=each.window,
            value=each.value,
            source=each.source,
            asked=each.asked,
            supported=each.supported,
            expected_episodes=each.expected_episodes,
            entities=each.entities,
            exposure_seconds=each.exposure_seconds,
            factor=each.factor,
            realised=known[each.window].realised if held and each.window in known else view.realised.get(each.window),
            move=_move(known.get(each.window), revision) if others else view.moves.get(each.window),
        )
        for each in revision.thresholds
    ]


def _move(known: ThresholdStatus | None, revision: Revision) -> ThresholdMove | None:
    """The move on record, if it is for the model that decides."""
    return known.move if known is not None and known.move is not None and known.move.model == revision.model else None


def _exposure(before: ExposureLedger | None, ledger: ExposureLedger | None, *, due: bool) -> ExposureLedger | None:
    """Counts are written now and then; at once where they are another revision's, or those of a pod that is gone."""
    if before is None or ledger is None or due:
        return ledger
    alike = (before.revision, before.model, before.settled) == (ledger.revision, ledger.model, ledger.settled)
    return before if alike else ledger


def _memory(snapshot: Snapshot) -> MemoryStatus | None:
    evidence = [each for each in snapshot.evidence_by_pod.values() if each.memory.capacity]
    if not evidence:
        return None
    evicted: Counter[str] = Counter()
    for each in evidence:
        evicted.update(each.memory.evicted)
    return MemoryStatus(
        entities=sum(each.entities for each in evidence),
        capacity=max(each.memory.capacity for each in evidence),
        evicted=evicted.get("Budget"),
        expired=evicted.get("Idle"),
    )


def _source(snapshot: Snapshot) -> SourceStatus | None:
    evidence = list(snapshot.evidence_by_pod.values())
    if not evidence:
        return snapshot.detector.status.source if scoring_pods(snapshot) else None
    newest_score = max(evidence, key=lambda each: each.last_scored or 0.0)
    alerts = [each.last_alert for each in evidence if each.last_alert is not None]
    scored = newest_score.last_scored
    return SourceStatus(
        partitions=sum(each.source.partitions for each in evidence),
        lag=sum(each.source.lag for each in evidence),
        lag_seconds=round(max(each.source.lag_seconds for each in evidence)),
        last_scored=rfc3339(scored) if scored is not None else None,
        last_alert=rfc3339(max(alerts)) if alerts else None,
        last_score=newest_score.last_score,
        dead_letters=sum(sum(each.dead_letters.values()) for each in evidence),
    )
