"""Kubernetes Events: one for each transition."""

from anomaly_api.evidence import (
    SourceState,
)
from tests.plan.situations import scoring_world


def test_events_tell_transitions_once_each() -> None:
    world = scoring_world()
    world.events.clear()
    for _ in range(3):
        world.report("pumps-detector-0", state=SourceState.TOPIC_NOT_FOUND)
        world.step()
    assert [(event.reason, event.warning) for event in world.events] == [("TopicNotFound", True)]


def test_what_an_operator_that_crashed_has_told_is_told_under_the_same_key() -> None:
    world = scoring_world()
    world.report("pumps-detector-0", state=SourceState.TOPIC_NOT_FOUND)
    first = world.plan.events
    world.now += 3
    assert [event.key for event in world.plan.events] == [event.key for event in first]
