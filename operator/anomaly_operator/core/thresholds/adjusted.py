"""The thresholds that are to be in force: as spec and held-out data say, for the fleet as it is, moved by labels and alerts.

`adjusted` is the one place that moves thresholds. What it returns differs from the revision in force by its thresholds alone, so
it is a revision like any other: it becomes stable, or is rolled out, as such.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from anomaly_api.assignment import Revision
from anomaly_api.calibration import Calibration, WindowThreshold
from anomaly_api.exposure import ExposureLedger, WindowExposure
from anomaly_api.policy import Budget, BudgetScope
from anomaly_api.threshold_status import RealisedStatus, ThresholdMove
from anomaly_api.thresholds import PER, scaled, window_threshold
from anomaly_operator.core.feedback import FeedbackView, moved
from anomaly_operator.core.models.selection import RevisionSelection, current_revision
from anomaly_operator.core.snapshot import Snapshot
from anomaly_operator.core.thresholds import control
from anomaly_operator.core.thresholds.fleet import entities_in_use
from anomaly_operator.core.thresholds.ledger import record, turned
from anomaly_operator.core.timestamps import rfc3339, unix

_NO_BUDGET: Final = Budget(per=PER, max_factor=1)
"""Where the spec asks for something else: what is realised is told, and nothing moves."""


@dataclass(frozen=True)
class ThresholdsView:
    """What is known of thresholds, for the status."""

    realised: Mapping[str, RealisedStatus] = field(default_factory=dict)
    """By window."""
    moves: Mapping[str, ThresholdMove] = field(default_factory=dict)
    """By window: those in force."""
    new: tuple[ThresholdMove, ...] = ()
    """Of them, those that were decided now."""
    ledger: ExposureLedger | None = None
    """Of the revision in force."""

    def decided_by(self, revision: Revision) -> "ThresholdsView":
        """The view once this revision decides."""
        return replace(self, ledger=turned(self.ledger, revision.name, revision.model) if revision.model else None)


def adjusted(
    snapshot: Snapshot, selection: RevisionSelection, feedback: FeedbackView, now: float, *, due: bool = True
) -> tuple[RevisionSelection, ThresholdsView]:
    """The selection with the thresholds that are to be in force at `now` (Unix seconds); `due`: whether figures are wanted."""
    current = current_revision(snapshot)
    selection = moved(snapshot, _shared(snapshot, selection, current), feedback)
    revision, budget = selection.revision, snapshot.detector.spec.threshold.budget
    counted = _counted(snapshot, current)
    if revision.model is None:
        return selection, ThresholdsView(ledger=counted)
    found = [_kept(snapshot, revision.model, each) for each in revision.thresholds]
    view = ThresholdsView(moves={each.window: move for each, move in found if move is not None})
    if counted is not None and current is not None and current.model == revision.model:
        view = _decided(snapshot, selection, budget or _NO_BUDGET, current, counted, view, now, due=due)
    thresholds = [_applied(each, view.moves.get(each.window), budget) for each in revision.thresholds]
    if thresholds != revision.thresholds:
        selection = replace(selection, revision=revision.model_copy(update={"thresholds": thresholds}))
    return selection, replace(view, ledger=counted)


def _shared(snapshot: Snapshot, selection: RevisionSelection, current: Revision | None) -> RevisionSelection:
    """A budget of the fleet, shared by the entities in use."""
    asked, model = snapshot.detector.spec.threshold, selection.model
    if asked.budget is None or asked.budget.of is not BudgetScope.FLEET or model is None or selection.revision.model is None:
        return selection
    before = {each.window: each.entities for each in current.thresholds} if current and current.model == model.spec.digest else {}
    calibrations = _calibrations(selection)
    evidence = list(snapshot.evidence_by_pod.values())
    thresholds = []
    for each in selection.revision.thresholds:
        calibration = calibrations[each.window]
        known = before.get(each.window) or calibration.entities
        thresholds.append(window_threshold(asked, calibration, entities_in_use(evidence, known)))
    return replace(selection, revision=selection.revision.model_copy(update={"thresholds": thresholds}))


def _counted(snapshot: Snapshot, current: Revision | None) -> ExposureLedger | None:
    """What is known of the alerts of the revision in force; None: it has no model."""
    if current is None or current.model is None:
        return None
    ledger = turned(snapshot.detector.status.exposure, current.name, current.model)
    return record(ledger, snapshot.evidence.detectors, {pod.name for pod in snapshot.pods})


def _kept(snapshot: Snapshot, model: str, threshold: WindowThreshold) -> tuple[WindowThreshold, ThresholdMove | None]:
    """The move on record, if it is for this model and for what the spec asks now."""
    budget = snapshot.detector.spec.threshold.budget
    told = next((each.move for each in snapshot.detector.status.thresholds or [] if each.window == threshold.window), None)
    if told is None or budget is None or told.model != model or told.asked != _asked(budget):
        return threshold, None
    return threshold, told


def _asked(budget: Budget) -> str:
    """What a move is for: a budget that says something else undoes it."""
    return f"{budget.episodes}/{budget.per} of {budget.of.value}, margin {budget.margin:g}, maxFactor {budget.max_factor:g}"


def _applied(threshold: WindowThreshold, move: ThresholdMove | None, budget: Budget | None) -> WindowThreshold:
    """The threshold with a move. One of a revision that is kept as it is has it already."""
    if move is None or budget is None or threshold.live is not None:
        return threshold
    expected = _rounded(control.allowed(budget, threshold.entities, move.exposure_seconds))
    changes = {
        "live": move.factor,
        "exposure_seconds": move.exposure_seconds,
        "expected_episodes": expected,
        "supported": f"{expected:g}/{budget.per}" if expected > budget.episodes else None,
    }
    return scaled(threshold, move.factor).model_copy(update=changes)


def _decided(
    snapshot: Snapshot,
    selection: RevisionSelection,
    budget: Budget,
    current: Revision,
    ledger: ExposureLedger,
    view: ThresholdsView,
    now: float,
    *,
    due: bool,
) -> ThresholdsView:
    """What was realised under the revision in force, and the moves that are due: none while another one is on its way."""
    calibrations, in_force = _calibrations(selection), {each.window: each for each in current.thresholds}
    total, earlier = {each.window: each for each in ledger.total}, {each.window: each for each in ledger.earlier}
    stable, feedback = snapshot.detector.status.stable, snapshot.detector.status.feedback
    labelled = feedback.revisions if feedback else []
    since = unix(stable.since) if stable is not None and stable.revision == current.name else now
    realised, moves, new = dict[str, RealisedStatus](), dict(view.moves), list[ThresholdMove]()
    for threshold in selection.revision.thresholds:
        name, kept = threshold.window, view.moves.get(threshold.window)
        counts = total.get(name)
        if counts is None or name not in in_force:
            continue
        situation = control.Situation(
            budget=budget,
            threshold=in_force[name],
            factor=kept.factor if kept else 1.0,
            stands_on=in_force[name].exposure_seconds or 0.0,
            calibration=calibrations.get(name),
            now=counts,
            earlier=earlier.get(name) or WindowExposure(window=name),
            true_alarms=sum(row.true_alarms for row in labelled if row.revision == current.name),
            true_alarms_of_model=sum(row.true_alarms for row in labelled if row.model == current.model),
            pods=len(ledger.instances),
            elapsed=now - since,
        )
        stays = in_force[name] == _applied(threshold, kept, budget)
        move = control.move(situation) if stays else None
        if not due and move is None:
            continue
        told = control.realised(situation)
        missed = control.due(situation) if stays and move is None and budget is not _NO_BUDGET else None
        realised[name] = _status(told, _missed(missed))
        if move is not None:
            said = _sentence(situation, told, move)
            moves[name] = ThresholdMove(
                factor=move.factor,
                reason=move.reason.value,
                message=said,
                asked=_asked(budget),
                model=ledger.model,
                exposure_seconds=round(move.exposure),
                moves=1 + (kept.moves if kept else 0),
                since=rfc3339(now),
            )
            new.append(moves[name])
    return replace(view, realised=realised, moves=moves, new=tuple(new))


def _missed(reason: control.MoveReason | None) -> str | None:
    """What to do about a budget that is missed, where `maxFactor` allows for no further move."""
    if reason in (None, control.MoveReason.MORE_EXPOSURE):
        return None
    more = reason is control.MoveReason.TOO_MANY_ALERTS
    return (
        f"{'more' if more else 'fewer'} than were asked for, and budget.maxFactor lets the threshold go no further: "
        f"{'train again, look at what alerts, or raise maxFactor or the budget' if more else 'train again, or raise maxFactor'}"
    )


def _status(found: control.Realised, missed: str | None) -> RealisedStatus:
    low, high = found.interval
    return RealisedStatus(
        rate=_rounded(found.rate),
        low=_rounded(low),
        high=None if high == float("inf") else _rounded(high),
        episodes=found.counted,
        entity_seconds=round(found.entity_seconds),
        missed=missed,
    )


def _sentence(situation: control.Situation, found: control.Realised, move: control.Move) -> str:
    of = "in all" if situation.threshold.entities else "an entity"
    days, asked, window = found.entity_seconds / 86400, situation.threshold.asked, situation.threshold.window
    realised = (
        f"{found.rate:.3g} false episodes {of} in {situation.budget.per} ({found.interval.low:.3g} to {found.interval.high:.3g})"
    )
    why = {
        control.MoveReason.TOO_MANY_ALERTS: "more than were asked for",
        control.MoveReason.TOO_FEW_ALERTS: "fewer than were asked for",
        control.MoveReason.MORE_EXPOSURE: "and enough was seen to come nearer to what was asked for",
    }[move.reason]
    return (
        f"window {window}: {realised} over {days:.3g} entity-days, {why} ({asked}); "
        f"the threshold is {move.factor:g} times its first"
    )


def _calibrations(selection: RevisionSelection) -> dict[str, Calibration]:
    return {each.window: each for each in selection.model.spec.calibration} if selection.model else {}


def _rounded(value: float) -> float:
    return float(f"{value:.3g}")
