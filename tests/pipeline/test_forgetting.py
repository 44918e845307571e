"""Entities that are forgotten: their episodes end, and they begin anew."""

from __future__ import annotations

from anomaly_api.alert import EpisodeEvent
from anomaly_detector.core.entities.lru import Reason
from anomaly_detector.core.entities.quota import MemoryQuota
from anomaly_detector.core.pipeline import DetectionPipeline
from anomaly_detector.core.scoring.revisions import LoadedRevision
from tests.pipeline.test_stream import SOURCE, Row, alerts, by_model, messages, story
from tests.stream.pods import revision


def with_room_for(entities: int, loaded: LoadedRevision, expire_after: float = 3600.0) -> DetectionPipeline:
    bounds = DetectionPipeline(SOURCE, loaded, MemoryQuota(10**9, 1, 60.0)).configuration.intake.bounds
    assert bounds is not None
    return DetectionPipeline(SOURCE, loaded, MemoryQuota(2 * entities * (bounds.entity_bytes + 1), 1, expire_after))


def others(names: str, at: int) -> list[Row]:
    return [(0, name, at, 20.0) for name in names]


def test_an_open_episode_of_a_forgotten_entity_is_closed_by_the_message_that_took_its_place() -> None:
    stream = with_room_for(2, by_model(revision(threshold=100.0)))
    outcome = stream.process(messages(story("a", length=33) + others("xyx", at=40)))
    opened, closed = alerts([outcome])
    assert [opened["type"], closed["type"]] == [EpisodeEvent.OPENED, EpisodeEvent.CLOSED]
    assert opened["data"]["episode"] == closed["data"]["episode"]
    assert [alert.row for alert in outcome.alerts] == [31, 34]
    assert closed["data"]["end"] == closed["time"] == "1970-01-01T00:00:32Z", "when it was seen last"
    assert closed["data"]["contributors"] == []


def test_an_idle_entity_has_its_episode_closed_by_a_later_reading_of_another() -> None:
    stream = with_room_for(9, by_model(revision(threshold=100.0)), expire_after=600.0)
    first = stream.process(messages(story("a", length=33) + others("x", at=632)))
    assert [alert["type"] for alert in alerts([first])] == [EpisodeEvent.OPENED]
    second = stream.process(messages(others("x", at=633)))
    assert [alert["type"] for alert in alerts([second])] == [EpisodeEvent.CLOSED]
    assert [(left.name, left.reason) for left in second.left] == [("a", Reason.IDLE)]


def test_an_entity_that_comes_back_has_no_window_across_the_hole() -> None:
    stream = with_room_for(2, by_model(revision(threshold=100.0)))
    first = stream.process(messages(story("a", length=20) + others("xy", at=20)))
    assert first.windows == 20 - 3
    second = stream.process(messages([(0, "a", at, 20.0) for at in range(21, 26)]))
    assert second.windows == 5 - 3


def test_only_entities_whose_window_might_have_gone_on_count_as_cut_off() -> None:
    stream = with_room_for(1, LoadedRevision(revision()))
    outcome = stream.process(messages([(0, "a", 0, 1.0), (0, "b", 300, 1.0), (0, "c", 601, 1.0)]))
    assert [left.name for left in outcome.left] == ["a", "b"]
    assert outcome.cut_off == 1, "maxGap is five minutes"
