"""Alerts: the contract, ids that follow from what happened, contributors, limits, trace context."""

import json
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from anomaly_api.alert import Alert, EpisodeEvent, EpisodeReason, LimitAlert, LimitKind, ScorerKind
from anomaly_detector.core.alerts.alert import Decision, Explanation, episode_alert, identity, limit_alert, rfc3339
from anomaly_detector.core.alerts.tracing import Trace
from anomaly_detector.core.episodes.episode import Transition
from anomaly_detector.core.episodes.limits import LimitTransition
from anomaly_detector.core.episodes.transitions import EpisodeTransition, LimitReached

START = 1_767_261_605_000_000
DECISION = Decision(
    source="/namespaces/plant/anomalydetectors/pumps",
    window="short",
    threshold=0.0182,
    scorer=ScorerKind.AUTOENCODER,
    model="sha256:7d41",
    revision="3f2a91c0",
    features=["temperature", "vibration"],
)
OPENED = EpisodeTransition(
    row=3,
    window="short",
    index=0,
    entity="pump-7",
    turn=Transition.OPENED,
    reason=EpisodeReason.OPENED,
    time=START,
    start=START,
    windows=1,
    score=2.7,
    peak=4.0,
    severity="warning",
)
UPDATED = replace(OPENED, turn=Transition.UPDATED, reason=EpisodeReason.PEAK_GREW, time=START + 2_500_000, windows=2)
CLOSED = replace(OPENED, turn=Transition.CLOSED, reason=EpisodeReason.RECOVERED, time=START + 5_000_000, windows=6)
TRACE = Trace("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "a=b")
WHY = Explanation(
    errors=np.array([1.0, 3.0], np.float32),
    actual=np.array([20.5, 7.9], np.float32),
    expected=np.array([20.0, 2.1], np.float32),
    filled=np.array([True, False]),
    imputed=3,
)


def event(
    turn: EpisodeTransition = OPENED,
    entity: str = "pump-7",
    why: Explanation | None = WHY,
    trace: Trace | None = None,
    **changes: Any,
) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(
        episode_alert(replace(DECISION, **changes), replace(turn, entity=entity), why, trace).value
    )
    return parsed


@pytest.mark.parametrize("turn", [OPENED, UPDATED, CLOSED, replace(OPENED, suppressed_by="night")])
@pytest.mark.parametrize("trace", [None, TRACE])
def test_an_alert_is_what_the_contract_says(turn: EpisodeTransition, trace: Trace | None) -> None:
    found = event(turn, trace=trace)
    written = Alert.model_validate(found).model_dump(mode="json")
    absent = {} if trace else {"traceparent": None, "tracestate": None}
    assert written == found | absent | {"data": found["data"] | {"labels": {}}}


def test_every_record_says_how_the_episode_stands() -> None:
    opened, updated, closed = (event(turn) for turn in (OPENED, UPDATED, CLOSED))
    assert [each["type"] for each in (opened, updated, closed)] == [
        EpisodeEvent.OPENED,
        EpisodeEvent.UPDATED,
        EpisodeEvent.CLOSED,
    ]
    assert [each["data"]["end"] for each in (opened, updated, closed)] == [None, None, closed["time"]]
    assert [each["data"]["durationSeconds"] for each in (opened, updated, closed)] == [0, 2.5, 5]
    assert [each["data"]["windows"] for each in (opened, updated, closed)] == [1, 2, 6]
    assert {each["data"]["start"] for each in (opened, updated, closed)} == {"2026-01-01T10:00:05Z"}
    assert closed["time"] == "2026-01-01T10:00:10Z"
    assert [each["data"]["reason"] for each in (opened, updated, closed)] == ["Opened", "PeakGrew", "Recovered"]


def test_a_record_that_is_not_for_people_says_why() -> None:
    assert (event()["data"]["suppressed"], event()["data"]["suppressedBy"]) == (False, None)
    held = event(replace(OPENED, suppressed_by="night"))["data"]
    assert (held["suppressed"], held["suppressedBy"]) == (True, "night")


def test_the_same_happening_has_the_same_id_and_another_one_has_another() -> None:
    assert event() == event()
    later = replace(OPENED, time=START + 1, reason=EpisodeReason.RELEASED)
    others = [event(CLOSED), event(UPDATED), event(later), event(entity="pump-8"), event(window="long"), event(source="/other")]
    assert len({found["id"] for found in [event(), *others]}) == 7
    assert len({event(turn)["data"]["episode"] for turn in (OPENED, UPDATED, CLOSED, later)}) == 1


def test_an_episode_whose_entity_is_forgotten_has_no_contributors() -> None:
    assert event(replace(CLOSED, index=None, reason=EpisodeReason.IDLE), why=None)["data"]["contributors"] == []


def test_the_trace_of_a_reading_is_in_the_record_and_in_its_headers() -> None:
    found = event(trace=TRACE)
    assert (found["traceparent"], found["tracestate"]) == (TRACE.parent, TRACE.state)
    headers = episode_alert(DECISION, OPENED, WHY, TRACE).headers
    assert dict(headers) == {
        "content-type": b"application/cloudevents+json; charset=UTF-8",
        "traceparent": TRACE.parent.encode(),
        "tracestate": b"a=b",
    }
    assert "traceparent" not in event()
    assert "tracestate" not in event(trace=Trace(TRACE.parent))


@pytest.mark.parametrize("kind", list(LimitKind))
@pytest.mark.parametrize("over", [False, True])
def test_a_limit_says_what_it_held_back(kind: LimitKind, over: bool) -> None:
    turn = LimitTransition(kind, where=7, most=10, since=START, until=START + 3_600_000_000, dropped=3, over=over)
    alert = limit_alert("/source", LimitReached(5, START + 3_600_000_000, "pump-7", turn))
    found = json.loads(alert.value)
    parsed = LimitAlert.model_validate(found)
    assert parsed.model_dump(mode="json") == found | {"traceparent": None, "tracestate": None}
    of_entity = kind is LimitKind.PER_ENTITY
    assert alert.entity == parsed.subject == ("pump-7" if of_entity else "partition-7")
    assert (parsed.data.entity, parsed.data.partition) == (("pump-7", None) if of_entity else (None, 7))
    assert (parsed.data.dropped, parsed.data.episodes, parsed.data.end is not None) == (3, 10, over)
    assert parsed.data.until == "2026-01-01T11:00:05Z"


def test_ids_do_not_run_together() -> None:
    assert identity("ab", "c") != identity("a", "bc")
    assert identity('a","b', "c") != identity("a", "b", "c")


def test_contributors_come_by_falling_share_with_what_was_and_what_was_expected() -> None:
    assert event()["data"]["contributors"] == [
        {"feature": "vibration", "share": 0.75, "actual": 7.9, "expected": 2.1, "imputed": False},
        {"feature": "temperature", "share": 0.25, "actual": 20.5, "expected": 20.0, "imputed": True},
    ]


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
