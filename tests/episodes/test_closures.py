"""What an edit of the spec ends is told: the records of the simplest model, whenever it comes and whoever remembers."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anomaly_api.alert import EpisodeReason, ScorerKind
from anomaly_api.alerting import AlertPolicy
from anomaly_api.policy import Fallback
from anomaly_api.schema import Empty
from anomaly_api.source import Entity, Feature, Pipeline, Time, Window
from anomaly_detector.core.configuration import Configuration, Decider, Deciders
from anomaly_detector.core.episodes.closures import Closures
from anomaly_detector.core.episodes.transitions import EpisodeTransition
from anomaly_detector.core.preprocess.intake import Intake
from tests.effort import examples
from tests.episodes.naive import Naive
from tests.episodes.stories import Reading, Watcher, drawn
from tests.episodes.test_laws import PARTITIONS, WINDOWS, line, lines, naive, policies, rounded, streams

SOURCE = "/namespaces/plant/anomalydetectors/pumps"


def under(*windows: str, features: int = 1, **more: Any) -> Configuration:
    pipeline = Pipeline(
        entity=Entity(key=Empty()),
        time=Time(),
        features=[Feature(name=f"f{number}") for number in range(features)],
        windows=[Window(name=name, size=4) for name in windows],
    )
    stable = Decider(revision="0123456789abcdef", windows=pipeline.windows, **{"thresholds": dict.fromkeys(windows, 4.0)} | more)
    return Configuration(intake=Intake.of(pipeline, Fallback()), deciders=Deciders(stable=stable))


CHANGES = {
    "nothing": (WINDOWS, under(*WINDOWS)),
    "one window goes": (("short",), under("short")),
    "the other one goes": (("long",), under("long")),
    "all begins anew": (WINDOWS, under(*WINDOWS, features=2)),
    "what was known is void": (WINDOWS, None),
}


@examples(100)
@given(
    policy=policies(),
    before=streams(),
    after=streams(),
    moves=st.lists(st.booleans(), min_size=2, max_size=2),
    change=st.sampled_from(list(CHANGES)),
)
def test_what_a_change_ends_is_told_as_the_naive_model_tells_it_and_the_rest_goes_on(
    policy: AlertPolicy, before: list[Reading], after: list[Reading], moves: list[bool], change: str
) -> None:
    windows, to = CHANGES[change]
    endings = Closures(SOURCE, under(*WINDOWS), to)
    model = Naive(policy, WINDOWS, PARTITIONS)
    first = naive(model, before)
    model.change(windows, anew=endings.anew)
    ended, model.lines = rounded(model.lines), []

    watcher = Watcher(policy, WINDOWS, PARTITIONS)
    watcher.see(before)
    watcher = watcher.moved() if moves[0] else watcher
    limited = [each for number in watcher.episodes.limited() for each in endings.of_partition(number, watcher.total(number))]
    found = [line(record, record.entity) for record in watcher.change(windows, endings)]
    found += [
        ("limited", ("total", int(data["subject"].removeprefix("partition-"))), True, data["data"]["dropped"])
        for data in (json.loads(alert.value) for alert in limited)
    ]
    assert sorted(map(repr, found)) == sorted(map(repr, ended))
    watcher = watcher.moved() if moves[1] else watcher
    start = 1 + max((reading.time for reading in before), default=0)
    later = [
        Reading(start + each.time, tuple(score for score in each.scores if score[0] in windows), each.entity, each.partition)
        for each in after
    ]
    watcher.see(later)
    assert lines(watcher.told, [*before, *later]) == [*first, *((row + len(before), said) for row, said in naive(model, later))]


def opened(drawing: str, **policy: Any) -> Watcher:
    watcher = Watcher(AlertPolicy.model_validate({"open": {"windows": 1}, "close": {"windows": 2}, **policy}))
    watcher.see(drawn(drawing))
    return watcher


def ended(watcher: Watcher, endings: Closures) -> list[dict[str, Any]]:
    [slot] = watcher.episodes.remembered()
    return [json.loads(alert.value) for alert in endings.of_entity("a", watcher.episodes.state(slot))]


def test_the_record_says_who_decided_before_and_when_the_last_window_was() -> None:
    before = under("short", scorer=ScorerKind.AUTOENCODER, model="sha256:ab", thresholds={"short": 0.25})
    [record] = ended(opened(".#!#-."), Closures(SOURCE, before, under("long")))
    data = record["data"]
    assert record["type"] == "dev.anomaly-operator.episode.closed"
    assert record["time"] == data["end"] == "1970-01-01T00:05:00Z"
    assert (data["reason"], data["start"], data["windows"]) == ("Replaced", "1970-01-01T00:01:00Z", 5)
    assert (data["score"], data["peak"], data["suppressed"]) == (0.1, 5.0, False)
    assert (data["revision"], data["threshold"], data["scorer"], data["model"]) == ("01234567", 0.25, "Autoencoder", "sha256:ab")
    assert data["contributors"] == []


def test_the_end_of_an_episode_that_nobody_was_told_of_is_for_the_record_only() -> None:
    works = {"name": "works", "schedule": "* * * * *", "duration": "1h", "entities": "*"}
    [record] = ended(opened(".##", suppress=[works]), Closures(SOURCE, under("short"), under("long")))
    assert (record["data"]["suppressed"], record["data"]["suppressedBy"]) == (True, "works")


def test_an_episode_without_a_record_ends_without_one_and_so_does_a_cooldown() -> None:
    change = Closures(SOURCE, under("short"), under("long"))
    assert ended(opened(".#", open={"windows": 2}), change) == []
    assert ended(opened(".#..", cooldown="1h"), change) == []


def test_a_limit_outlives_a_window_but_not_what_all_windows_are_made_of() -> None:
    watcher = opened(".#..#..#", cooldown="0s", limits={"perEntity": {"episodes": 1, "per": "1h"}})
    assert ended(watcher, Closures(SOURCE, under("short"), under("long"))) == []
    [over] = ended(watcher, Closures(SOURCE, under("short"), under("short", features=2)))
    assert (over["data"]["limit"], over["data"]["dropped"], over["data"]["end"]) == ("PerEntity", 2, "1970-01-01T00:07:00Z")


@pytest.mark.parametrize(("after", "reason"), [(under("long"), EpisodeReason.REPLACED), (None, EpisodeReason.BEGUN_ANEW)])
def test_the_reason_tells_an_edit_from_a_partition_that_begins_anew(after: Configuration | None, reason: EpisodeReason) -> None:
    watcher = opened(".#")
    [slot] = watcher.episodes.remembered()
    [turn] = Closures(SOURCE, under("short"), after).turns("a", watcher.episodes.state(slot))
    assert isinstance(turn, EpisodeTransition)
    assert turn.reason is reason
