"""When a suppression holds: cron in a time zone, over changes of the clock; dates; what makes no sense."""

from datetime import datetime

import pytest

from anomaly_api.alerting import AlertPolicy, Suppression
from anomaly_api.schedule import flaws, holding
from anomaly_detector.core.episodes.policy import EpisodePolicy


def micros(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1_000_000)


def rule(**fields: object) -> Suppression:
    return Suppression.model_validate({"name": "some", **fields})


@pytest.mark.parametrize(
    ("at", "holds"),
    [
        ("2026-11-21T01:59:59.999999+01:00", False),
        ("2026-11-21T02:00:00+01:00", True),  # a Saturday
        ("2026-11-21T03:59:59.999999+01:00", True),
        ("2026-11-21T04:00:00+01:00", False),
        ("2026-11-22T02:30:00+01:00", False),
    ],
)
def test_a_schedule_holds_for_its_duration_in_its_time_zone(at: str, holds: bool) -> None:
    saturdays = rule(schedule="0 2 * * 6", duration="2h", timeZone="Europe/Berlin")
    assert holding(saturdays)(micros(at)) is holds


@pytest.mark.parametrize(
    ("at", "holds"),
    [
        ("2026-03-29T01:59:00+01:00", False),
        ("2026-03-29T03:00:00+02:00", True),  # half past two does not exist that night
        ("2026-03-29T03:59:00+02:00", True),
        ("2026-03-29T04:00:00+02:00", False),
        ("2026-10-25T02:30:00+02:00", True),
        ("2026-10-25T02:29:00+01:00", True),  # an hour later, the clock has been put back
        ("2026-10-25T02:31:00+01:00", False),  # it does not begin again
    ],
)
def test_a_schedule_survives_changes_of_the_clock(at: str, holds: bool) -> None:
    nightly = rule(schedule="30 2 * * *", duration="1h", timeZone="Europe/Berlin")
    assert holding(nightly)(micros(at)) is holds


def test_a_schedule_without_a_time_zone_is_in_utc() -> None:
    holds = holding(rule(schedule="0 2 * * *", duration="1h"))
    assert (holds(micros("2026-07-01T02:30:00Z")), holds(micros("2026-07-01T02:30:00+02:00"))) == (True, False)


def test_dates_hold_from_the_first_to_before_the_last() -> None:
    holds = holding(rule(**{"from": "2026-12-24T18:00:00+01:00", "until": "2026-12-27T00:00:00Z"}))
    found = [holds(micros(at)) for at in ("2026-12-24T16:59:59Z", "2026-12-24T17:00:00Z", "2026-12-26T23:59:59Z")]
    assert found == [False, True, True]
    assert not holds(micros("2026-12-27T00:00:00Z"))


@pytest.mark.parametrize("at", [-62_135_596_800_000_000, 253_402_300_799_999_999])
def test_at_the_ends_of_the_calendar_nothing_is_suppressed_and_nothing_breaks(at: int) -> None:
    for zone in ("Pacific/Kiritimati", "America/Los_Angeles", "UTC"):
        assert holding(rule(schedule="0 2 1 1 *", duration="1h", timeZone=zone))(at) is False


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        (
            {"schedule": "0 2 30 2 *", "duration": "1h"},
            "spec.alerts.suppress[some].schedule: '0 2 30 2 *' never comes or is no range",
        ),
        (
            {"schedule": "0 2 * * 5-1", "duration": "1h"},
            "spec.alerts.suppress[some].schedule: '0 2 * * 5-1' never comes or is no",
        ),
        (
            {"schedule": "0 2 * * *", "duration": "1h", "timeZone": "Europe/Atlantis"},
            "spec.alerts.suppress[some].timeZone: there is no time zone 'Europe/Atlantis': write for example Europe/Berlin",
        ),
        (
            {"from": "2026-02-30T00:00:00Z", "until": "2026-03-01T00:00:00Z"},
            "spec.alerts.suppress[some].from: there is no such day or time: 2026-02-30T00:00:00Z",
        ),
    ],
)
def test_what_the_schema_cannot_see_is_told_and_suppresses_nothing(fields: dict[str, str], sentence: str) -> None:
    policy = AlertPolicy(suppress=[rule(**fields)])
    (flaw,) = flaws(policy)
    assert flaw.startswith(sentence)
    assert EpisodePolicy(policy).suppressed("pump", micros("2026-02-28T02:30:00Z")) is None
