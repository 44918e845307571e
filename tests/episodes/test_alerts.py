"""Alerts: the contract, ids that follow from what happened, severity, contributors."""

import json
from typing import Any

import numpy as np
import pytest

from anomaly_api.alert import Alert, EpisodeEvent, ScorerKind
from anomaly_api.policy import Severity
from anomaly_detector.core.alerts import Decision, Explanation, cloud_event, identity, rfc3339, severity
from anomaly_detector.core.episodes import EpisodeTurn, Turn

SEVERITIES = [Severity(name="critical", above=3.0), Severity(name="warning", above=1.0)]
START = 1_767_261_605_000_000
WHY = Explanation(np.array([1.0, 3.0], np.float32), np.array([20.5, 7.9], np.float32), np.array([20.0, 2.1], np.float32))


def event(turn: Turn = Turn.OPENED, entity: str = "pump-7", **changes: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "source": "/namespaces/plant/anomalydetectors/pumps",
        "window": "short",
        "threshold": 0.0182,
        "scorer": ScorerKind.AUTOENCODER,
        "model": "sha256:7d41",
        "revision": "3f2a91c0",
        "severities": SEVERITIES,
        "features": ["temperature", "vibration"],
    }
    what = EpisodeTurn(place=0, turn=turn, start=START, score=2.7, peak=4.0)
    encoded = cloud_event(Decision(**(fields | changes)), entity, START + 5_000_000, what, WHY)
    parsed: dict[str, Any] = json.loads(encoded)
    return parsed


@pytest.mark.parametrize("turn", list(Turn))
def test_an_alert_is_what_the_contract_says(turn: Turn) -> None:
    found = event(turn)
    assert Alert.model_validate(found).model_dump(mode="json") == found


def test_an_opened_episode_has_no_end_and_a_closed_one_has() -> None:
    opened, closed = event(), event(Turn.CLOSED)
    assert (opened["type"], closed["type"]) == (EpisodeEvent.OPENED, EpisodeEvent.CLOSED)
    assert opened["data"]["end"] is None
    assert closed["data"]["end"] == closed["time"] == "2026-01-01T10:00:10Z"
    assert opened["data"]["start"] == closed["data"]["start"] == "2026-01-01T10:00:05Z"


def test_a_closed_episode_is_as_severe_as_its_peak() -> None:
    assert event()["data"]["severity"] == "warning"
    assert event(Turn.CLOSED)["data"]["severity"] == "critical"


def test_the_same_happening_has_the_same_id_and_another_one_has_another() -> None:
    assert event() == event()
    others = [event(Turn.CLOSED), event(entity="pump-8"), event(window="long"), event(source="/other")]
    assert len({found["id"] for found in [event(), *others]}) == 5
    assert event()["data"]["episode"] == event(Turn.CLOSED)["data"]["episode"]


def test_ids_do_not_run_together() -> None:
    assert identity("ab", "c") != identity("a", "bc")
    assert identity('a","b', "c") != identity("a", "b", "c")


def test_contributors_come_by_falling_share_with_what_was_and_what_was_expected() -> None:
    assert event()["data"]["contributors"] == [
        {"feature": "vibration", "share": 0.75, "actual": 7.9, "expected": 2.1},
        {"feature": "temperature", "share": 0.25, "actual": 20.5, "expected": 20.0},
    ]


@pytest.mark.parametrize(
    ("score", "name"), [(0.5, "warning"), (1.0, "warning"), (2.9, "warning"), (3.0, "critical"), (99, "critical")]
)
def test_severity_is_the_highest_that_is_reached(score: float, name: str) -> None:
    assert severity(SEVERITIES, score) == name


@pytest.mark.parametrize(
    ("micros", "text"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (-1, "1969-12-31T23:59:59.999999Z"),
        (START + 250_000, "2026-01-01T10:00:05.250Z"),
        (253_402_300_799_999_999, "9999-12-31T23:59:59.999999Z"),
        (-62_135_596_800_000_000, "0001-01-01T00:00:00Z"),
    ],
)
def test_times_are_written_exactly(micros: int, text: str) -> None:
    assert rfc3339(micros) == text
