"""The state machine of a rollout: a pure function from the state in the status, what is observed and the clock to the next state.

    phase        the candidate ...                                   leaves when
    -----------  --------------------------------------------------  ---------------------------------------------------------
    Idle         does not exist                                      the spec's revision is neither stable nor the aborted one
    Loading      is assigned to the pods, not loaded by all of them  all have loaded it (Progressing), or one cannot (Aborted)
    Progressing  is in step `step` of `rollout.steps`                the step's condition holds (next step, or promotion)
    Paused       waits in a step `pause: {}`, or at one's request    someone promotes or resumes
    Aborted      was taken away; `aborted` keeps its digest          the spec's revision changes, or someone retries

In every phase: another desired revision starts a new rollout (only what was analysed is promoted); a desired revision that
is stable ends it at once; a violated bound or a failure of the candidate aborts it; a candidate beside the fallback scorer,
or beside a stable revision that does not score, is not held up by comparisons that cannot be made.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

from anomaly_api.rollout import NoDataPolicy, PairedCounts, Rollout, Step
from anomaly_api.schema import seconds
from anomaly_operator.core.rollout.analysis import Verdict, judge


class Phase(StrEnum):
    """See the table above."""

    IDLE = "Idle"
    LOADING = "Loading"
    PROGRESSING = "Progressing"
    PAUSED = "Paused"
    ABORTED = "Aborted"


class Command(StrEnum):
    """What a person asks of a rollout."""

    PROMOTE = "Promote"
    """Go on from a pause; the analysis goes on, too."""
    PROMOTE_FULL = "PromoteFull"
    """Become stable now."""
    PAUSE = "Pause"
    RESUME = "Resume"
    ABORT = "Abort"
    RETRY = "Retry"


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
    """Digest that was aborted last: it is not tried again by itself."""


@dataclass(frozen=True)
class Inputs:
    """What is known at one moment."""

    desired: str
    """Digest of the revision that the spec and the models ask for."""
    gated: bool
    """Whether there is nothing to compare with: stable is the fallback scorer."""
    stable_scores: bool
    """Whether stable scores windows. A broken stable never blocks its fix."""
    loaded: bool
    """Whether all scoring pods have loaded the candidate."""
    failure: str
    """Why the candidate cannot score, in the pods' words; empty when it can."""
    counts: PairedCounts
    overlap: int = 1
    budget: float | None = None
    command: Command | None = None


@dataclass(frozen=True)
class Change:
    """A transition: the reason is the condition's, the Event's and the metric's."""

    reason: str
    message: str


def advance(state: State, spec: Rollout, seen: Inputs, now: float) -> tuple[State, Change | None]:
    """Returns the next state, and what changed; at most one transition a call.

    Calling again with the same inputs and the state that was returned leads on, so a crash between two transitions loses nothing.
    """
    if seen.desired == state.stable:
        return _ended(state, seen)
    if state.phase is Phase.ABORTED and seen.desired == state.aborted and seen.command is not Command.RETRY:
        return state, None
    if state.candidate != seen.desired:
        return _begun(state, seen, now)
    return _judged(state, spec, seen, now)


def _ended(state: State, seen: Inputs) -> tuple[State, Change | None]:
    idle = State(stable=state.stable)
    if state.phase in (Phase.IDLE, Phase.ABORTED):
        return idle, None
    return idle, Change("RolloutCancelled", f"the spec asks for revision {seen.desired[:8]} again, which is stable")


def _begun(state: State, seen: Inputs, now: float) -> tuple[State, Change | None]:
    if seen.gated:
        return State(stable=seen.desired), Change("RolloutPromoted", "the first model has only the fallback scorer to replace")
    begun = State(stable=state.stable, phase=Phase.LOADING, candidate=seen.desired, since=now, step_since=now)
    replaced = f", in place of {state.candidate[:8]}" if state.candidate else ""
    return begun, Change("RolloutStarted", f"revision {seen.desired[:8]} is the candidate{replaced}")


def _judged(state: State, spec: Rollout, seen: Inputs, now: float) -> tuple[State, Change | None]:
    if seen.command is Command.ABORT:
        return _aborted(state, "RolloutAborted", "someone asked for it")
    if seen.failure:
        return _aborted(state, "CandidateFailed", seen.failure)
    if seen.command is Command.PROMOTE_FULL:
        return _promoted(state, "someone asked for it")
    if state.phase is Phase.LOADING:
        if not seen.loaded:
            return state, None
        return _entered(replace(state, phase=Phase.PROGRESSING), spec, 0, seen, now)
    if seen.stable_scores:
        violated = [
            each for each in judge(spec.analysis, seen.counts, seen.overlap, seen.budget) if each.verdict is Verdict.VIOLATED
        ]
        if violated:
            return _aborted(state, "AnalysisFailed", "; ".join(each.message for each in violated))
    return _stepped(state, spec, seen, now)


def _stepped(state: State, spec: Rollout, seen: Inputs, now: float) -> tuple[State, Change | None]:
    if state.step >= len(spec.steps):  # the list was shortened under way
        return _promoted(state, "all steps are done")
    if state.phase is Phase.PAUSED:
        return _resumed(state, spec, seen, now)
    if seen.command is Command.PAUSE:
        return replace(state, phase=Phase.PAUSED), Change("RolloutPaused", "someone asked for it")
    if seen.command is Command.PROMOTE:
        return _entered(state, spec, state.step + 1, seen, now)
    step = spec.steps[state.step]
    if _done(step, state, seen, now):
        return _entered(state, spec, state.step + 1, seen, now)
    return _without_data(step, state, spec, now)


def _resumed(state: State, spec: Rollout, seen: Inputs, now: float) -> tuple[State, Change | None]:
    resumed = replace(state, phase=Phase.PROGRESSING)
    if seen.command is Command.RESUME and spec.steps[state.step].pause is None:
        return resumed, Change("RolloutResumed", "someone asked for it")
    if seen.command in (Command.PROMOTE, Command.RESUME):
        return _entered(resumed, spec, state.step + 1, seen, now)
    return state, None


def _done(step: Step, state: State, seen: Inputs, now: float) -> bool:
    elapsed = now - state.step_since
    if step.shadow is not None:
        enough = seen.counts.windows - state.step_windows >= step.shadow.windows or not seen.stable_scores
        return enough and elapsed >= seconds(step.shadow.for_)
    if step.pause is not None:
        return step.pause.for_ is not None and elapsed >= seconds(step.pause.for_)
    return True


def _without_data(step: Step, state: State, spec: Rollout, now: float) -> tuple[State, Change | None]:
    if step.shadow is None or spec.no_data.policy is NoDataPolicy.WAIT:
        return state, None
    if now - state.step_since < seconds(step.shadow.for_) + seconds(spec.no_data.after):
        return state, None
    why = f"the step saw fewer than {step.shadow.windows} windows, and rollout.noData.policy is {spec.no_data.policy}"
    return _promoted(state, why) if spec.no_data.policy is NoDataPolicy.PROMOTE else _aborted(state, "NoData", why)


def _entered(state: State, spec: Rollout, step: int, seen: Inputs, now: float) -> tuple[State, Change | None]:
    if step >= len(spec.steps):
        return _promoted(state, "all steps are done")
    asked = spec.steps[step]
    paused = asked.pause is not None and asked.pause.for_ is None
    entered = replace(
        state,
        step=step,
        step_since=now,
        step_windows=seen.counts.windows,
        weight=asked.weight if asked.weight is not None else state.weight,
        phase=Phase.PAUSED if paused else Phase.PROGRESSING,
    )
    return entered, Change("RolloutPaused" if paused else "RolloutStepped", f"step {step + 1} of {len(spec.steps)}")


def _promoted(state: State, why: str) -> tuple[State, Change | None]:
    return State(stable=state.candidate), Change("RolloutPromoted", f"revision {state.candidate[:8]} is stable: {why}")


def _aborted(state: State, reason: str, why: str) -> tuple[State, Change | None]:
    aborted = State(stable=state.stable, phase=Phase.ABORTED, aborted=state.candidate)
    return aborted, Change(reason, f"revision {state.candidate[:8]} was taken away: {why}")
