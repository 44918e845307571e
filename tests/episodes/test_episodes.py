"""Episodes: the table of hysteresis, severities that take time, updates."""

import pytest

from anomaly_api.alert import EpisodeReason
from anomaly_api.alerting import AlertPolicy, Closing, Opening, Severity, Updating
from anomaly_detector.core.episodes.policy import EpisodePolicy
from anomaly_detector.core.episodes.transitions import EvictedEntity
from tests.episodes.stories import LEVELS, MINUTE, Reading, Watcher, drawn, mixed, told

SEVERITIES = [Severity(name="critical", above=3.0), Severity(name="warning", above=1.0)]
POLICY = AlertPolicy(
    open=Opening(above=1.0, windows=2),
    close=Closing(below=0.8, windows=3),
    update=Updating(every="0s", growth=1000),
    severities=SEVERITIES,
    cooldown="0s",
)


def of(**changes: object) -> AlertPolicy:
    return AlertPolicy.model_validate(POLICY.document() | changes)


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ("..#..#..", "........"),
        ("..##....", "...O..C."),
        ("..##..#....", "...O.....C."),
        ("..##..-....", "...O.....C."),
        ("..##-----", "...O....."),
        ("..#-#.", "......"),
        ("####....##...", ".O....C..O..C"),
        ("?#?#?", "...O."),
        ("##?.?.?.?", ".O.....C."),
    ],
)
def test_an_episode_opens_and_closes_with_hysteresis(scores: str, expected: str) -> None:
    assert told(POLICY, drawn(scores)).drawing(len(scores)) == expected


def test_one_window_is_enough_when_the_policy_says_so() -> None:
    eager = of(open={"windows": 1}, close={"windows": 1})
    assert told(eager, drawn(".#.#")).drawing(4) == ".OCO"


def test_a_record_says_what_the_episode_has_been_so_far() -> None:
    scores = [1.5, 2.0, 7.0, 0.1, 0.1, 0.1]
    quiet = of(severities=[{"name": "warning", "above": 1.0}])
    opened, closed = told(quiet, [Reading(100 + at, (("short", score),)) for at, score in enumerate(scores)]).turns
    assert (opened.start, opened.time, opened.score, opened.peak, opened.windows) == (101_000_000, 101_000_000, 2.0, 2.0, 1)
    assert (closed.start, closed.time, closed.peak, closed.windows) == (101_000_000, 105_000_000, 7.0, 5)
    assert closed.score == pytest.approx(0.1)
    assert (opened.reason, closed.reason) == (EpisodeReason.OPENED, EpisodeReason.RECOVERED)


def test_entities_and_kinds_of_window_have_episodes_of_their_own() -> None:
    both = (("short", 2.0), ("long", 0.1))
    readings = [Reading(0, both, "a"), Reading(1, both, "b"), Reading(2, both, "b"), Reading(3, both, "c")]
    (turn,) = told(POLICY, readings, windows=("short", "long")).turns
    assert (turn.row, turn.window) == (2, "short")


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ("##!.##", "wwcccc"),
        ("!#", "cc"),
        ("##--!#", "wwwwcc"),
    ],
)
def test_the_severity_is_the_highest_that_was_reached(scores: str, expected: str) -> None:
    watcher = Watcher(of(close={"windows": 9}))
    found = ""
    for reading in drawn(scores):
        watcher.see([reading])
        (state,) = watcher.episodes.state(0).values()
        found += EpisodePolicy(POLICY).named(str(state.get("severity", "")))[0]
    assert found == expected


LASTING = of(
    severities=[
        {"name": "warning", "above": 1.0},
        {"name": "major", "above": 1.0, "for": "5m"},
        {"name": "critical", "above": 3.0, "for": "2m"},
    ]
)


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ("######.", ".w...m."),  # five minutes after the first that was above
        ("###.###", ".w....."),  # one below begins the count anew
        ("#!#!!!.", ".w...c."),  # critical is above major
        ("#!!!.", ".w.c."),
        ("##?###", ".w...m"),
    ],
)
def test_a_severity_with_for_is_reached_when_the_score_has_stayed_that_high(scores: str, expected: str) -> None:
    found = ["."] * len(scores)
    result = told(LASTING, drawn(scores))
    for row, turn in zip(result.rows, result.turns, strict=True):
        found[row] = turn.severity[0]
    assert "".join(found) == expected


def test_a_rise_of_the_severity_is_reported_and_a_fall_is_not() -> None:
    result = told(POLICY, drawn("##!###..."))
    assert result.drawing(9) == ".OU.....C"
    assert [(turn.severity, turn.reason) for turn in result.turns] == [
        ("warning", EpisodeReason.OPENED),
        ("critical", EpisodeReason.SEVERITY_ROSE),
        ("critical", EpisodeReason.RECOVERED),
    ]


def test_a_peak_that_grows_is_reported_once_for_each_multiple() -> None:
    calm = of(update={"every": "0s", "growth": 2.0}, severities=[{"name": "warning", "above": 1.0}])
    scores = [2.0, 2.0, 3.9, 4.0, 7.9, 5.0, 8.0, 100.0, 100.0]
    result = told(calm, [Reading(at, (("short", score),)) for at, score in enumerate(scores)])
    assert result.drawing(9) == ".O.U..UU."
    assert {turn.reason for turn in result.turns[1:]} == {EpisodeReason.PEAK_GREW}


def test_an_episode_that_stays_open_is_reported_every_so_often_and_never_in_between() -> None:
    result = told(of(update={"every": "5m", "growth": 1000}), drawn("#" * 20))
    assert result.drawing(20) == ".O....U....U....U..."
    assert {turn.reason for turn in result.turns[1:]} == {EpisodeReason.STILL_OPEN}


def test_a_record_of_another_kind_begins_the_time_to_the_next_anew() -> None:
    assert told(of(update={"every": "5m", "growth": 1000}), drawn("####!#######")).drawing(12) == ".O..U....U.."


def test_a_revision_with_other_severities_goes_on_with_open_episodes() -> None:
    watcher = Watcher(POLICY)
    watcher.see(drawn("###"))
    other = EpisodePolicy(of(severities=[{"name": "bad", "above": 0.5}, {"name": "worse", "above": 4.0}]))
    watcher.episodes.adopt(other, ["short"])
    watcher.see(drawn("#!", start=180))
    assert [turn.severity for turn in watcher.told.turns] == ["warning", "worse"]


def test_low_scores_leave_nothing_to_remember() -> None:
    watcher = Watcher(of(cooldown="5m"))
    watcher.see(mixed(drawn("." * 9, entity="a"), drawn("##...", entity="b")))
    slot = watcher.entities.known(0)
    assert watcher.episodes.state(slot["a"]) == {}
    assert watcher.episodes.state(slot["b"]) != {}, "it cools down"
    watcher.see(drawn("....", start=540, entity="b"))
    assert watcher.episodes.state(slot["b"]) == {}
    watcher.episodes.dirty()
    watcher.see(drawn("....", start=900, entity="b"))
    assert watcher.episodes.dirty().tolist() == [], "and is not looked at"


@pytest.mark.parametrize("reason", [EpisodeReason.EVICTED, EpisodeReason.IDLE])
def test_an_entity_that_is_forgotten_closes_its_episodes(reason: EpisodeReason) -> None:
    watcher = Watcher(POLICY)
    watcher.see(drawn("##"))
    readings = drawn("##", start=600, entity="b")
    told = watcher.see(readings, [EvictedEntity(1, 0, "a", 300 * 1_000_000, reason)])
    opened, closed, other = told.turns
    assert (closed.turn.value, closed.reason, closed.time, closed.index) == ("closed", reason, 5 * MINUTE, None)
    assert closed.score == opened.score == LEVELS["#"]
    assert told.rows == [1, 3, 3]
    assert other.turn.value == "opened"
    assert watcher.episodes.state(0) == {}
