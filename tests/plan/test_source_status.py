"""The condition Scoring: what the source topic and its messages do."""

import pytest

from anomaly_api.evidence import (
    LossEvidence,
    PartitionEvidence,
    SeenEntity,
    SourceState,
)
from tests.plan.situations import scoring_world
from tests.plan.world import World, seen_time


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


def quiet(world: World, seconds: float, readings: int = 100) -> None:
    """No reading for so long; before that one every few seconds."""
    moments = {"last_scored": world.now - seconds, "last_reading": world.now - seconds}
    world.report("pumps-detector-0", readings=readings, windows=readings, recent_readings=0, **moments)
    world.settle()


def test_a_quiet_topic_is_seen_within_a_minute_and_leaves_the_detector_ready() -> None:
    world = scoring_world()
    world.now += 70
    world.events.clear()
    quiet(world, 46)
    assert world.condition("ReadingsArriving") == ("True", "Quiet")
    assert world.condition("Scoring") == ("True", "Idle")
    assert world.condition("Ready") == ("True", "Ready")
    assert [event.reason for event in world.events if "ReadingsArriving" in event.message] == []


def test_a_silence_that_is_worth_a_word_is_a_condition_of_its_own_and_one_warning() -> None:
    world = scoring_world()
    world.now += 3600
    quiet(world, 601, readings=3000)
    assert world.condition("ReadingsArriving") == ("False", "Silent")
    assert "source.silentAfter" in world.message("ReadingsArriving")
    assert world.condition("Ready") == ("True", "Ready")
    assert [event.warning for event in world.events if event.reason == "Silent"] == [True]
    assert (world.plan.arriving, world.plan.scoring, world.plan.ready) == (False, True, True)
    world.report("pumps-detector-0", readings=3001)
    world.settle()
    assert world.condition("ReadingsArriving") == ("True", "Arriving")
    assert [event.warning for event in world.events if event.reason == "Arriving"][-1:] == [False]


@pytest.mark.parametrize(("asked", "silent"), [("12h", "Quiet"), ("1m", "Silent"), (None, "Silent")])
def test_how_long_a_silence_is_worth_a_word_is_the_users_to_say(asked: str | None, silent: str) -> None:
    world = scoring_world()
    world.edit({"source": {"silentAfter": asked}})
    world.now += 7200
    quiet(world, 3600, readings=3000)
    assert world.condition("ReadingsArriving")[1] == silent


def test_a_topic_on_which_nothing_has_ever_come_is_told_as_silent() -> None:
    world = scoring_world()
    world.now += 700
    world.report("pumps-detector-0", readings=0, windows=0, last_scored=None, last_reading=None, recent_readings=0)
    world.settle()
    assert world.condition("ReadingsArriving") == ("False", "Silent")
    assert world.condition("Ready") == ("True", "Ready")


def test_a_detector_that_warms_up_pages_nobody() -> None:
    world = scoring_world()
    world.now += 120
    world.report("pumps-detector-0", windows=0, last_scored=None, warming=3)
    world.settle()
    assert world.condition("Scoring") == ("False", "WarmingUp")
    assert world.plan.scoring


def test_readings_that_are_further_apart_than_max_gap_are_told_with_what_helps() -> None:
    world = scoring_world()
    world.now += 120
    world.report("pumps-detector-0", readings=720, entities=1, windows=0, last_scored=None, warming=1)
    world.settle()
    assert world.condition("Scoring") == ("False", "WindowsDoNotFill")
    assert "further apart than maxGap (5m)" in world.message("Scoring")


def test_a_topic_without_a_single_reading_among_its_messages_is_told() -> None:
    world = scoring_world()
    world.now += 120
    world.report("pumps-detector-0", readings=0, windows=0, last_scored=None, not_readings={"Filtered": 30, "NoFeature": 4})
    world.settle()
    assert world.condition("Scoring") == ("False", "NoReadings")
    assert "30 do not pass source.filter; 4 have none of the fields" in world.message("Scoring")


@pytest.mark.parametrize(
    ("readings", "since", "told"),
    [(288, 600, "Arriving"), (288, 1000, "Quiet"), (288, 9100, "Silent"), (86_400, 46, "Quiet"), (9, 46, "Quiet")],
)
def test_silence_is_measured_by_the_streams_own_pace(readings: int, since: float, told: str) -> None:
    world = scoring_world()
    world.now += 86_400
    moments = {"last_scored": world.now - since, "last_reading": world.now - since}
    world.report("pumps-detector-0", readings=readings, windows=readings, recent_readings=0, **moments)
    world.settle()
    assert world.condition("ReadingsArriving")[1] == told


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
    world.events.clear()
    world.report("pumps-detector-0", limits_reached=2, alerts_dropped={"PerEntity": 3, "Total": 40})
    world.settle()
    assert world.condition("Alerting") == ("False", "LimitReached")
    assert "43 since the pods started, of 2 entities and partitions now" in world.message("Alerting")
    assert "topic pump-readings.alerts" in world.message("Alerting")
    assert world.condition("Ready")[0] == "True"
    assert [(event.reason, event.warning) for event in world.events] == [("LimitReached", True)]
    world.report("pumps-detector-0", alerts_dropped={"PerEntity": 3, "Total": 40})
    world.settle()
    assert world.condition("Alerting") == ("True", "Announcing")


def test_messages_that_can_be_neither_read_nor_kept_are_told_with_what_to_set() -> None:
    world = scoring_world()
    world.events.clear()
    world.report("pumps-detector-0", recently_undeliverable=4, dead_letters_undeliverable={"TooLarge": 90})
    world.settle()
    assert world.condition("Alerting") == ("False", "DeadLettersLeftOut")
    assert "topic pump-readings.dead-letters does not take them" in world.message("Alerting")
    assert "max.message.bytes: raise it" in world.message("Alerting")
    assert "cleanup.policy" not in world.message("Alerting")
    assert world.condition("Ready")[0] == "True"
    assert [(event.reason, event.warning) for event in world.events] == [("DeadLettersLeftOut", True)]
    world.report("pumps-detector-0", dead_letters_undeliverable={"TooLarge": 90})
    world.settle()
    assert world.condition("Alerting") == ("True", "Announcing")


def test_messages_that_were_deleted_before_they_were_read_are_told() -> None:
    world = scoring_world()
    world.events.clear()
    world.report("pumps-detector-0", recently_skipped=20)
    world.settle()
    assert world.condition("Scoring") == ("False", "ReadingsLost")
    assert "20 messages of topic pump-readings were deleted before they were read" in world.message("Scoring")
    assert [(event.reason, event.warning) for event in world.events][:1] == [("ReadingsLost", True)]
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


def left_out(**counts: object) -> dict[str, object]:
    """Evidence of such losses in the last minute, and so in the last ten."""
    losses = LossEvidence.model_validate(counts)
    return {"recent_losses": losses, "lasting_losses": losses}


def test_readings_that_are_left_out_are_told_with_the_lateness_that_would_have_kept_them() -> None:
    world = scoring_world()
    world.events.clear()
    world.report("pumps-detector-0", **left_out(readings=600, late=300, delays={"0.5": 290, "1": 6, "500": 4}))
    world.settle()
    assert world.condition("ReadingsUsed") == ("False", "ReadingsLeftOut")
    message = world.message("ReadingsUsed")
    assert "300 of the 600 readings of the last minute (50.0%) did not count" in message
    assert "time.lateness: 1s would have kept 99 % of all; it is 0s" in message
    assert world.condition("Ready") == ("True", "Ready"), "those that count are scored"
    assert [event.warning for event in world.events if event.reason == "ReadingsLeftOut"] == [True]


def test_a_burst_that_was_left_out_is_still_told_minutes_later() -> None:
    world = scoring_world()
    losses = LossEvidence(readings=600, duplicates=300)
    world.report("pumps-detector-0", lasting_losses=losses)
    world.settle()
    assert world.condition("ReadingsUsed") == ("False", "ReadingsLeftOut")
    assert "300 had the entity and the time of another one" in world.message("ReadingsUsed")
    world.report("pumps-detector-0")
    world.settle()
    assert world.condition("ReadingsUsed") == ("True", "Used")


@pytest.mark.parametrize(
    ("bound", "losses", "told"),
    [
        (None, {"readings": 1000, "late": 10}, False),
        (None, {"readings": 1000, "late": 6, "duplicates": 5}, True),
        (None, {"readings": 19, "late": 9}, False),  # too few for a share
        (None, {"readings": 980, "skipped": 20}, True),
        (0.6, {"readings": 600, "duplicates": 300}, False),
        (0, {"readings": 600, "dropped_pending": 1}, True),
        (None, {"readings": 600, "released_early": 600}, False),  # they count all the same
    ],
)
def test_what_share_of_the_readings_may_be_left_out_is_the_users_to_say(
    bound: float | None, losses: dict[str, int], told: bool
) -> None:
    world = scoring_world()
    if bound is not None:
        world.edit({"source": {"maxLossRatio": bound}})
    world.report("pumps-detector-0", **left_out(**losses))
    world.settle()
    assert world.condition("ReadingsUsed")[1] == ("ReadingsLeftOut" if told else "Used")


def test_losses_of_all_pods_are_one_share() -> None:
    world = scoring_world()
    world.run_pods(2)
    world.report("pumps-detector-0", **left_out(readings=1900))
    world.report("pumps-detector-1", **left_out(readings=100, late=15, delays={"2": 15}))
    world.settle()
    assert world.condition("ReadingsUsed")[1] == "Used"
