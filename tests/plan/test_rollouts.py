"""Rollouts of the plan, told as stories: what pods are told, what the status says, and what people may ask."""

from typing import Any

import pytest

from anomaly_api.evidence import RevisionFailure
from anomaly_api.meta import ANNOTATION_TRAIN
from anomaly_operator.core.resources.names import CONFIG_MAPS, CONTROLLER_REVISIONS
from anomaly_operator.core.rollout.queries import due
from anomaly_operator.core.snapshot import Answer
from tests.plan.rollouts import ALIKE, WORSE, act, ask, names, reasons, rolling_world
from tests.plan.situations import scoring_world
from tests.plan.world import World


def test_a_new_model_is_compared_step_by_step_and_then_decides() -> None:
    world = rolling_world()
    candidate = world.status["candidate"]
    assert names(world) == ("pumps-11111111", "pumps-22222222")
    assert (candidate["phase"], candidate["step"], candidate["model"]) == ("Progressing", "1/5", "pumps-22222222")
    assert set(world.assignment.artifacts) == {world.assignment.stable.model, world.assignment.candidate.model}
    assert world.condition("Ready") == ("True", "Ready")
    assert world.condition("Reconciling") == ("True", "RolloutStepped")
    world.now += 600
    act(world, **ALIKE)
    assert (world.status["candidate"]["step"], world.assignment.weight) == ("3/5", 20)
    assert world.condition("Progressing") == ("True", "RolloutPaused")
    assert world.condition("Reconciling")[0] == "False", "it waits for people"
    ask(world, "Promote", revision=world.status["candidate"]["revision"])
    act(world, **ALIKE)
    assert world.status["commandHandled"]["accepted"]
    assert (world.status["candidate"]["step"], world.assignment.weight) == ("5/5", 50)
    world.now += 300
    act(world, **ALIKE)
    assert names(world) == ("pumps-22222222", None)
    assert "candidate" not in world.status
    assert world.status["stable"]["model"] == "pumps-22222222"
    newest = world.status["history"][0]
    assert (newest["outcome"], newest["windows"], newest["model"]) == ("Promoted", 1000, "pumps-22222222")
    assert reasons(world)[-2:] == ["RolloutStepped", "RolloutPromoted"]


def test_pods_are_told_only_what_the_status_says_and_the_status_names_only_what_is_on_record() -> None:
    world = scoring_world()
    world.edit({"rollout": {"steps": [{"shadow": {}}]}})
    world.settle()
    world.add_model("pumps-22222222", digit="2")
    for _ in range(6):
        named = {world.status["stable"]["revision"], world.status.get("candidate", {}).get("revision")} - {None}
        told = {each.name for each in (world.assignment.stable, world.assignment.candidate) if each}
        kept = {name.removeprefix("pumps-") for kind, name in world.children if kind == CONTROLLER_REVISIONS}
        assert told <= named <= kept
        world.step()
    assert world.assignment.candidate is not None


def test_a_worse_candidate_is_taken_away_and_not_tried_again_by_itself() -> None:
    world = rolling_world()
    world.now += 60
    act(world, **WORSE)
    assert names(world) == ("pumps-11111111", None)
    assert world.condition("Progressing") == ("False", "AnalysisFailed")
    assert world.condition("Stalled") == ("True", "AnalysisFailed")
    assert world.condition("Ready") == ("True", "Ready"), "the stream is scored as ever"
    world.now += 1e6
    act(world)
    assert world.status["aborted"]["model"] == "pumps-22222222"
    assert world.status["history"][0]["candidateEpisodes"] == 60
    ask(world, "Retry")
    act(world)
    assert world.status["candidate"]["step"] == "1/5"
    assert world.status["candidate"]["evidence"]["settled"]["both"] == 0, "a new rollout has evidence of its own"


def test_an_aborted_revision_whose_threshold_moves_by_itself_is_not_tried_again() -> None:
    world = rolling_world()
    act(world, **WORSE)
    world.edit({"feedback": {}})
    act(world)
    assert "candidate" not in world.status


def test_a_candidate_that_cannot_score_is_taken_away() -> None:
    world = rolling_world()
    failed = {"loaded": False, "failure": RevisionFailure.SCORING_FAILED, "message": "the graph raised"}
    world.report("pumps-detector-0", candidate=failed)
    world.step()
    assert world.status["aborted"]["reason"] == "CandidateFailed"
    assert "the graph raised" in world.message("Progressing")


@pytest.mark.parametrize("back", [False, True])
def test_an_edit_starts_anew_and_an_edit_back_ends_the_rollout(back: bool) -> None:
    world = rolling_world()
    act(world, **ALIKE)
    if back:
        del world.models["pumps-22222222"]
    else:
        world.now += 1
        world.add_model("pumps-33333333", digit="3")
    act(world)
    assert names(world) == ("pumps-11111111", None if back else "pumps-33333333")
    assert world.status["history"][0 if back else 1]["outcome"] == ("Cancelled" if back else "Replaced")


def test_other_thresholds_take_the_shorter_list() -> None:
    world = scoring_world()
    world.edit({"rollout": {"settingsSteps": [{"shadow": {"for": "1m", "windows": 10}}]}})
    world.settle()
    world.edit({"alerts": {"open": {"windows": 7}}})
    act(world)
    assert world.status["candidate"]["step"] == "1/1"
    assert world.assignment.stable.alerts.open.windows != 7
    world.now += 60
    act(world, **ALIKE)
    assert world.assignment.stable.alerts.open.windows == 7


def test_what_cannot_change_decisions_is_no_revision() -> None:
    world = rolling_world()
    before = world.status["candidate"]
    world.edit({"replicas": 3, "pod": {"resources": {"limits": {"memory": "2Gi"}}}})
    world.step()
    assert world.status["candidate"] == before


def test_a_command_for_another_revision_is_answered_and_does_nothing() -> None:
    world = rolling_world([{"pause": {}}])
    ask(world, "Promote", revision="00000000")
    act(world)
    answer = world.status["commandHandled"]
    assert (answer["id"], answer["accepted"]) == ("1", False)
    assert "00000000" in answer["message"]
    assert world.status["candidate"]["phase"] == "Paused"


def test_a_pause_is_answered_by_a_commit_that_names_the_revision() -> None:
    world = rolling_world([{"pause": {}}])
    world.edit({"rollout": {"promote": "00000000"}})
    act(world)
    assert world.status["candidate"]["phase"] == "Paused"
    world.edit({"rollout": {"promote": world.status["candidate"]["revision"]}})
    act(world)
    assert world.status["stable"]["model"] == "pumps-22222222"


def test_undo_goes_back_at_once_and_the_spec_does_not_bring_it_forward_again() -> None:
    world = rolling_world([])
    before = world.status["history"][1]["revision"]
    assert names(world) == ("pumps-22222222", None)
    ask(world, "Undo", by="ann")
    act(world)
    assert world.status["commandHandled"]["accepted"], world.status["commandHandled"]
    assert (world.status["stable"]["revision"], names(world)[0]) == (before, "pumps-11111111")
    world.now += 1e6
    act(world)
    assert world.condition("Progressing") == ("False", "RolloutUndone")
    ask(world, "Retry", "2")
    act(world)
    assert world.status["stable"]["model"] == "pumps-22222222"


@pytest.mark.parametrize("to", ["00000000", None])
def test_undo_goes_back_to_nothing_that_was_never_stable(to: Any) -> None:
    world = rolling_world()
    act(world, **WORSE)
    aborted = world.status["aborted"]["revision"]
    ask(world, "Undo", to=to or aborted)
    act(world)
    assert not world.status["commandHandled"]["accepted"]
    assert names(world)[0] == "pumps-11111111"


def test_evidence_is_kept_in_the_status_while_pods_come_and_go() -> None:
    world = rolling_world()
    act(world, **ALIKE)
    world.pods["pumps-detector-0"]["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    world.step()
    world.pods.clear()
    world.reports.clear()
    world.run_pods()
    world.now += 600
    act(world, neither=50)
    ledger = world.status["candidate"]["evidence"]
    assert ledger["settled"]["neither"] + sum(each["neither"] for each in ledger["instances"].values()) == 1040


def test_a_detector_that_an_older_operator_left_goes_on_with_what_it_has() -> None:
    world = scoring_world()
    before = world.assignment
    for kind, name in list(world.children):
        if kind == CONTROLLER_REVISIONS:
            del world.children[kind, name]
    del world.status["history"]
    world.edit({"rollout": {"steps": [{"shadow": {}}], "settingsSteps": [{"shadow": {}}]}})
    world.settle()
    assert world.assignment == before
    assert not world.transitions[1:]
    assert world.status["history"][0]["outcome"] == "Promoted"


def test_while_a_detector_is_paused_its_rollout_stands_still() -> None:
    world = rolling_world()
    world.edit({"paused": True})
    world.now += 1e5
    world.pods.clear()
    world.reports.clear()
    world.settle()
    assert world.status["candidate"]["step"] == "1/5"
    assert world.children[CONFIG_MAPS, "pumps-detector"]


def test_a_candidate_that_pods_refuse_is_taken_away() -> None:
    world = rolling_world()
    refused = {"loaded": False, "failure": RevisionFailure.INTAKE_DIFFERS, "message": "its time differs", "against": ""}
    world.report("pumps-detector-0", candidate=refused)
    world.step()
    assert world.status["aborted"]["reason"] == "CandidateFailed"


def statistical_world() -> World:
    world = World()
    world.edit({"model": {"statistical": {}}, "rollout": {"settingsSteps": [{"shadow": {}}], "steps": [{"shadow": {}}]}})
    world.settle()
    world.run_pods()
    return world


@pytest.mark.parametrize("change", [{"fallback": {"standardDeviations": 5.0}}, {"time": {"lateness": "9s"}}])
def test_a_revision_that_reads_the_stream_in_another_way_is_compared_too(change: dict[str, Any]) -> None:
    world = statistical_world()
    world.edit(change)
    world.settle()
    assert world.assignment.candidate is not None


def test_a_revision_of_other_entities_cannot_be_compared_and_decides_at_once() -> None:
    world = statistical_world()
    world.edit({"entity": {"key": None, "field": "machine"}})
    world.settle()
    assert world.assignment.candidate is None
    assert world.assignment.stable.pipeline.entity.field == "machine"


@pytest.mark.parametrize("same", [True, False])
def test_a_training_of_later_data_does_not_end_a_rollout_and_one_of_another_model_does(same: bool) -> None:
    world = rolling_world()
    act(world, **ALIKE)
    if same:
        world.annotations[ANNOTATION_TRAIN] = "now"
    else:
        world.edit({"training": {"epochs": 7}})
    act(world, **ALIKE)
    assert world.status["training"]["reason"] == ("Request" if same else "Spec")
    assert names(world) == ("pumps-11111111", "pumps-22222222" if same else None)


QUERY = {"name": "pages", "address": "http://prometheus:9090", "query": "$(candidate)", "max": 3, "interval": "10s"}


@pytest.mark.parametrize(
    ("answers", "outcome"),
    [
        ([2.0, 2.0], "Promoted"),
        ([2.0, 4.0], "Aborted"),
        ([None, None, None], "InProgress"),
        (["down", "down", "down"], "Aborted"),
        (["down", 1.0, "down"], "Promoted"),
    ],
)
def test_a_query_of_the_users_own_decides_too(answers: list[Any], outcome: str) -> None:
    limits = {"inconclusiveLimit": 1, "consecutiveErrorLimit": 2}
    world = rolling_world([{"pause": {"for": "25s"}}])
    world.edit({"rollout": {"analysis": {"prometheus": [{**QUERY, **limits}]}}})
    for answer in answers:
        world.now += 10
        [query] = due(world.snapshot.detector, world.now)
        assert query.text == world.status["candidate"]["revision"]
        said = {"error": answer} if isinstance(answer, str) else {"value": answer}
        world.queries = {"pages": Answer(world.now, **said)}
        act(world, **ALIKE)
        assert not due(world.snapshot.detector, world.now)
    world.now += 10
    act(world, **ALIKE)
    assert world.status["history"][0]["outcome"] == outcome
