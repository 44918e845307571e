"""The rollout's state machine: stories first, then the laws that hold for any edits, evidence, clock and restarts."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anomaly_api.rollout import NoData, NoDataPolicy, PairedCounts, Pause, Rollout, Shadow, Step
from anomaly_api.rollout_status import EvidenceLedger
from anomaly_operator.core.rollout.evidence import record, total
from anomaly_operator.core.rollout.machine import Change, Command, Inputs, Phase, State, advance

OLD, NEW, NEWER = "a" * 64, "b" * 64, "c" * 64
SPEC = Rollout(
    steps=[
        Step(shadow=Shadow(for_="10m", windows=100)),
        Step(weight=20),
        Step(pause=Pause()),
        Step(weight=50),
        Step(pause=Pause(for_="5m")),
    ]
)
SEEN = Inputs(desired=NEW, gated="", stable_scores=True, loaded=True, failure="", counts=PairedCounts())
ALIKE = PairedCounts(neither=990, both=10, stable_episodes=2, candidate_episodes=2)
WORSE = PairedCounts(neither=900, both=10, only_candidate=90, stable_episodes=2, candidate_episodes=60)


def settled(state: State, seen: Inputs, now: float, spec: Rollout = SPEC) -> tuple[State, list[Change]]:
    """Advances until nothing changes at this moment."""
    changes = []
    for _ in range(50):
        state, change = advance(state, spec, seen, now)
        if change is None:
            return state, changes
        changes.append(change)
        seen = replace(seen, command=None)
    raise AssertionError(f"no rest: {changes[-5:]}")


def shadowing() -> State:
    state, changes = settled(State(stable=OLD), SEEN, 0.0)
    assert [change.reason for change in changes] == ["RolloutStarted", "RolloutStepped"]
    return state


def test_a_good_candidate_goes_through_all_steps_and_becomes_stable() -> None:
    state = shadowing()
    assert (state.phase, state.step, state.weight) == (Phase.PROGRESSING, 0, 0)
    state, _ = settled(state, replace(SEEN, counts=ALIKE), 599.0)
    assert state.step == 0, "the shadow step lasts ten minutes"
    state, _ = settled(state, replace(SEEN, counts=ALIKE), 600.0)
    assert (state.phase, state.step, state.weight) == (Phase.PAUSED, 2, 20)
    state, _ = settled(state, replace(SEEN, counts=ALIKE, command=Command.PROMOTE), 700.0)
    assert (state.phase, state.step, state.weight) == (Phase.PROGRESSING, 4, 50)
    state, changes = settled(state, replace(SEEN, counts=ALIKE), 1000.0)
    assert state == State(stable=NEW)
    assert changes[-1].reason == "RolloutPromoted"


def test_a_candidate_with_far_more_alerts_is_aborted_and_stays_aborted() -> None:
    state, changes = settled(shadowing(), replace(SEEN, counts=WORSE), 60.0)
    assert (state.phase, state.stable, state.aborted) == (Phase.ABORTED, OLD, NEW)
    assert changes[-1].reason == "AnalysisFailed"
    assert "AlertRatio" in changes[-1].message
    assert settled(state, SEEN, 1e6) == (state, []), "it is not tried again by itself"


def test_an_aborted_revision_is_tried_again_when_someone_retries_or_the_spec_changes() -> None:
    aborted = State(stable=OLD, phase=Phase.ABORTED, aborted=NEW)
    retried, _ = settled(aborted, replace(SEEN, command=Command.RETRY), 10.0)
    assert retried.candidate == NEW
    edited, _ = settled(aborted, replace(SEEN, desired=NEWER), 10.0)
    assert edited.candidate == NEWER


def test_the_first_model_is_not_rolled_out_since_there_is_only_the_fallback_to_beat() -> None:
    state, changes = settled(State(stable=OLD), replace(SEEN, gated="the fallback scorer decides"), 0.0)
    assert state == State(stable=NEW)
    assert [change.reason for change in changes] == ["RevisionStable"]


@pytest.mark.parametrize("phase", [Phase.LOADING, Phase.PROGRESSING, Phase.PAUSED])
def test_an_edit_in_any_phase_starts_a_new_rollout(phase: Phase) -> None:
    state = State(stable=OLD, phase=phase, candidate=NEW, step=3, weight=50)
    state, change = advance(state, SPEC, replace(SEEN, desired=NEWER, counts=ALIKE), 100.0)
    assert (state.candidate, state.step, state.weight, state.phase) == (NEWER, 0, 0, Phase.LOADING)
    assert change is not None
    assert change.reason == "RolloutStarted"


@pytest.mark.parametrize("phase", [Phase.LOADING, Phase.PROGRESSING, Phase.PAUSED])
def test_undo_to_the_stable_revision_is_immediate(phase: Phase) -> None:
    state = State(stable=OLD, phase=phase, candidate=NEW, step=3, weight=50)
    assert advance(state, SPEC, replace(SEEN, desired=OLD), 100.0)[0] == State(stable=OLD)


def test_a_candidate_that_fails_is_aborted_whatever_its_scores() -> None:
    state, changes = settled(shadowing(), replace(SEEN, failure="the graph raised"), 1.0)
    assert (state.phase, changes[-1].reason) == (Phase.ABORTED, "CandidateFailed")


def test_a_broken_stable_never_blocks_its_fix() -> None:
    broken = replace(SEEN, stable_scores=False)
    state, _ = settled(shadowing(), broken, 600.0)
    assert state.step == 2, "the shadow step asks for no windows that nobody can score"


@pytest.mark.parametrize(
    ("policy", "phase", "stable"),
    [
        (NoDataPolicy.WAIT, Phase.PROGRESSING, OLD),
        (NoDataPolicy.PROMOTE, Phase.IDLE, NEW),
        (NoDataPolicy.ABORT, Phase.ABORTED, OLD),
    ],
)
def test_without_data_the_policy_is_followed_after_its_time(policy: NoDataPolicy, phase: Phase, stable: str) -> None:
    spec = SPEC.model_copy(update={"no_data": NoData(policy=policy, after="1h")})
    state, _ = settled(shadowing(), SEEN, 4199.0, spec)
    assert state.phase is Phase.PROGRESSING
    state, _ = advance(state, spec, SEEN, 4200.0)
    assert (state.phase, state.stable) == (phase, stable)


def test_a_rollout_that_someone_paused_goes_on_in_the_same_step() -> None:
    paused, _ = settled(shadowing(), replace(SEEN, command=Command.PAUSE), 5.0)
    assert paused.phase is Phase.PAUSED
    resumed, _ = settled(paused, replace(SEEN, command=Command.RESUME), 6.0)
    assert (resumed.phase, resumed.step) == (Phase.PROGRESSING, 0)


counts = st.builds(
    PairedCounts,
    both=st.integers(0, 50),
    only_stable=st.integers(0, 50),
    only_candidate=st.integers(0, 200),
    neither=st.integers(0, 5000),
    stable_episodes=st.integers(0, 20),
    candidate_episodes=st.integers(0, 100),
)
inputs = st.builds(
    Inputs,
    desired=st.sampled_from([OLD, NEW, NEWER]),
    gated=st.just(""),
    stable_scores=st.booleans(),
    loaded=st.booleans(),
    failure=st.sampled_from(["", "", "", "the graph raised"]),
    counts=counts,
    command=st.sampled_from([None, None, None, *Command]),
)
stories = st.lists(st.tuples(inputs, st.floats(-600, 7200)), max_size=40)


@given(stories)
def test_only_a_candidate_that_all_pods_loaded_and_that_is_still_wanted_becomes_stable(story: list[tuple[Inputs, float]]) -> None:
    state, now, loaded = State(stable=OLD), 0.0, set[str]()
    for seen, elapsed in story:
        now += elapsed
        before = state
        state, change = advance(state, SPEC, seen, now)
        if state.candidate != before.candidate:
            loaded.clear()
        if before.candidate == seen.desired and (seen.loaded or before.phase is not Phase.LOADING):
            loaded.add(seen.desired)
        if state.stable != before.stable:
            assert state.stable == before.candidate == seen.desired
            assert change is not None
            assert seen.command is Command.PROMOTE_FULL or state.stable in loaded
        assert 0 <= state.weight <= 100
        assert (state.candidate == "") == (state.phase in (Phase.IDLE, Phase.ABORTED))


@given(stories)
def test_a_state_that_does_not_change_reports_no_transition(story: list[tuple[Inputs, float]]) -> None:
    state, now = State(stable=OLD), 0.0
    for seen, elapsed in story:
        now += elapsed
        after, change = advance(state, SPEC, seen, now)
        assert (change is None) == (after == state) or (change is None and after.phase is Phase.IDLE)
        state = after


pods = st.lists(st.tuples(st.sampled_from("pqr"), st.integers(0, 3), st.integers(1, 100), st.booleans()), max_size=30)


@given(pods)
def test_evidence_is_neither_lost_nor_doubled_by_restarts_of_pods_and_operator(story: list[tuple[str, int, int, bool]]) -> None:
    """Each pod counts from its own start; a restart (another number) begins a new instance; a report may be missed."""
    ledger, true = EvidenceLedger(), dict[str, int]()
    for pod, restart, more, heard in story:
        instance = f"{pod}-{restart}"
        true[instance] = true.get(instance, 0) + more
        if heard:
            ledger = record(ledger, {instance: PairedCounts(neither=true[instance])}, true)
            ledger = EvidenceLedger.model_validate(ledger.document())
    ledger = record(ledger, {name: PairedCounts(neither=windows) for name, windows in true.items()}, true)
    assert total(ledger).windows == sum(true.values())
    assert total(record(ledger, {}, [])) == total(ledger), "what pods that are gone reported stays"


def test_two_programs_that_disagree_are_damped_and_a_person_who_edits_is_not() -> None:
    state = State(stable=OLD, phase=Phase.PROGRESSING, candidate=NEW, since=100.0)
    edited = replace(SEEN, desired=NEWER, replaced=2)
    assert advance(state, SPEC, edited, 100.5)[0].candidate == NEWER
    flapping = replace(edited, replaced=5)
    assert advance(state, SPEC, flapping, 110.0) == (state, None)
    assert advance(state, SPEC, flapping, 120.0)[0].candidate == NEWER


def test_time_in_which_no_pod_runs_is_no_time_of_a_step() -> None:
    state = replace(shadowing(), step=4, weight=50)
    held, change = advance(state, SPEC, replace(SEEN, blocked=True), 10.0)
    assert (held.held, change and change.reason) == (True, "RolloutHeld")
    assert advance(held, SPEC, replace(SEEN, blocked=True), 1e5) == (held, None)
    resumed, _ = advance(held, SPEC, SEEN, 1e5)
    assert (resumed.step, resumed.step_since, resumed.held) == (4, 1e5, False)
