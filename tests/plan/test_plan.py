"""What is decided, case by case."""

import json
from typing import Any

import pytest

from anomaly_api.evidence import (
    FeatureEvidence,
    MemoryEvidence,
    PartitionEvidence,
    PresenceEvidence,
    RevisionFailure,
    SeenEntity,
    SourceState,
    TrainingEvidence,
)
from anomaly_api.meta import ANNOTATION_RUNTIME, LABEL_DETECTOR, TRAINING_ENV
from anomaly_operator.core import snapshot as seen
from anomaly_operator.core.actions import Apply, Delete, FillSlot, Nudge
from anomaly_operator.core.desired_state import course
from anomaly_operator.core.resources.names import (
    CONFIG_MAPS,
    DEPLOYMENTS,
    JOBS,
    ROLE_BINDINGS,
    SERVICE_ACCOUNTS,
    SERVICES,
    kind_of,
)
from anomaly_operator.core.snapshot import Refusal
from tests.plan.world import SPEC, START, World, seen_time


def scoring_world() -> World:
    """A detector that scores with a trained model."""
    world = World()
    world.settle()
    world.add_model()
    world.settle()
    world.run_pods()
    world.settle()
    assert world.condition("Ready") == ("True", "Ready")
    return world


def applied(world: World) -> list[str]:
    return [f"{kind_of(action.manifest).kind} {action.manifest['metadata']['name']}" for action in applies(world)]


def applies(world: World) -> list[Apply]:
    return [action for action in world.plan.actions if isinstance(action, Apply)]


def test_a_new_detector_gets_all_its_children_and_the_fallback_scorer() -> None:
    world = World()
    assert applied(world) == [
        "ServiceAccount pumps-detector",
        "Service pumps-detector",
        "PodDisruptionBudget pumps-detector",
        "ServiceAccount pumps-trainer",
        "RoleBinding pumps-trainer",
        "ConfigMap pumps-detector",
        "Deployment pumps-detector",
        f"Job pumps-train-{world.key}",
    ]
    world.settle()
    assert world.assignment.stable.model is None
    assert world.condition("Ready") == ("False", "Training")
    assert world.condition("Reconciling") == ("True", "Training")


def test_every_child_belongs_to_the_detector_and_to_nobody_else() -> None:
    for action in applies(World()):
        metadata = action.manifest["metadata"]
        assert metadata["labels"][LABEL_DETECTOR] == "pumps"
        assert [(owner["uid"], owner["controller"]) for owner in metadata["ownerReferences"]] == [("uid-1", True)]


def test_pods_pass_the_restricted_level() -> None:
    pods = [
        action.manifest["spec"]["template"]["spec"]
        for action in applies(World())
        if kind_of(action.manifest) in (DEPLOYMENTS, JOBS)
    ]
    assert len(pods) == 2
    for pod in pods:
        assert pod["securityContext"]["runAsNonRoot"]
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["enableServiceLinks"] is False
        for container in pod["containers"]:
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
            assert container["securityContext"]["readOnlyRootFilesystem"]
            assert container["securityContext"]["allowPrivilegeEscalation"] is False
    assert [pod["automountServiceAccountToken"] for pod in pods] == [False, True]


def test_the_trainer_is_told_what_to_do_in_one_variable() -> None:
    world = World()
    world.settle()
    assert world.job is not None
    environment = {each["name"]: each.get("value") for each in world.job["spec"]["template"]["spec"]["containers"][0]["env"]}
    order = json.loads(environment[TRAINING_ENV])
    assert (order["job"], order["kafka"]["topic"]) == (f"pumps-train-{world.key}", "pump-readings")


def test_a_trained_model_becomes_stable_at_once_without_touching_the_deployment() -> None:
    world = World()
    world.settle()
    world.run_pods()
    world.settle()
    digest = world.add_model()
    actions = world.plan.actions
    assert [type(action) for action in actions[:3]] == [FillSlot, Apply, Nudge]
    assert applied(world) == ["ConfigMap pumps-detector"]
    world.settle()
    assert world.assignment.stable.model == digest
    assert world.assignment.artifacts == {digest: "/var/lib/anomaly-models/a/model.tar"}


def test_until_pods_have_taken_a_model_over_the_detector_is_not_ready() -> None:
    world = World()
    world.settle()
    world.run_pods()
    world.settle()
    world.add_model()
    world.settle()
    assert world.condition("Ready") == ("False", "Assigning")
    world.report("pumps-detector-0")
    world.settle()
    assert world.condition("Ready") == ("True", "Ready")


def test_the_next_model_goes_to_the_other_slot() -> None:
    world = scoring_world()
    world.now += 100
    digest = world.add_model("pumps-22222222", digit="2")
    world.settle()
    assert world.assignment.artifacts == {digest: "/var/lib/anomaly-models/b/model.tar"}


def test_a_pod_that_has_the_assignment_is_not_nudged() -> None:
    world = scoring_world()
    world.pods["pumps-detector-0"]["metadata"].pop("annotations", None)
    assert world.plan.empty


@pytest.mark.parametrize(
    "edit",
    [
        {"alerts": {"open": {"windows": 7}}},
        {"threshold": {"budget": None, "quantile": 0.95}},
        {"fallback": {"standardDeviations": 5.0}},
    ],
)
def test_an_edit_of_the_policy_is_a_new_revision_with_the_same_model(edit: dict[str, Any]) -> None:
    world = scoring_world()
    before = world.assignment.stable
    world.edit(edit)
    assert applied(world) == ["ConfigMap pumps-detector"]
    world.settle()
    assert world.assignment.stable.model == before.model
    assert world.assignment.stable.name != before.name
    assert world.condition("ModelAvailable") == ("True", "Trained")


def test_while_another_model_is_trained_the_old_revision_goes_on_with_its_pipeline() -> None:
    world = scoring_world()
    before = world.assignment.stable
    world.edit({"features": [*SPEC["features"], {"name": "vibration"}]})
    world.settle()
    assert world.assignment.stable == before
    assert world.condition("Ready") == ("False", "Training")
    digest = world.add_model("pumps-33333333", digit="3")
    world.settle()
    assert world.assignment.stable.model == digest
    assert len(world.assignment.stable.pipeline.features) == 3


@pytest.mark.parametrize("edited", [True, False])
def test_a_revision_that_goes_on_survives_that_someone_takes_its_settings_away(edited: bool) -> None:
    world = scoring_world()
    before = world.assignment
    world.edit({"features": [*SPEC["features"], {"name": "vibration"}]})
    world.settle()
    if edited:
        world.config("pumps-detector")["data"]["assignment.json"] = "{}"
    else:
        del world.children[CONFIG_MAPS, "pumps-detector"]
    world.settle()
    assert world.assignment == before


def test_without_a_model_a_new_pipeline_takes_over_at_once() -> None:
    world = World()
    world.settle()
    world.edit({"features": [*SPEC["features"], {"name": "vibration"}]})
    world.settle()
    assert len(world.assignment.stable.pipeline.features) == 3
    assert world.assignment.stable.model is None


def test_an_edit_that_changes_what_is_trained_replaces_the_running_job() -> None:
    world = World()
    world.settle()
    before = world.key
    world.edit({"training": {"epochs": 7}})
    assert [action.name for action in world.plan.actions if isinstance(action, Delete)] == [f"pumps-train-{before}"]
    world.settle()
    assert world.job is not None
    assert world.job["metadata"]["name"] == f"pumps-train-{world.key}" != f"pumps-train-{before}"


@pytest.mark.parametrize(
    "edit",
    [
        {"training": {"backoffLimit": 5}},
        {"alerts": {"open": {"windows": 3}}},
        {"pod": {"labels": {"a": "b"}}},
        {"time": {"lateness": "10s"}},
    ],
)
def test_an_edit_that_does_not_leaves_the_job_alone(edit: dict[str, Any]) -> None:
    world = World()
    world.settle()
    world.edit(edit)
    assert not [action for action in world.plan.actions if isinstance(action, Delete)]
    assert not [name for name in applied(world) if name.startswith("Job")]


def test_how_long_readings_are_waited_for_changes_without_another_training() -> None:
    world = scoring_world()
    before = world.assignment.stable
    world.edit({"time": {"lateness": "10s"}})
    world.settle()
    after = world.assignment.stable
    assert (after.model, after.pipeline.time.lateness) == (before.model, "10s")
    assert after.name != before.name


def test_an_edit_of_the_source_replaces_the_pods() -> None:
    world = scoring_world()
    before = world.children[DEPLOYMENTS, "pumps-detector"]["spec"]["template"]["metadata"]["annotations"][ANNOTATION_RUNTIME]
    world.edit({"source": {"kafka": {"groupId": "another"}}})
    world.settle()
    after = world.children[DEPLOYMENTS, "pumps-detector"]["spec"]["template"]["metadata"]["annotations"][ANNOTATION_RUNTIME]
    assert before != after


def test_statistical_trains_nothing_and_takes_the_trainers_rights_away() -> None:
    world = World()
    world.settle()
    world.edit({"model": {"statistical": {}}})
    world.settle()
    left = {kind for kind, name in world.children if "train" in name}
    assert left == set()
    assert world.condition("ModelAvailable") == ("True", "NotNeeded")


def test_paused_stops_pods_and_training() -> None:
    world = World()
    world.settle()
    world.edit({"paused": True})
    world.settle()
    assert world.children[DEPLOYMENTS, "pumps-detector"]["spec"]["replicas"] == 0
    assert world.job is None
    assert world.condition("Ready") == ("False", "Paused")
    assert world.condition("Stalled")[0] == "False"
    assert [notice.warning for notice in world.notices if notice.reason == "Paused"] == [False]
    world.edit({"paused": False})
    world.settle()
    assert world.children[DEPLOYMENTS, "pumps-detector"]["spec"]["replicas"] == 1
    assert world.job is not None


def test_of_two_with_one_group_the_younger_runs_nothing_and_says_who_has_it() -> None:
    world = World()
    document = {"metadata": {"namespace": "other", "name": "elder", "uid": "uid-0"}, "spec": SPEC}
    world.rival = seen.detector(document)
    world.settle()
    assert world.children[DEPLOYMENTS, "pumps-detector"]["spec"]["replicas"] == 0
    assert world.job is None
    assert world.condition("Stalled") == ("True", "GroupConflict")
    assert "other/elder" in world.message("Ready")


def test_replicas_that_an_autoscaler_owns_are_left_alone() -> None:
    world = scoring_world()
    live = world.children[DEPLOYMENTS, "pumps-detector"]
    live["spec"]["replicas"], live["scaledBy"] = 5, "kube-controller-manager"
    world.step()
    assert "replicas" not in world.children[DEPLOYMENTS, "pumps-detector"]["spec"]


def test_replicas_that_a_person_set_are_put_back() -> None:
    world = scoring_world()
    world.children[DEPLOYMENTS, "pumps-detector"]["spec"]["replicas"] = 5
    assert applied(world) == ["Deployment pumps-detector"]


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        (DEPLOYMENTS, lambda live: live["spec"]["template"]["spec"]["containers"][0].update(image="evil:1")),
        (SERVICES, lambda live: live["spec"].update(selector={"a": "b"})),
        (CONFIG_MAPS, lambda live: live["data"].update({"assignment.json": "{}"})),
        (SERVICE_ACCOUNTS, lambda live: live.pop("automountServiceAccountToken")),
        (CONFIG_MAPS, lambda live: live["metadata"].update(labels={})),
        (CONFIG_MAPS, lambda live: live["metadata"].update(ownerReferences=[])),
    ],
)
def test_a_child_that_someone_edits_is_put_back(kind: Any, change: Any) -> None:
    world = scoring_world()
    before = world.assignment
    change(world.children[kind, "pumps-detector"])
    assert applied(world) == [f"{kind.kind} pumps-detector"]
    world.settle()
    assert world.assignment == before


def test_a_model_slot_that_someone_edits_is_filled_again() -> None:
    world = scoring_world()
    world.children[CONFIG_MAPS, "pumps-model-a"]["binaryDataDigests"] = {"model.tar": "sha256:else"}
    before = world.assignment
    assert [action.manifest["metadata"]["name"] for action in world.plan.actions if isinstance(action, FillSlot)] == [
        "pumps-model-a"
    ]
    world.settle()
    assert world.assignment == before


def test_what_others_add_is_theirs() -> None:
    world = scoring_world()
    live = world.children[DEPLOYMENTS, "pumps-detector"]
    live["metadata"]["annotations"]["theirs"] = "yes"
    live["spec"]["template"]["spec"]["containers"].append({"name": "sidecar"})
    assert world.plan.empty


def test_a_binding_to_another_role_is_made_anew() -> None:
    world = scoring_world()
    world.children[ROLE_BINDINGS, "pumps-trainer"]["roleRef"]["name"] = "cluster-admin"
    assert [action.kind for action in world.plan.actions if isinstance(action, Delete)] == [ROLE_BINDINGS]


# -- training -----------------------------------------------------------------------------------------------------------


def trainer_pod(world: World, **status: Any) -> None:
    labels = {"anomaly-operator.dev/component": "trainer", "batch.kubernetes.io/job-name": f"pumps-train-{world.key}"}
    world.pods["trainer-1"] = {
        "metadata": {"name": "trainer-1", "labels": labels, "creationTimestamp": seen_time(world.now)},
        "status": status,
    }


def test_too_little_data_says_how_much_there_is_and_how_much_is_needed() -> None:
    world = World()
    world.settle()
    trainer_pod(world, phase="Running", podIP="10.0.0.2")
    world.trainer = TrainingEvidence(
        pod="trainer-1", state="Waiting", windows=420, readings=500, needed=1000, reason="TooLittleData"
    )
    world.settle()
    assert world.condition("ModelAvailable") == ("False", "WaitingForData")
    assert "420 windows (500 readings), 1000 windows are needed" in world.message("ModelAvailable")
    assert (world.status["training"]["windows"], world.status["training"]["needed"]) == (420, 1000)
    assert world.condition("Stalled")[0] == "False"


def test_figures_of_a_wait_are_written_now_and_then_only() -> None:
    world = World()
    world.settle()
    world.run_pods()
    trainer_pod(world, phase="Running", podIP="10.0.0.2")
    world.trainer = TrainingEvidence(pod="trainer-1", state="Waiting", windows=420, readings=500, needed=1000)
    world.settle()
    world.now += 5
    world.trainer = world.trainer.model_copy(update={"windows": 430})
    world.report("pumps-detector-0")
    assert world.plan.empty
    world.now += 60
    world.report("pumps-detector-0")
    assert world.plan.status["training"] == {"windows": 430}


def test_a_failed_training_tells_its_last_words_and_stalls() -> None:
    world = World()
    world.settle()
    ended = {"exitCode": 1, "message": "field sensors.flow is missing in every reading", "finishedAt": seen_time(START)}
    trainer_pod(world, phase="Failed", containerStatuses=[{"name": "trainer", "image": "x", "state": {"terminated": ended}}])
    assert world.job is not None
    world.job["status"] = {"failed": 3, "conditions": [{"type": "Failed", "status": "True", "message": "BackoffLimitExceeded"}]}
    world.settle()
    assert world.condition("Stalled") == ("True", "TrainingFailed")
    assert "field sensors.flow is missing in every reading" in world.message("ModelAvailable")
    assert f"delete Job pumps-train-{world.key}" in world.message("ModelAvailable")
    assert world.status["training"]["attempts"] == 3


def test_between_two_attempts_the_reason_of_the_last_is_told() -> None:
    world = World()
    world.settle()
    ended = {"exitCode": 1, "message": "broker kafka:9092 does not answer", "finishedAt": seen_time(START)}
    trainer_pod(world, phase="Failed", containerStatuses=[{"name": "trainer", "image": "x", "state": {"terminated": ended}}])
    assert world.job is not None
    world.job["status"] = {"failed": 1}
    world.settle()
    assert world.condition("ModelAvailable") == ("False", "TrainingRetrying")
    assert "broker kafka:9092 does not answer" in world.message("ModelAvailable")
    assert world.condition("Reconciling")[0] == "True"


def test_a_model_that_someone_deletes_is_trained_again() -> None:
    world = scoring_world()
    world.models.clear()
    assert world.job is not None
    done = {"type": "Complete", "status": "True", "lastTransitionTime": seen_time(world.now)}
    world.job["status"] = {"conditions": [done]}
    before = world.assignment.stable
    world.now += 120
    world.report("pumps-detector-0")
    assert [action.kind for action in world.plan.actions if isinstance(action, Delete)] == [JOBS]
    world.step()
    assert world.assignment.stable == before
    world.settle()
    assert world.job is not None


def test_models_of_another_order_or_another_detector_are_not_taken() -> None:
    world = World()
    world.settle()
    world.add_model(key="000000000000")
    world.add_model("pumps-22222222")
    world.models["pumps-22222222"]["metadata"]["ownerReferences"][0]["uid"] = "someone-else"
    world.settle()
    assert world.assignment.stable.model is None


# -- a model that is referred to ----------------------------------------------------------------------------------------


def referring() -> World:
    world = World()
    world.edit({"model": {"modelRef": {"name": "brought"}}})
    return world


def test_a_model_that_does_not_exist_is_named() -> None:
    world = referring()
    world.settle()
    assert world.condition("Stalled") == ("True", "ModelNotFound")
    assert "AnomalyModel brought" in world.message("Ready")
    assert world.job is None


def test_a_model_that_is_referred_to_decides() -> None:
    world = referring()
    digest = world.add_model("brought", key="")
    world.settle()
    assert world.assignment.stable.model == digest
    assert world.models["brought"]["status"]["usedBy"] == ["pumps"]
    world.edit({"model": {"modelRef": None, "statistical": {}}})
    world.settle()
    assert world.models["brought"]["status"]["usedBy"] == []


def test_a_model_for_other_features_is_refused_with_both_lists() -> None:
    world = referring()
    world.add_model("brought", key="", features=["speed"])
    world.settle()
    assert world.condition("ModelAvailable") == ("False", "InterfaceMismatch")
    assert "speed" in world.message("ModelAvailable")
    assert "temperature, pressure" in world.message("ModelAvailable")


def test_an_artifact_with_another_digest_stalls_and_marks_the_model() -> None:
    world = scoring_world()
    world.report("pumps-detector-0", failure=RevisionFailure.DIGEST_MISMATCH)
    world.settle()
    assert world.condition("ModelAvailable") == ("False", "DigestMismatch")
    assert world.condition("Stalled") == ("True", "DigestMismatch")
    assert world.condition("Scoring")[0] == "True"
    assert world.models["pumps-11111111"]["status"]["conditions"][0]["status"] == "False"


def test_a_model_is_verified_when_pods_have_loaded_it() -> None:
    world = scoring_world()
    assert world.models["pumps-11111111"]["status"]["conditions"][0]["status"] == "True"


# -- the stream ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "stalled"),
    [
        (SourceState.BROKER_UNREACHABLE, False),
        (SourceState.TOPIC_NOT_FOUND, True),
        (SourceState.ALERTS_TOPIC_NOT_FOUND, True),
        (SourceState.NOT_AUTHORIZED, True),
    ],
)
def test_a_source_that_cannot_be_read_is_named_in_all_that_follows_from_it(state: SourceState, stalled: bool) -> None:
    world = scoring_world()
    world.report("pumps-detector-0", state=state)
    world.settle()
    for condition in ("SourceReachable", "Scoring", "Ready"):
        assert world.condition(condition) == ("False", state.value)
    assert world.message("Ready") == "what is wrong"
    assert world.condition("Stalled")[0] == str(stalled)


def test_silence_is_told_within_a_minute_and_is_not_stalled() -> None:
    world = scoring_world()
    world.now += 70
    world.report("pumps-detector-0", last_scored=world.now - 46, last_reading=world.now - 46, recent_readings=1)
    world.settle()
    assert world.condition("Scoring") == ("False", "NoReadings")
    assert world.condition("Ready") == ("False", "NoReadings")
    assert world.condition("Stalled")[0] == "False"
    assert world.condition("Reconciling")[0] == "False"


@pytest.mark.parametrize(
    ("readings", "since", "told"),
    [(288, 600, "Scoring"), (288, 1000, "NoReadings"), (86_400, 46, "NoReadings"), (9, 46, "NoReadings")],
)
def test_silence_is_measured_by_the_streams_own_pace(readings: int, since: float, told: str) -> None:
    world = scoring_world()
    world.now += 86_400
    moments = {"last_scored": world.now - since, "last_reading": world.now - since}
    world.report("pumps-detector-0", readings=readings, windows=readings, recent_readings=0, **moments)
    world.settle()
    assert world.condition("Scoring")[1] == told


def test_a_container_that_has_just_been_restarted_is_not_called_silent() -> None:
    world = scoring_world()
    world.now += 600
    running = {"name": "detector", "image": "x", "ready": True, "state": {"running": {"startedAt": seen_time(world.now - 5)}}}
    world.pods["pumps-detector-0"]["status"]["containerStatuses"] = [running]
    world.report("pumps-detector-0", last_scored=None, last_reading=None, recent_readings=0)
    world.settle()
    assert world.condition("Scoring") == ("Unknown", "Starting")


def test_readings_that_lead_to_no_score_are_told() -> None:
    world = scoring_world()
    world.now += 70
    world.report("pumps-detector-0", last_scored=world.now - 46)
    world.settle()
    assert world.condition("Scoring") == ("False", "NotScoring")


def test_a_partition_that_is_stuck_among_others_that_flow_is_told_within_a_minute() -> None:
    world = scoring_world()
    waiting = {"partition": 3, "since_score": 300.0, "lag": 120}
    world.report("pumps-detector-0", slowest=PartitionEvidence(**waiting, waiting=30.0))
    world.settle()
    assert world.condition("Scoring") == ("True", "Scoring")
    world.report("pumps-detector-0", slowest=PartitionEvidence(**waiting, waiting=46.0))
    world.settle()
    assert world.condition("Scoring") == ("False", "PartitionStuck")
    assert "partition 3 of topic pump-readings" in world.message("Scoring")
    assert "pumps-detector-0" in world.message("Scoring")
    world.report("pumps-detector-0")
    world.settle()
    assert world.condition("Scoring") == ("True", "Scoring"), "nothing waits in it"


def test_a_stream_that_can_mostly_not_be_read_is_told_with_an_example() -> None:
    world = scoring_world()
    world.report(
        "pumps-detector-0", recent_dead_letters=60, recent_dead_letter="FeatureMissing: temperature (partition 0, offset 12)"
    )
    world.settle()
    assert world.condition("Scoring") == ("False", "MostlyUnreadable")
    assert "FeatureMissing: temperature" in world.message("Scoring")
    assert "pump-readings.dead-letters" in world.message("Scoring")


def test_a_limit_that_holds_episodes_back_is_told_and_stands_in_nobodys_way() -> None:
    world = scoring_world()
    assert world.condition("Alerting") == ("True", "Announcing")
    world.notices.clear()
    world.report("pumps-detector-0", limits_reached=2, alerts_dropped={"PerEntity": 3, "Total": 40})
    world.settle()
    assert world.condition("Alerting") == ("False", "LimitReached")
    assert "43 since the pods started, of 2 entities and partitions now" in world.message("Alerting")
    assert "topic pump-readings.alerts" in world.message("Alerting")
    assert world.condition("Ready")[0] == "True"
    assert [(notice.reason, notice.warning) for notice in world.notices] == [("LimitReached", True)]
    world.report("pumps-detector-0", alerts_dropped={"PerEntity": 3, "Total": 40})
    world.settle()
    assert world.condition("Alerting") == ("True", "Announcing")


def test_messages_that_can_be_neither_read_nor_kept_are_told_with_what_to_set() -> None:
    world = scoring_world()
    world.notices.clear()
    world.report("pumps-detector-0", recently_left_out=4, dead_letters_left_out={"TooLarge": 90})
    world.settle()
    assert world.condition("Alerting") == ("False", "DeadLettersLeftOut")
    assert "topic pump-readings.dead-letters does not take them" in world.message("Alerting")
    assert "max.message.bytes: raise it" in world.message("Alerting")
    assert "cleanup.policy" not in world.message("Alerting")
    assert world.condition("Ready")[0] == "True"
    assert [(notice.reason, notice.warning) for notice in world.notices] == [("DeadLettersLeftOut", True)]
    world.report("pumps-detector-0", dead_letters_left_out={"TooLarge": 90})
    world.settle()
    assert world.condition("Alerting") == ("True", "Announcing")


def test_messages_that_were_deleted_before_they_were_read_are_told() -> None:
    world = scoring_world()
    world.notices.clear()
    world.report("pumps-detector-0", recently_skipped=20)
    world.settle()
    assert world.condition("Scoring") == ("False", "ReadingsLost")
    assert "20 messages of topic pump-readings were deleted before they were read" in world.message("Scoring")
    assert [(notice.reason, notice.warning) for notice in world.notices][:1] == [("ReadingsLost", True)]
    world.report("pumps-detector-0")
    world.settle()
    assert world.condition("Scoring") == ("True", "Scoring")


def test_entities_whose_readings_come_in_several_partitions_are_told_whichever_pods_have_these() -> None:
    world = scoring_world()
    world.run_pods(2)
    world.report("pumps-detector-0", seen=[SeenEntity(entity="pump-1", partition=0), SeenEntity(entity="pump-2", partition=1)])
    world.report("pumps-detector-1", seen=[SeenEntity(entity="pump-3", partition=2)])
    world.settle()
    assert world.condition("Scoring") == ("True", "Scoring")
    world.report("pumps-detector-1", seen=[SeenEntity(entity="pump-3", partition=2), SeenEntity(entity="pump-2", partition=3)])
    world.settle()
    assert world.condition("Scoring") == ("False", "EntitiesScattered")
    assert "readings of entity pump-2 come in partitions 1 and 3 of topic pump-readings" in world.message("Scoring")
    assert "1 of 3 entities" in world.message("Scoring")
    assert world.condition("Stalled")[0] == "False"


def test_a_feature_that_readings_lack_is_told_within_a_minute_with_the_field_that_came_in_its_place() -> None:
    world = scoring_world()
    world.now += 120
    lacking = {"name": "temperature", "field": "sensors.temperature", "lacking": 470, "seen": 900, "likely": "sensors.temp"}

    def says(**facts: Any) -> tuple[str, str]:
        feature = FeatureEvidence(**(lacking | {"last_seen": world.now - 31} | facts))
        world.report("pumps-detector-0", presence=PresenceEvidence(sampled=960, features=[feature]))
        world.settle()
        return world.condition("Scoring")

    assert says() == ("False", "FeatureMissing")
    assert "49% of the last minute's readings lack the feature temperature" in world.message("Scoring")
    assert "sensors.temp, which is new" in world.message("Scoring")
    assert world.condition("Ready") == ("False", "FeatureMissing")
    assert any(notice.reason == "FeatureMissing" and notice.warning for notice in world.notices)
    assert says(likely="") == ("False", "FeatureMissing"), "nobody sends it any more"
    assert says(last_seen=world.now - 1) == ("False", "FeatureMissing"), "half of the producers have been upgraded"
    assert says(last_seen=world.now - 1, lacking=50) == ("True", "Scoring"), "few lack it"
    assert says(last_seen=world.now - 1, likely="") == ("True", "Scoring"), "it is sent now and then"
    assert says(last_seen=world.now - 31, likely="", seen=10) == ("True", "Scoring"), "it is sent seldom"
    assert says(last_seen=None, likely="", seen=0) == ("False", "FeatureMissing"), "it never came"


def test_entities_that_are_forgotten_while_they_are_active_are_told_with_what_to_set() -> None:
    world = scoring_world()
    memory = MemoryEvidence(capacity=120, evicted={"Budget": 900, "Idle": 3}, recently_cut_off=60)
    world.now += 31
    world.report("pumps-detector-0", entities=118, memory=memory)
    world.settle()
    assert world.condition("Scoring") == ("False", "MemoryBudgetExceeded")
    assert "memoryBudget 256Mi has room for about 120 entities" in world.message("Scoring")
    assert world.status["memory"] == {"entities": 118, "capacity": 120, "evicted": 900, "expired": 3}
    world.report("pumps-detector-0", entities=118, memory=memory.model_copy(update={"recently_cut_off": 0}))
    world.settle()
    assert world.condition("Scoring") == ("True", "Scoring")


def test_the_pods_are_told_what_they_may_remember_in_plain_numbers() -> None:
    world = World()
    world.edit({"memoryBudget": "0.25Gi", "entity": {"key": {}, "expireAfter": "1d"}})
    runtime = course(world.observed, world.now).runtime
    assert (runtime.memory_budget, runtime.expire_after) == (268_435_456, "1d")


def test_figures_of_the_stream_are_written_every_half_minute_at_most() -> None:
    world = scoring_world()
    world.now += 10
    world.report("pumps-detector-0")
    assert world.plan.empty
    world.now += 30
    world.report("pumps-detector-0")
    assert set(world.plan.status) == {"source"}


@pytest.mark.parametrize(
    ("container", "reason", "stalled", "said"),
    [
        (
            {"state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such tag"}}},
            "ImagePullFailed",
            "True",
            "no such tag",
        ),
        (
            {"state": {"waiting": {"reason": "CreateContainerConfigError", "message": 'secret "s3" not found'}}},
            "ContainerNotCreated",
            "True",
            'secret "s3" not found',
        ),
        (
            {
                "restartCount": 4,
                "state": {"waiting": {"reason": "CrashLoopBackOff"}},
                "lastState": {"terminated": {"exitCode": 1, "message": "runtime.json is not there"}},
            },
            "PodsCrashing",
            "False",
            "runtime.json is not there",
        ),
        (
            {"restartCount": 1, "state": {}, "lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}},
            "PodsCrashing",
            "False",
            "raise resources.limits.memory",
        ),
    ],
)
def test_a_pod_that_does_not_run_is_named_with_the_reason(
    container: dict[str, Any], reason: str, stalled: str, said: str
) -> None:
    world = scoring_world()
    world.reports.clear()
    pod = world.pods["pumps-detector-0"]
    pod["status"] = {"phase": "Pending", "containerStatuses": [{"name": "detector", "image": "example/detector:1", **container}]}
    world.settle()
    assert world.condition("Ready") == ("False", reason)
    assert world.condition("Stalled")[0] == stalled
    assert "pumps-detector-0" in world.message("Ready")
    assert said in world.message("Ready")


def test_a_pod_that_finds_no_node_is_told() -> None:
    world = scoring_world()
    world.reports.clear()
    unscheduled = {"type": "PodScheduled", "status": "False", "message": "0/1 nodes are available: insufficient memory"}
    world.pods["pumps-detector-0"]["status"] = {"phase": "Pending", "conditions": [unscheduled]}
    world.settle()
    assert world.condition("Scoring") == ("False", "Unschedulable")


def test_pods_that_cannot_be_asked_are_not_called_healthy() -> None:
    world = scoring_world()
    world.reports.clear()
    world.now += 120
    world.settle()
    assert world.condition("Scoring") == ("Unknown", "EvidenceUnavailable")
    assert world.condition("Ready")[0] == "False"


def test_a_refused_child_is_told() -> None:
    world = scoring_world()
    world.refused = Refusal("ChildRefused", "Deployment pumps-detector was refused by the API server: quota exceeded")
    world.settle()
    assert world.condition("Stalled") == ("True", "ChildRefused")
    assert "quota exceeded" in world.message("Ready")


# -- events -------------------------------------------------------------------------------------------------------------


def test_events_tell_transitions_once_each() -> None:
    world = scoring_world()
    world.notices.clear()
    for _ in range(3):
        world.report("pumps-detector-0", state=SourceState.TOPIC_NOT_FOUND)
        world.step()
    assert [(notice.reason, notice.warning) for notice in world.notices] == [("TopicNotFound", True)]


def test_what_an_operator_that_crashed_has_told_is_told_under_the_same_key() -> None:
    world = scoring_world()
    world.report("pumps-detector-0", state=SourceState.TOPIC_NOT_FOUND)
    first = world.plan.notices
    world.now += 3
    assert [notice.key for notice in world.plan.notices] == [notice.key for notice in first]
