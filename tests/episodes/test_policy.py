"""Which episodes people are told of: cooldown, suppressions, limits. Small letters are for the record only."""

import pytest

from anomaly_api.alert import COOLDOWN, EpisodeReason, LimitKind
from anomaly_api.alerting import AlertPolicy
from anomaly_detector.core.episodes.policy import EpisodePolicy
from tests.episodes.stories import MINUTE, Reading, Watcher, drawn, mixed, told

EAGER = {
    "open": {"above": 1.0, "windows": 1},
    "close": {"below": 0.8, "windows": 1},
    "update": {"every": "0s", "growth": 1000},
    "cooldown": "0s",
}
HOUR = 3600


def policy(**changes: object) -> AlertPolicy:
    return AlertPolicy.model_validate(EAGER | changes)


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        (".#.#.#.....#.", ".OCococ....OC"),  # counted from the end of the last one that people were told of
        (".#.#######.", ".OCo...O..C"),  # still open when it is over: announced then
        (".#.!.", ".OCOC"),  # worse than the one before
        (".!.!.", ".OCoc"),
        (".!.#.", ".OCoc"),
        (".#.#!.", ".OCoOC"),  # becomes worse
    ],
)
def test_in_the_cooldown_a_repetition_is_for_the_record_only(scores: str, expected: str) -> None:
    at_once, one_by_one = told(policy(cooldown="5m"), drawn(scores)), Watcher(policy(cooldown="5m"))
    for reading in drawn(scores):
        one_by_one.see([reading])
    assert at_once.drawing(len(scores)) == one_by_one.told.drawing(len(scores)) == expected


def test_what_the_cooldown_held_back_says_so_and_why_it_comes_after_all() -> None:
    turns = told(policy(cooldown="5m"), drawn("#.#####")).turns
    assert [(turn.suppressed_by, turn.reason) for turn in turns[2:]] == [
        (COOLDOWN, EpisodeReason.OPENED),
        (None, EpisodeReason.RELEASED),
    ]
    assert turns[2].start == turns[3].start == 2 * MINUTE


def test_a_cooldown_is_of_one_entity() -> None:
    result = told(policy(cooldown="1h"), mixed(drawn("#.", entity="a"), drawn("...#.", entity="b")))
    assert [turn.suppressed_by for turn in result.turns] == [None] * 4


MAINTENANCE = {"name": "night", "schedule": "10 0 * * *", "duration": "10m"}  # 00:10 to 00:20; a story begins at 00:00
TIMES = "0123456789" * 3


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        (".........." + "..##......" + "...", "." * 10 + "..o.c....." + "..."),
        (".........." + "...#######" + "##.", "." * 10 + "...o......" + "O.C"),  # still open at the end: announced then
        (".......###" + "###......." + "...", "." * 7 + "O....." + "C" + "." * 9),  # announced before: closed for all to see
        ("......#..." + "#.#......." + "#..", "......OC.." + "ococ......" + "OC."),
    ],
)
def test_during_a_suppression_new_episodes_are_for_the_record_only(scores: str, expected: str) -> None:
    result = told(policy(suppress=[MAINTENANCE]), drawn(scores))
    assert result.drawing(len(scores)) == expected
    assert {turn.suppressed_by for turn in result.turns} <= {None, "night"}


def test_what_a_suppression_kept_from_people_of_an_announced_episode_is_told_when_it_is_over() -> None:
    result = told(policy(suppress=[MAINTENANCE]), drawn("........##" + "##!!######" + "###."))
    assert result.drawing(24) == "........O." + "..u......." + "U..C"
    assert [(turn.reason, turn.severity) for turn in result.turns] == [
        (EpisodeReason.OPENED, "warning"),
        (EpisodeReason.SEVERITY_ROSE, "critical"),
        (EpisodeReason.RELEASED, "critical"),
        (EpisodeReason.RECOVERED, "critical"),
    ]


def test_a_suppression_concerns_the_entities_of_its_pattern() -> None:
    rule = MAINTENANCE | {"entities": "pump-1?"}
    readings = mixed(*(drawn("............#.", entity=name) for name in ("pump-1", "pump-12", "pump-123", "a-pump-12")))
    result = told(policy(suppress=[rule]), readings)
    assert [turn.suppressed_by for turn in result.turns if turn.turn.value == "opened"] == [None, "night", None, None]


def test_the_first_suppression_that_holds_gives_its_name() -> None:
    dates = {"name": "fair", "from": "1970-01-01T00:12:00Z", "until": "1970-01-01T01:30:00+01:00"}
    result = told(policy(suppress=[MAINTENANCE, dates]), drawn("..........#.#........." + "#......." + "#."))
    assert [turn.suppressed_by for turn in result.turns] == ["night"] * 4 + ["fair"] * 2 + [None] * 2


def test_an_episode_that_is_suppressed_begins_no_cooldown() -> None:
    assert told(policy(suppress=[MAINTENANCE], cooldown="5m"), drawn("." * 18 + "#.#.")).drawing(22) == "." * 18 + "ocOC"


TWO_AN_HOUR = policy(limits={"perEntity": {"episodes": 2, "per": "1h"}})


def test_beyond_its_limit_an_entity_has_no_records_but_the_one_that_says_so() -> None:
    result = told(TWO_AN_HOUR, drawn("#." * 40))
    assert result.drawing(80) == "OCOC" + "." * 56 + "OCOC" + "." * 16
    first, over, second = result.limits
    assert (first.turn.kind, first.turn.where, first.turn.most, first.turn.over, first.turn.dropped) == (
        LimitKind.PER_ENTITY, 0, 2, False, 1,
    )  # fmt: skip
    assert (first.time, first.turn.since, first.turn.until) == (4 * MINUTE, 0, 60 * MINUTE)
    assert (over.time, over.turn.over, over.turn.dropped) == (60 * MINUTE, True, 28)
    assert (second.turn.since, second.turn.over) == (60 * MINUTE, False)
    assert result.dropped == [LimitKind.PER_ENTITY] * (28 + 8)
    assert result.opened == 40, "they have been episodes all the same"


def test_an_episode_that_is_still_open_when_the_limit_is_over_is_announced() -> None:
    result = told(TWO_AN_HOUR, drawn("#.#." + "#" * 60 + "."))
    assert result.drawing(65) == "OCOC" + "." * 56 + "O...C"
    assert result.turns[-2].reason is EpisodeReason.RELEASED
    assert result.dropped == [LimitKind.PER_ENTITY]


def test_a_limit_is_said_to_be_over_by_a_window_that_is_low() -> None:
    (_, over) = told(TWO_AN_HOUR, drawn("#.#.#." + "." * 60)).limits
    assert (over.turn.over, over.time) == (True, 60 * MINUTE)


def test_a_limit_that_held_nothing_back_says_nothing() -> None:
    assert told(TWO_AN_HOUR, drawn("#.#." + "." * 60 + "#.")).limits == []


def test_what_is_suppressed_does_not_count() -> None:
    limited = policy(limits={"perEntity": {"episodes": 1, "per": "1h"}}, suppress=[MAINTENANCE])
    assert told(limited, drawn("." * 12 + "#.#." + "." * 6 + "#.#.")).drawing(26) == "." * 12 + "ococ" + "." * 6 + "OC.."


def test_the_windows_of_an_entity_share_its_limit() -> None:
    watcher = Watcher(TWO_AN_HOUR, windows=("short", "long"))
    for at in range(4):
        mark = 2.0 if at % 2 == 0 else 0.1
        watcher.see([Reading(at * 60, (("short", mark), ("long", mark)))])
    assert [(turn.turn.value, turn.window) for turn in watcher.told.turns] == [
        ("opened", "short"), ("opened", "long"), ("closed", "short"), ("closed", "long"),
    ]  # fmt: skip
    assert watcher.told.dropped == [LimitKind.PER_ENTITY] * 2


IN_ALL = policy(limits={"total": {"episodes": 4, "per": "1h"}})


def test_the_limit_in_all_is_shared_by_the_partitions_equally() -> None:
    readings = mixed(
        *(drawn("#.", entity=name, start=ord(name)) for name in "abcdef"),
        *(drawn("#.", entity=name, start=ord(name), partition=1) for name in "ghi"),
    )
    result = told(IN_ALL, readings, partitions=2)
    assert sum(turn.turn.value == "opened" for turn in result.turns) == 2 + 2
    assert [(each.turn.kind, each.turn.where, each.turn.most) for each in result.limits] == [
        (LimitKind.TOTAL, 0, 2),
        (LimitKind.TOTAL, 1, 2),
    ]
    assert result.dropped == [LimitKind.TOTAL] * 5


def test_the_first_window_of_a_partition_ends_its_limit_whoever_it_is_of() -> None:
    readings = [*mixed(*(drawn("#.", entity=name) for name in "abcdef")), *drawn(".", entity="z", start=HOUR, partition=3)]
    readings += [*drawn(".", entity="y", start=HOUR + 1), *drawn("#.", entity="x", start=HOUR + 2)]
    result = told(IN_ALL, readings)
    assert [(each.turn.over, each.time // 1_000_000, each.turn.dropped) for each in result.limits] == [
        (False, 0, 1),
        (True, HOUR + 1, 2),
    ]
    assert [turn.time // 1_000_000 for turn in result.turns][-2:] == [HOUR + 2, HOUR + 62]


def test_a_limit_that_is_taken_away_holds_nothing_back_any_more() -> None:
    watcher = Watcher(TWO_AN_HOUR)
    watcher.see(drawn("#.#.##"))
    watcher.episodes.adopt(EpisodePolicy(policy()), ["short"])
    watcher.see(drawn("##." + "." * 60, start=6 * 60))
    assert watcher.told.drawing(9) == "OCOC..O.C"
    assert [each.turn.over for each in watcher.told.limits] == [False, True]


def test_a_limit_is_over_in_time_for_an_entity_that_cools_down() -> None:
    limited = policy(cooldown="3h", limits={"perEntity": {"episodes": 1, "per": "1h"}})
    watcher = Watcher(limited)
    watcher.see(drawn("#.!."))
    watcher.see(drawn("." * 80, start=240))
    assert [(each.turn.over, each.time) for each in watcher.told.limits] == [(False, 2 * MINUTE), (True, 60 * MINUTE)]
