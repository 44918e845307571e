"""Laws of the plan: carrying it out leaves nothing to do, and a restart at any instant changes nothing."""

from typing import Any

from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from anomaly_api.evidence import RevisionFailure, SourceState
from anomaly_api.meta import ANNOTATION_TRAIN
from anomaly_operator.core.resources.diff import differs
from anomaly_operator.core.resources.names import JOBS
from anomaly_operator.core.snapshot import TrainingRoom
from anomaly_operator.core.status.report import merge_patch
from tests.effort import examples
from tests.plan.world import World, merged, seen_time

EDITS: list[dict[str, Any]] = [
    {"paused": True},
    {"paused": False},
    {"training": {"epochs": 7}},
    {"alerts": {"open": {"windows": 4}}},
    {"source": {"kafka": {"groupId": "g2"}}},
    {"features": [{"name": "temperature"}]},
    {"windows": [{"name": "short", "size": 12}, {"name": "long", "size": 48}]},
    {"model": {"statistical": {}}},
    {"model": {"statistical": None, "autoencoder": {}}},
    {"model": {"statistical": None, "autoencoder": None, "modelRef": {"name": "pumps-22222222"}}},
    {"model": {"modelRef": None, "autoencoder": {}, "statistical": None}},
    {"scaling": {"minReplicas": 3}},
    {"training": {"schedule": "*/2 * * * *"}},
]


def edit(world: World, number: int) -> None:
    world.edit(EDITS[number % len(EDITS)])


def train(world: World, number: int) -> None:
    digit = "123"[number % 3]
    world.add_model(f"pumps-{digit * 8}", digit=digit)


def lose_model(world: World, number: int) -> None:
    world.models.pop(f"pumps-{'123'[number % 3] * 8}", None)


def lose_child(world: World, number: int) -> None:
    if world.children:
        del world.children[sorted(world.children, key=str)[number % len(world.children)]]


def spoil_child(world: World, number: int) -> None:
    if world.children:
        place = sorted(world.children, key=str)[number % len(world.children)]
        world.children[place]["metadata"]["labels"] = {}


def finish_job(world: World, number: int) -> None:
    if world.job is not None:
        kind = ("Complete", "Failed")[number % 2]
        world.job["status"] = {
            "failed": 1,
            "conditions": [{"type": kind, "status": "True", "lastTransitionTime": seen_time(world.now)}],
        }


def run(world: World, number: int) -> None:
    if any(kind.kind == "Deployment" for kind, _ in world.children):
        world.run_pods(number % 3)


def report(world: World, number: int) -> None:
    failures = (None, None, *RevisionFailure)
    states = (SourceState.READING, *SourceState)
    for name in world.pods:
        world.report(name, failure=failures[number % len(failures)], state=states[number % len(states)], lag=number)


def ask(world: World, number: int) -> None:
    world.annotations[ANNOTATION_TRAIN] = f"word-{number % 3}"


def make_room(world: World, number: int) -> None:
    world.room = TrainingRoom(limit=1, running=number % 2)


def wait(world: World, number: int) -> None:
    world.now += number


HAPPENINGS = [edit, edit, train, lose_model, lose_child, spoil_child, finish_job, run, report, wait, ask, make_room]
stories = st.lists(st.tuples(st.sampled_from(HAPPENINGS), st.integers(0, 200)), max_size=12)


@given(stories)
@examples(25, [HealthCheck.too_slow])
def test_whatever_happened_the_plan_carried_out_leaves_nothing_to_do(story: list[tuple[Any, int]]) -> None:
    world = World()
    for happen, number in story:
        happen(world, number)
        world.step()
    finished_without_model = world.job is not None and world.status.get("training", {}).get("state") == "Pending"
    if not finished_without_model:
        world.settle()
        assert world.plan.empty


@given(stories, st.sets(st.integers(0, 12)))
@examples(25, [HealthCheck.too_slow])
def test_a_restart_at_any_instant_changes_nothing_in_the_outcome(story: list[tuple[Any, int]], restarts: set[int]) -> None:
    undisturbed, disturbed = World(), World()
    for moment, (happen, number) in enumerate(story):
        for world in (undisturbed, disturbed):
            happen(world, number)
            world.step()
        if moment in restarts:  # all that a process knows besides the cluster
            disturbed.stats_written, disturbed.apply_error = 0.0, None
    undisturbed.settle_quietly()
    disturbed.settle_quietly()
    assert disturbed.children == undisturbed.children
    assert disturbed.status.get("stable") == undisturbed.status.get("stable")
    assert without_figures(disturbed.status) == without_figures(undisturbed.status)


def without_figures(status: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [(each["type"], each["status"], each["reason"]) for each in status.get("conditions", [])]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text("ab", max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", min_size=1, max_size=1), inner, max_size=3),
    max_leaves=8,
)
plain = json_values.filter(lambda value: isinstance(value, dict) and "None" not in repr(value))


@given(plain, plain)
def test_a_merge_patch_leads_from_the_one_to_the_other(before: Any, after: Any) -> None:
    assert merged(before, merge_patch(before, after)) == after


@given(plain, plain)
def test_what_others_add_is_no_drift_and_what_they_change_is(ours: Any, theirs: Any) -> None:
    assert not differs(ours, theirs | ours)
    assert not differs(ours, ours)


def test_quantities_are_compared_by_value() -> None:
    assert not differs({"cpu": "1000m", "memory": "1024Mi"}, {"cpu": "1", "memory": "1Gi"})
    assert differs({"memory": "1Gi"}, {"memory": "1G"})


def test_a_job_is_never_compared_with_what_it_once_was() -> None:
    world = World()
    world.settle()
    assert world.job is not None
    world.job["spec"] = {}
    assert not [action for action in world.plan.actions if getattr(action, "manifest", {}).get("kind") == JOBS.kind]
