"""Laws of alerts, for any policy and stream: they are those of the simplest model, however it is cut and wherever it moves."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from anomaly_api.alerting import AlertPolicy
from anomaly_detector.core.episodes.transitions import EpisodeTransition, LimitReached
from tests.effort import examples
from tests.episodes.naive import Line, Naive
from tests.episodes.stories import SECOND, Reading, Told, Watcher

PARTITIONS = 2
WINDOWS = ("short", "long")
_LENGTHS = ("0s", "10m", "25m", "2h")
_LIMIT = st.builds(lambda episodes, per: {"episodes": episodes, "per": per}, st.integers(1, 3), st.sampled_from(["30m", "3h"]))


@st.composite
def policies(draw: st.DrawFn) -> AlertPolicy:
    severities: list[dict[str, Any]] = [{"name": "warning", "above": 1.0}, {"name": "critical", "above": 3.0}]
    if draw(st.booleans()):
        severities.append({"name": "lasting", "above": 1.5, "for": draw(st.sampled_from(["10m", "40m"]))})
    document: dict[str, Any] = {
        "open": {"windows": draw(st.integers(1, 3))},
        "close": {"windows": draw(st.integers(1, 3))},
        "update": {"every": draw(st.sampled_from(_LENGTHS)), "growth": draw(st.sampled_from([1.5, 100.0]))},
        "cooldown": draw(st.sampled_from(_LENGTHS)),
        "severities": severities,
    }
    rules = draw(st.lists(st.sampled_from(["*", "a*", "[b-z]"]), max_size=2))
    if rules:
        document["suppress"] = [
            {"name": f"rule-{place}", "schedule": f"0 {place},{place + 3} * * *", "duration": "40m", "entities": pattern}
            for place, pattern in enumerate(rules)
        ]
    limits = {name: draw(_LIMIT) for name in ("perEntity", "total") if draw(st.booleans())}
    return AlertPolicy.model_validate(document | ({"limits": limits} if limits else {}))


_SCORE = st.sampled_from([0.1, 0.1, 0.1, 0.9, 1.2, 2.0, 2.0, 5.0, math.nan])


@st.composite
def streams(draw: st.DrawFn) -> list[Reading]:
    """Entities' own times rise; those of different entities need not agree. Some streams are dense: all within a cooldown."""
    clocks: dict[str, int] = defaultdict(int)
    found = []
    names, steps = draw(st.sampled_from(["a", "abc"])), draw(st.sampled_from([(1, 60), (1, 60, 300, 600, 3600)]))
    for _ in range(draw(st.integers(0, 60))):
        entity = draw(st.sampled_from(names))
        clocks[entity] += draw(st.sampled_from(steps))
        scores = [("short", float(draw(_SCORE)))]
        if draw(st.booleans()):
            scores.append(("long", float(draw(_SCORE))))
        found.append(Reading(clocks[entity], tuple(scores), entity, partition_of(entity)))
    return found


def lines(told: Told, readings: list[Reading]) -> list[tuple[int, Line]]:
    """As the naive model writes them, with the reading's index."""
    found: list[tuple[int, Line]] = []
    for row, record in zip(told.rows, told.records, strict=True):
        found.append((row, line(record, readings[row].entity)))
    return found


def line(record: EpisodeTransition | LimitReached, entity: str) -> Line:
    """As the naive model writes it; entities know their partitions."""
    if isinstance(record, EpisodeTransition):
        peak, start = round(record.peak, 5), record.start // SECOND
        time = record.time // SECOND
        said = (record.turn.value, entity, record.window, time, start, record.windows, peak, record.severity)
        return (*said, record.suppressed_by)
    partition = partition_of(entity)
    key = ("total", partition) if record.turn.kind == "Total" else ("entity", (partition, entity))
    return ("limited", key, record.turn.over, record.turn.dropped)


def partition_of(entity: str) -> int:
    return "abc".index(entity) % PARTITIONS


def naive(model: Naive, readings: list[Reading]) -> list[tuple[int, Line]]:
    found = []
    for row, reading in enumerate(readings):
        model.see(reading)
        found += [(row, each) for each in rounded(model.lines)]
        model.lines = []
    return found


def rounded(lines: list[Line]) -> list[Line]:
    """The peaks of the naive model are not float32."""
    return [line if line[0] == "limited" else (*line[:6], round(line[6], 5), *line[7:]) for line in lines]


@examples(100)
@given(policy=policies(), readings=streams(), sizes=st.lists(st.integers(1, 25), max_size=12), moves=st.sets(st.integers(0, 30)))
def test_records_are_those_of_the_naive_model_however_the_stream_is_cut_and_wherever_it_moves(
    policy: AlertPolicy, readings: list[Reading], sizes: list[int], moves: set[int]
) -> None:
    watcher, left, batch = Watcher(policy, WINDOWS, PARTITIONS), list(readings), 0
    while left:
        size = sizes[batch] if batch < len(sizes) else 1
        watcher.see(left[:size])
        left, batch = left[size:], batch + 1
        if batch in moves:
            watcher = watcher.moved()
    assert lines(watcher.told, readings) == naive(Naive(policy, WINDOWS, PARTITIONS), readings)


@examples(80)
@given(policy=policies(), readings=streams())
def test_people_hear_of_an_episode_in_order_and_of_its_end_if_they_heard_of_its_beginning(
    policy: AlertPolicy, readings: list[Reading]
) -> None:
    told = Watcher(policy, WINDOWS, PARTITIONS).see(readings)
    heard: dict[tuple[str, str, int], str] = defaultdict(str)
    recorded: dict[tuple[str, str, int], str] = defaultdict(str)
    for turn in told.turns:
        letter = turn.turn.value[0]
        recorded[turn.entity, turn.window, turn.start] += letter
        if turn.suppressed_by is None:
            heard[turn.entity, turn.window, turn.start] += letter
    for course in heard.values():
        assert course[0] == "o"
        assert set(course[1:-1]) <= {"u"}
        assert course[-1:] in ("o", "u", "c")
    for key, course in recorded.items():
        assert course.startswith("o")
        assert "c" not in course[:-1]
        assert (course[-1] == "c") == (heard[key][-1:] == "c") or not heard[key]


@examples(50)
@given(policy=policies(), readings=streams())
def test_what_need_not_be_remembered_is_forgotten(policy: AlertPolicy, readings: list[Reading]) -> None:
    watcher = Watcher(policy, WINDOWS, PARTITIONS)
    watcher.see(readings)
    calm = [
        Reading(10**6 + 86400 * day, (("short", 0.1), ("long", 0.1)), name, "abc".index(name) % 2)
        for day in range(9)
        for name in "abc"
    ]
    watcher.see(calm)
    for partition in range(PARTITIONS):
        for slot in watcher.entities.known(partition).values():
            assert watcher.episodes.state(slot) == {}
    assert watcher.episodes.limiting == 0
