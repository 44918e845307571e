"""The state machine of a rollout: a pure function from the state in the status, what is observed and the clock to the next state.

    phase        the candidate ...                                   leaves when
    -----------  --------------------------------------------------  ---------------------------------------------------------
    Idle         does not exist                                      the spec's revision is not stable
    Loading      is assigned to the pods, not loaded by all of them  all have loaded it (Progressing), or one cannot (Aborted)
    Progressing  is in step `step` of the steps                      the step's condition holds (next step, or promotion)
    Paused       waits in a step `pause: {}`, or at one's request    someone promotes or resumes
    Aborted      was taken away; `aborted` keeps its digest          spec or model change, or someone retries

In every phase: another desired revision starts a new rollout (only what was analysed is promoted); a desired revision that
is stable ends it at once; a violated bound or a failure of the candidate aborts it; a candidate beside a stable revision that
does not score is not held up by comparisons that cannot be made. docs/rollouts.md has the table of all transitions.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from anomaly_api.rollout import NoDataPolicy, PairedCounts, Rollout, Step
from anomaly_api.rollout_status import CommandName as Command
from anomaly_api.schema import seconds
from anomaly_operator.core.rollout.analysis import Besides, Verdict, judge


class Phase(StrEnum):
    """See the table above."""

    IDLE = "Idle"
    LOADING = "Loading"
    PROGRESSING = "Progressing"
    PAUSED = "Paused"
    ABORTED = "Aborted"


@dataclass(frozen=True)
class State:
    """What the status keeps of a rollout."""

    stable: str
    """Digest of the revision that decides."""
    phase: Phase = Phase.IDLE
    candidate: str = ""
    """Digest of the candidate; empty in Idle and Aborted."""
    since: float = 0.0
    """When the rollout began, Unix seconds."""
    step: int = 0
    step_since: float = 0.0
    step_windows: int = 0
    """Paired windows that had been counted when the step began."""
    weight: int = 0
    """Percent of the entities that the candidate decides."""
    aborted: str = ""
    """Digest that was taken away last: it is not tried again by itself."""
    origin: str = ""
    """What spec and model asked for then."""
    held: bool = False
    """Whether the candidate stands still, since no pod is to run: the step begins anew afterwards."""


@dataclass(frozen=True)
class Inputs:
    """What is known at one moment."""

    desired: str
    """Digest of the revision that the spec and the models ask for."""
    gated: str
    """Why there is nothing to compare with, for people; empty when there is."""
    stable_scores: bool
    """Whether stable scores windows. A broken stable never blocks its fix."""
    loaded: bool
    """Whether all scoring pods have taken over what they are told, the candidate loaded."""
    failure: str
    """Why the candidate cannot score, in the pods' words; empty when it can."""
    counts: PairedCounts
    overlap: int = 1
    budget: float | None = None
    besides: Besides = field(default_factory=Besides)
    command: Command | None = None
    settings: bool = False
    """Whether model and pipeline stay as they are."""
    origin: str = ""
    """Digest of what spec and model ask for, before thresholds are moved by themselves."""
    by_itself: bool = False
    """Whether it differs from stable only by thresholds that were moved by themselves."""
    recorded: bool = True
    """Whether the desired revision's content is kept where nobody edits it: only then the status may name it."""
    blocked: bool = False
    """Whether no pod is to run."""
    violated: str = ""
    """What a query of the user's own says against the candidate; empty when nothing."""
    unanswered: bool = False
    """Whether a query has no answer that a step could end on."""
    replaced: int = 0
    """How many candidates have been replaced by others lately."""
    undo_to: str = ""
    """Digest that Command.UNDO goes back to; empty: to stable."""


@dataclass(frozen=True)
class Change:
    """A transition: the reason is the condition's, the Event's and the metric's."""

    reason: str
    message: str
    warning: bool = False


def steps_of(spec: Rollout, seen: Inputs) -> Sequence[Step]:
    """The steps that apply."""
    return spec.settings_steps if seen.settings else spec.steps


def advance(state: State, spec: Rollout, seen: Inputs, now: float) -> tuple[State, Change | None]:
    """Returns the next state, and what changed; at most one transition a call.

    Calling again with the same inputs and the state that was returned leads on, so a crash between two transitions loses nothing.
    """
    if seen.command is Command.UNDO and seen.undo_to:
        return _undone(state, seen)
    if seen.desired == state.stable:
        return _ended(state, seen)
    retried = seen.command is Command.RETRY
    if state.phase is Phase.ABORTED and not retried and (seen.desired == state.aborted or _same_origin(state, seen)):
        return state, None
    if state.candidate != seen.desired:
        waits = not seen.recorded or (bool(state.candidate) and 0 <= now - state.since < _pause(seen.replaced))
        return (state, None) if waits else _begun(state, spec, seen, now)
    if seen.blocked or state.held:
        return _held(state, seen, now)
    return _judged(state, spec, seen, now)


def _pause(replaced: int) -> float:
    """Seconds that a candidate lasts at least: someone who edits three times is not kept waiting, two programs that disagree are.

    >>> [_pause(replaced) for replaced in (0, 2, 3, 4, 100)]
    [0.0, 0.0, 5.0, 10.0, 60.0]
    """
    return min(5.0 * 2 ** min(replaced - 3, 10), 60.0) if replaced >= 3 else 0.0


def _held(state: State, seen: Inputs, now: float) -> tuple[State, Change | None]:
    """Time in which nothing runs is no time of a step."""
    if seen.blocked and seen.command is Command.ABORT:
        return _aborted(state, seen, "RolloutAborted", "someone asked for it")
    if seen.blocked == state.held:
        return state, None
    if seen.blocked:
        return replace(state, held=True), Change("RolloutHeld", "no scoring pod is to run: the step begins anew afterwards")
    after = replace(state, held=False, step_since=now, step_windows=seen.counts.windows)
    return after, Change("RolloutResumed", f"step {state.step + 1} begins anew: scoring pods are to run again")


def _same_origin(state: State, seen: Inputs) -> bool:
    """Thresholds that moved by themselves make another revision, and no other try."""
    return bool(state.origin) and state.origin == seen.origin


def _undone(state: State, seen: Inputs) -> tuple[State, Change | None]:
    after = State(stable=seen.undo_to, phase=Phase.ABORTED, aborted=seen.desired, origin=seen.origin)
    if seen.undo_to == seen.desired:
        after = State(stable=seen.undo_to)
    left = state.candidate or state.stable
    said = f"revision {seen.undo_to[:8]} decides again instead of {left[:8]}: someone asked for it"
    return after, Change("RolloutUndone", said)


def _ended(state: State, seen: Inputs) -> tuple[State, Change | None]:
    idle = State(stable=state.stable)
    if state.phase in (Phase.IDLE, Phase.ABORTED):
        return idle, None
    return idle, Change("RolloutCancelled", f"the spec asks for revision {seen.desired[:8]} again, which is stable")


def _begun(state: State, spec: Rollout, seen: Inputs, now: float) -> tuple[State, Change | None]:
    at_once = seen.gated or ("" if steps_of(spec, seen) else "the spec has no steps")
    if at_once:
        return State(stable=seen.desired), Change("RevisionStable", f"revision {seen.desired[:8]} decides now: {at_once}")
    begun = State(stable=state.stable, phase=Phase.LOADING, candidate=seen.desired, since=now, step_since=now)
    replaced = f", in place of {state.candidate[:8]}" if state.candidate else ""
    return begun, Change("RolloutStarted", f"revision {seen.desired[:8]} is the candidate{replaced}")


def _judged(state: State, spec: Rollout, seen: Inputs, now: float) -> tuple[State, Change | None]:
    if seen.command in (Command.ABORT, Command.UNDO):
        return _aborted(state, seen, "RolloutAborted", "someone asked for it")
    if seen.failure:
        return _aborted(state, seen, "CandidateFailed", seen.failure)
    if seen.command is Command.PROMOTE_FULL:
        return _promoted(state, "someone asked for it")
    if state.phase is Phase.LOADING:
        if not seen.loaded:
            return state, None
        return _entered(replace(state, phase=Phase.PROGRESSING), spec, 0, seen, now)
    if seen.violated:
        return _aborted(state, seen, "AnalysisFailed", seen.violated)
    if seen.stable_scores:
        violated = [
            each
            for each in judge(spec.analysis, seen.counts, seen.overlap, seen.budget, seen.besides)
            if each.verdict is Verdict.VIOLATED
        ]
        if violated:
            return _aborted(state, seen, "AnalysisFailed", "; ".join(each.message for each in violated))
    return _stepped(state, spec, seen, now)


def _stepped(state: State, spec: Rollout, seen: Inputs, now: float) -> tuple[State, Change | None]:
    steps = steps_of(spec, seen)
    if state.step >= len(steps):  # the list was shortened under way
        return _promoted(state, "all steps are done")
    if state.phase is Phase.PAUSED:
        return _resumed(state, spec, seen, now)
    if seen.command is Command.PAUSE:
        return replace(state, phase=Phase.PAUSED), Change("RolloutPaused", "someone asked for it")
    if seen.command is Command.PROMOTE:
        return _entered(state, spec, state.step + 1, seen, now)
    step = steps[state.step]
    if _done(step, state, seen, now):
        return _entered(state, spec, state.step + 1, seen, now)
    return _without_data(step, state, spec, seen, now)


def _resumed(state: State, spec: Rollout, seen: Inputs, now: float) -> tuple[State, Change | None]:
    pause = steps_of(spec, seen)[state.step].pause
    endless = pause is not None and pause.for_ is None
    resumed = replace(state, phase=Phase.PROGRESSING)
    if seen.command is Command.RESUME and not endless:
        return resumed, Change("RolloutResumed", "someone asked for it")
    named = endless and spec.promote is not None and spec.promote == state.candidate[:8]
    if seen.command in (Command.PROMOTE, Command.RESUME) or named:
        return _entered(resumed, spec, state.step + 1, seen, now)
    return state, None


def _done(step: Step, state: State, seen: Inputs, now: float) -> bool:
    elapsed = now - state.step_since
    if not seen.loaded or seen.unanswered:
        return False
    if step.shadow is not None:
        enough = seen.counts.windows - state.step_windows >= step.shadow.windows or not seen.stable_scores
        return enough and elapsed >= seconds(step.shadow.for_)
    if step.pause is not None:
        return step.pause.for_ is not None and elapsed >= seconds(step.pause.for_)
    return True


def _without_data(step: Step, state: State, spec: Rollout, seen: Inputs, now: float) -> tuple[State, Change | None]:
    if step.shadow is None or spec.no_data.policy is NoDataPolicy.WAIT:
        return state, None
    if now - state.step_since < seconds(step.shadow.for_) + seconds(spec.no_data.after):
        return state, None
    why = f"the step saw fewer than {step.shadow.windows} windows, and rollout.noData.policy is {spec.no_data.policy}"
    return _promoted(state, why) if spec.no_data.policy is NoDataPolicy.PROMOTE else _aborted(state, seen, "NoData", why)


def _entered(state: State, spec: Rollout, step: int, seen: Inputs, now: float) -> tuple[State, Change | None]:
    steps = steps_of(spec, seen)
    if step >= len(steps):
        return _promoted(state, "all steps are done")
    asked = steps[step]
    paused = asked.pause is not None and asked.pause.for_ is None
    entered = replace(
        state,
        step=step,
        step_since=now,
        step_windows=seen.counts.windows,
        weight=asked.weight if asked.weight is not None else state.weight,
        phase=Phase.PAUSED if paused else Phase.PROGRESSING,
    )
    said = f"step {step + 1} of {len(steps)}"
    if paused:
        return entered, Change("RolloutPaused", f"{said}: revision {state.candidate[:8]} waits until someone says go")
    return entered, Change("RolloutStepped", f"{said} of revision {state.candidate[:8]}")


def _promoted(state: State, why: str) -> tuple[State, Change | None]:
    return State(stable=state.candidate), Change("RolloutPromoted", f"revision {state.candidate[:8]} is stable: {why}")


def _aborted(state: State, seen: Inputs, reason: str, why: str) -> tuple[State, Change | None]:
    origin = "" if seen.by_itself else seen.origin
    aborted = State(stable=state.stable, phase=Phase.ABORTED, aborted=state.candidate, origin=origin)
    return aborted, Change(reason, f"revision {state.candidate[:8]} was taken away: {why}", warning=True)
