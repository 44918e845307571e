"""Rollouts within the plan: what pods are told by the status as it was persisted, and the one transition that is due.

    status, records > state > what pods are told (now) ; evidence > transition > status (written) > what pods are told (next time)

The content of a revision is on record before the status names it, and pods are told only what the status says. So a process that
ends between any two writes leaves nothing that the next one would decide otherwise.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from anomaly_api.assignment import Assignment, Revision
from anomaly_api.rollout_status import EvidenceLedger, HandledCommand, MeasureStatus, QueryStatus
from anomaly_operator.core.models.history import recorded
from anomaly_operator.core.models.selection import RevisionSelection, current_assignment, current_revision
from anomaly_operator.core.models.slots import SlotPlan, plan_slots, slots
from anomaly_operator.core.rollout import commands, observed, queries, state
from anomaly_operator.core.rollout.analysis import judge
from anomaly_operator.core.rollout.evidence import total
from anomaly_operator.core.rollout.machine import Change, Inputs, Phase, State, advance, steps_of
from anomaly_operator.core.rollout.state import Figures, RolloutStatus
from anomaly_operator.core.snapshot import Model, Snapshot
from anomaly_operator.core.text import bounded
from anomaly_operator.core.timestamps import rfc3339

_GROWN: Final = 1.1
"""Evidence is written when it has grown by so much, so that a long rollout is not a write every few seconds."""


@dataclass(frozen=True)
class RolloutView:
    """What decides, what is compared with it, and what becomes of it."""

    stable: Revision
    """The revision that decides, as pods are told now."""
    stable_model: Model | None
    """Its AnomalyModel, if that still exists."""
    candidate: Revision | None
    target: Revision
    """What spec and models ask for."""
    assignment: Assignment
    slots: SlotPlan
    persisted: State
    after: State
    change: Change | None
    """The transition that is written now and acted on the next time."""
    deciding: Revision
    """The stable revision of `after`."""
    status: RolloutStatus

    @property
    def kept(self) -> list[Revision]:
        """Revisions whose content is to be on record, the one that decides first."""
        return list(observed.names([self.stable, *([self.candidate] if self.candidate else []), self.target]).values())


def rollout_view(
    snapshot: Snapshot, selection: RevisionSelection, origin: str, now: float, *, blocked: bool, due: bool
) -> RolloutView:
    """The rollout at `now` (Unix seconds).

    `origin` is the digest of what spec and model ask for; `due`: figures may be written.
    """
    before, target = snapshot.detector.status, selection.revision
    stable = current_revision(snapshot) or target
    was = state.read(before, stable.digest)
    candidate = _candidate(snapshot, was, target)
    if candidate is None:  # none, or its content is gone: what the spec asks for begins anew
        was = replace(was, candidate="", phase=Phase.IDLE) if was.candidate else was
    stable_model = _model(snapshot, selection, stable)
    needed = {stable.model: stable_model} if stable.model else {}
    if candidate is not None and candidate.model:
        needed[candidate.model] = _model(snapshot, selection, candidate)
    slots = plan_slots(snapshot, needed)
    assignment = _as_told(snapshot, _assignment(stable, candidate, was, slots))
    ledger = before.candidate.evidence if before.candidate and was.candidate else EvidenceLedger()
    counted = observed.counted(snapshot, assignment, ledger) if was.candidate else ledger
    seen = _seen(snapshot, selection, stable, assignment, counted, origin, now, blocked=blocked)
    after, change, handled = _advanced(snapshot, was, seen, now)
    rows = queries.answered(snapshot) if was.candidate and after.candidate == was.candidate else []
    revisions = observed.names([each for each in (stable, candidate, target, _undone(snapshot, after)) if each])
    figures = _figures(snapshot, after, seen, counted if after.candidate == was.candidate else EvidenceLedger(), rows)
    status = state.write(before, after, change, revisions, figures, now)
    if before.history is None:
        status = replace(status, history=state.first(before.stable or status.stable))
    if change is not None:
        told = state.history(
            status.history or [], was, after, change, revisions, counted, snapshot.detector.spec.rollout.history, now
        )
        status = replace(status, history=told)
    elif (
        before.candidate
        and status.candidate
        and not (due or _grown(snapshot, ledger, counted) or rows != (before.candidate.queries or []))
    ):
        status = replace(status, candidate=before.candidate)
    return RolloutView(
        stable=stable,
        stable_model=stable_model,
        candidate=candidate,
        target=target,
        assignment=assignment,
        slots=slots,
        persisted=was,
        after=after,
        change=change,
        deciding=revisions[after.stable],
        status=replace(status, command_handled=handled or before.command_handled),
    )


def _candidate(snapshot: Snapshot, was: State, target: Revision) -> Revision | None:
    """The candidate's content; what was analysed is what its digest names, whatever the spec says by now."""
    if not was.candidate:
        return None
    if was.candidate == target.digest:
        return target
    found = recorded(snapshot, was.candidate[:8])
    return found if found is not None and found.digest == was.candidate else None


def _undone(snapshot: Snapshot, after: State) -> Revision | None:
    return recorded(snapshot, after.stable[:8])


def _model(snapshot: Snapshot, selection: RevisionSelection, revision: Revision) -> Model | None:
    """The AnomalyModel of a revision, if it still exists."""
    named = snapshot.models.get(revision.model_name or "")
    for model in (selection.model, named):
        if model is not None and model.spec.digest == revision.model:
            return model
    return next((model for model in snapshot.models.values() if revision.model and model.spec.digest == revision.model), None)


def _assignment(stable: Revision, candidate: Revision | None, was: State, slots: SlotPlan) -> Assignment:
    if candidate is None:
        return Assignment(stable=stable, artifacts=slots.artifacts)
    name = f"{candidate.name}-{was.since:.0f}"
    return Assignment(stable=stable, candidate=candidate, weight=was.weight, rollout=name, artifacts=slots.artifacts)


def _as_told(snapshot: Snapshot, assignment: Assignment) -> Assignment:
    """What the pods have been told, where that is the same: its digest, and what else is made of it, is known."""
    told = current_assignment(snapshot)
    return told if told == assignment else assignment


def _seen(
    snapshot: Snapshot,
    selection: RevisionSelection,
    stable: Revision,
    assignment: Assignment,
    ledger: EvidenceLedger,
    origin: str,
    now: float,
    *,
    blocked: bool,
) -> Inputs:
    target, error = selection.revision, snapshot.apply_error
    failure = observed.failure(snapshot, assignment)
    measures = snapshot.detector.spec.rollout.analysis.prometheus or []
    answers = queries.answered(snapshot) if assignment.candidate else []
    if not failure and assignment.candidate and error is not None and error.of_model:
        failure = f"{error.reason}: {error.message}"
    return Inputs(
        desired=target.digest,
        gated=observed.gated(snapshot, stable, target, awaited=selection.awaited),
        stable_scores=observed.stable_scores(snapshot, stable),
        loaded=observed.taken_over(snapshot, assignment),
        failure=failure,
        counts=total(ledger),
        overlap=observed.overlap(target),
        budget=observed.accepted_rate(snapshot.detector.spec.threshold, target),
        besides=observed.besides(snapshot, assignment),
        settings=(stable.model, stable.pipeline) == (target.model, target.pipeline),
        origin=origin,
        by_itself=observed.by_itself(stable, target),
        recorded=recorded(snapshot, target.name) is not None,
        blocked=blocked,
        violated=queries.violated(measures, answers),
        unanswered=queries.waits(measures, answers),
        replaced=state.replaced(snapshot.detector.status.history or [], now),
    )


def _advanced(snapshot: Snapshot, was: State, seen: Inputs, now: float) -> tuple[State, Change | None, HandledCommand | None]:
    """The next state; a command that is pending is answered, and goes before everything else."""
    status, spec = snapshot.detector.status, snapshot.detector.spec.rollout
    command = commands.pending(status)
    if command is None:
        return *advance(was, spec, seen, now), None
    refused = commands.refusal(status, was, seen.desired, command, lambda name: _usable(snapshot, name))
    after, change = was, None
    if not refused:
        back = commands.undo_target(status, command)
        found = recorded(snapshot, back) if back else None
        asked = replace(seen, command=command.name, undo_to=found.digest if found else "")
        after, change = advance(was, spec, asked, now)
        refused = "" if change else f"there is nothing to do for {command.name} now"
    said = bounded(change.message if change else refused)
    return after, change, HandledCommand(id=command.id, accepted=change is not None, message=said, at=rfc3339(now))


def _usable(snapshot: Snapshot, name: str) -> Revision | None:
    """The revision on record with this name, if its model is there, too."""
    found = recorded(snapshot, name)
    if found is None or found.model is None:
        return found
    there = any(model.spec.digest == found.model for model in snapshot.models.values())
    return found if there or found.model in slots(snapshot).values() else None


def _figures(snapshot: Snapshot, after: State, seen: Inputs, ledger: EvidenceLedger, rows: Sequence[QueryStatus]) -> Figures:
    spec = snapshot.detector.spec.rollout
    steps = steps_of(spec, seen)
    if not after.candidate:
        return Figures(len(steps), "")
    if after.phase is Phase.LOADING:
        return Figures(len(steps), "the scoring pods take it over", ledger)
    judged = judge(spec.analysis, total(ledger), seen.overlap, seen.budget, seen.besides)
    measures = [MeasureStatus(name=each.name.value, value=each.estimate, message=each.message) for each in judged]
    return Figures(len(steps), _reason(after, seen, snapshot), ledger, measures, rows)


def _reason(after: State, seen: Inputs, snapshot: Snapshot) -> str:
    """What a candidate waits for, for people."""
    steps = steps_of(snapshot.detector.spec.rollout, seen)
    step = steps[after.step] if after.step < len(steps) else None
    if step is None or step.weight is not None:
        return f"it decides {after.weight} % of the entities" if step else "it is promoted"
    if step.shadow is not None:
        seen_windows = max(seen.counts.windows - after.step_windows, 0)
        return (
            f"it scores beside stable for {step.shadow.for_} and {step.shadow.windows} windows; {seen_windows} have been compared"
        )
    if after.phase is Phase.PAUSED:
        return "it waits until someone says go"
    return f"it waits for {step.pause.for_ if step.pause else ''} with {after.weight} % of the entities"


def _grown(snapshot: Snapshot, before: EvidenceLedger, after: EvidenceLedger) -> bool:
    """Whether there is evidence that is worth a write, or that would be lost without one."""
    leaving = any(each.pod not in snapshot.evidence_by_pod for each in snapshot.evidence.detectors)
    if before.instances.keys() != after.instances.keys() or (leaving and before != after):
        return True
    old, new = total(before), total(after)
    return new.windows > _GROWN * old.windows or new.candidate_episodes > _GROWN * old.candidate_episodes
