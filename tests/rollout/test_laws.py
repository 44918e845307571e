"""Laws of rollouts with the whole plan in the loop: edits, evidence, commands, lost pods, clocks that jump, restarts."""

from typing import Any

from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from anomaly_api.comparison import PairedEvidence
from anomaly_api.evidence import RevisionFailure
from tests.effort import examples
from tests.plan.rollouts import ALIKE, STEPS, WORSE, ask
from tests.plan.situations import scoring_world
from tests.plan.world import World

NAMES = ("Promote", "PromoteFull", "Pause", "Resume", "Abort", "Retry", "Undo")


def train(world: World, number: int) -> None:
    digit = "234"[number % 3]
    world.add_model(f"pumps-{digit * 8}", digit=digit)


def lose_model(world: World, number: int) -> None:
    world.models.pop(f"pumps-{'234'[number % 3] * 8}", None)


def edit(world: World, number: int) -> None:
    world.edit([{"alerts": {"open": {"windows": 3 + number % 2}}}, {"replicas": 2}, {"paused": number % 4 < 2}][number % 3])


def command(world: World, number: int) -> None:
    """Of the candidate that there is, of another one, or of none in particular."""
    known = world.status.get("candidate", {}).get("revision")
    world.status.pop("command", None)
    ask(world, NAMES[number % len(NAMES)], str(world.now + number), revision=[known, known, known, "00000000"][number % 4])


def report(world: World, number: int) -> None:
    counts = [ALIKE, ALIKE, WORSE][number % 3]
    scaled = {name: count * (1 + number) for name, count in counts.items()}
    failing = {"loaded": False, "failure": RevisionFailure.SCORING_FAILED} if number % 11 == 0 else {}
    for name in world.pods:
        world.report(name, candidate={"paired": [PairedEvidence(window="short", **scaled)], **failing})


def lose_pods(world: World, number: int) -> None:
    world.pods.clear()
    world.reports.clear()
    if number % 2:
        world.run_pods(1 + number % 2)


def restart(world: World, _: int) -> None:
    world.stats_written, world.apply_error = 0.0, None


def jump(world: World, number: int) -> None:
    world.now += (number - 20) * 30


HAPPENINGS = [train, train, lose_model, edit, command, command, report, report, report, lose_pods, restart, jump, jump]
stories = st.lists(st.tuples(st.sampled_from(HAPPENINGS), st.integers(0, 100)), min_size=4, max_size=14)


def names(world: World) -> tuple[str, str, int]:
    told = world.assignment
    return told.stable.name, told.candidate.name if told.candidate else "", told.weight


def promoted_rightly(before: dict[str, Any], after: dict[str, Any]) -> bool:
    """Whether what became stable was the candidate, after its steps or because a command named it; or had been stable before."""
    new, candidate = after["stable"]["revision"], before.get("candidate", {})
    been = {row["revision"] for row in before["history"] if row["outcome"] == "Promoted"}
    asked, answer = before.get("command", {}), after.get("commandHandled", {})
    obeyed = answer != before.get("commandHandled") and answer.get("accepted") and answer["id"] == asked.get("id")
    if obeyed and asked["name"] == "Undo":
        return new in been
    if obeyed and asked["name"] == "PromoteFull":
        return bool(new == candidate["revision"] == asked["revision"])
    return bool(
        new == candidate.get("revision") and candidate["phase"] != "Loading" and candidate["step"] in ("4/5", "5/5", "1/1")
    )


@given(stories)
@examples(10, [HealthCheck.too_slow])
def test_pods_run_what_the_status_says_and_only_what_was_analysed_becomes_stable(story: list[tuple[Any, int]]) -> None:
    world = scoring_world()
    world.edit({"rollout": {"steps": STEPS, "settingsSteps": STEPS[:1]}})
    world.settle()
    for happen, number in story:
        happen(world, number)
        for _ in range(3):
            before = world.status
            world.step()
            stable, candidate, weight = names(world)
            assert stable == before["stable"]["revision"]
            assert candidate in ("", before.get("candidate", {}).get("revision"))
            assert weight in ((0, 20, 50) if candidate else (0,))
            if world.status["stable"]["revision"] != stable:
                assert promoted_rightly(before, world.status), (before, world.status)
