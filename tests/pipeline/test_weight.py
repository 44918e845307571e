"""A candidate with a weight decides its share of entities: each window once, and no episode is lost or told twice."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anomaly_api.evidence import RevisionFailure
from anomaly_api.source import Window
from anomaly_detector.core.entities.draws import place_of
from anomaly_detector.core.pipeline import DetectionPipeline
from anomaly_detector.core.scoring.revisions import LoadedRevision
from anomaly_detector.core.shadow import Terms
from tests.effort import examples
from tests.pipeline.test_stream import SOURCE, Row, by_model, messages
from tests.scoring.graphs import distance_graph
from tests.stream.pods import PIPELINE, revision

ROLLOUT = "pumps-3"
STABLE, CANDIDATE = by_model(revision(threshold=100.0)), by_model(revision(threshold=90.0))
PUMPS = [f"pump-{number}" for number in range(12)]
HALF = Terms(50, ROLLOUT)


def rows(start: int = 0, end: int = 60) -> list[Row]:
    """Each pump is broken from 30 to 44."""
    return [(0, pump, at, 60.0 if 30 <= at < 45 else 20.0) for at in range(start, end) for pump in PUMPS]


def told(pipeline: DetectionPipeline, found: list[Row]) -> list[dict[str, Any]]:
    return [json.loads(alert.value) for alert in pipeline.process(messages(found)).alerts]


def test_each_entity_is_decided_by_the_revision_that_it_was_drawn_for() -> None:
    pipeline = DetectionPipeline(SOURCE, STABLE)
    pipeline.adopt(STABLE, CANDIDATE, HALF)
    deciders = {alert["subject"]: alert["data"]["revision"] for alert in told(pipeline, rows())}
    drawn = {pump for pump in PUMPS if place_of(ROLLOUT, pump) < 50}
    assert 0 < len(drawn) < len(PUMPS)
    names = (STABLE.revision.name, CANDIDATE.revision.name)
    assert deciders == {pump: names[pump in drawn] for pump in PUMPS}
    assert pipeline.evidence()[1].weight == 50


def test_who_is_drawn_stays_drawn_while_the_weight_rises_and_another_rollout_draws_others() -> None:
    few = {pump for pump in map(str, range(1000)) if place_of(ROLLOUT, pump) < 10}
    many = {pump for pump in map(str, range(1000)) if place_of(ROLLOUT, pump) < 50}
    others = {pump for pump in map(str, range(1000)) if place_of("pumps-4", pump) < 10}
    assert few < many
    assert 60 < len(few) < 140
    assert 60 < len(others) < 140
    assert len(few & others) < 40


@examples(15)
@given(
    steps=st.lists(st.tuples(st.integers(1, 58), st.integers(0, 100), st.sampled_from(["one", "two"])), max_size=5),
    end=st.sampled_from(["promote", "abort", "stay"]),
)
def test_whatever_the_weight_does_each_episode_is_opened_once_and_closed_once(
    steps: list[tuple[int, int, str]], end: str
) -> None:
    pipeline, found = DetectionPipeline(SOURCE, STABLE), []
    moments = sorted({at: Terms(weight, name) for at, weight, name in steps}.items())
    before = 0
    for at, terms in [*moments, (45, None)]:
        if at < before:
            continue
        found += told(pipeline, rows(before, at))
        before = at
        if terms is None:
            pipeline.adopt(*{"promote": (CANDIDATE, None), "abort": (STABLE, None), "stay": (STABLE, CANDIDATE, HALF)}[end])
        else:
            assert pipeline.adopt(STABLE, CANDIDATE, terms) == [], "no window goes"
    found += told(pipeline, rows(before))
    kinds = defaultdict(list)
    for alert in found:
        kinds[alert["subject"], alert["data"]["episode"]].append(alert["type"].rpartition(".")[2])
    assert {pump for pump, _ in kinds} == set(PUMPS)
    assert len(kinds) == len(PUMPS), "one episode each"
    assert all(kind[0] == "opened" and kind.count("opened") == kind.count("closed") == 1 for kind in kinds.values())


def test_an_episode_in_a_window_that_its_new_decider_has_not_is_closed_and_the_others_stay() -> None:
    both = PIPELINE.model_copy(update={"windows": [*PIPELINE.windows, Window(name="long", size=6)]})
    wide = by_model(revision(both, threshold=100.0))
    pipeline = DetectionPipeline(SOURCE, wide)
    told(pipeline, rows(0, 40))
    ended = pipeline.adopt(wide, CANDIDATE, HALF)
    closed = [json.loads(alert.value) for _, alert in ended]
    drawn = {pump for pump in PUMPS if place_of(ROLLOUT, pump) < 50}
    assert {(each["subject"], each["data"]["window"], each["data"]["reason"]) for each in closed} == {
        (pump, "long", "Replaced") for pump in drawn
    }
    later = {(each["subject"], each["data"]["window"]) for each in told(pipeline, rows(40)) if "closed" in each["type"]}
    assert later == {(pump, "short") for pump in PUMPS} | {(pump, "long") for pump in set(PUMPS) - drawn}


def test_a_candidate_that_fails_gives_its_entities_back_within_the_batch() -> None:
    failing = by_model(revision(threshold=90.0), {"short": distance_graph(PIPELINE.windows[0], 2, center=20.0, most=50)})
    pipeline = DetectionPipeline(SOURCE, STABLE)
    pipeline.adopt(STABLE, failing, Terms(100, ROLLOUT))
    first, second = told(pipeline, rows(0, 32)[:40]), told(pipeline, rows(0, 32)[40:])
    assert first == []
    assert {alert["data"]["revision"] for alert in second} == {STABLE.revision.name}
    assert {alert["subject"] for alert in second} == set(PUMPS)
    assert pipeline.configuration.deciders.weight == 0
    evidence = pipeline.evidence()[1]
    assert (evidence.failure, evidence.weight, evidence.errors) == (RevisionFailure.SCORING_FAILED, 0, 1)


@pytest.mark.parametrize("weight", [0, 50])
def test_episodes_of_both_are_counted_whoever_decides(weight: int) -> None:
    pipeline = DetectionPipeline(SOURCE, STABLE)
    pipeline.adopt(STABLE, by_model(revision(threshold=1e6)), Terms(weight, ROLLOUT))
    told(pipeline, rows())
    stable, candidate = pipeline.evidence()
    [pair] = candidate.paired
    assert (pair.stable_episodes, pair.candidate_episodes) == (stable.episodes, candidate.episodes) == (len(PUMPS), 0)
    assert pair.entity_seconds == len(PUMPS) * (60 - PIPELINE.windows[0].size)
    count = pair.both + pair.only_stable + pair.only_candidate + pair.neither
    assert sum(pair.stable_scores.values()) == sum(pair.candidate_scores.values()) == count
    assert sum(count for number, count in pair.stable_scores.items() if number >= 0) == pair.both + pair.only_stable


def test_would_be_alerts_of_a_candidate_are_evidence_only() -> None:
    pipeline = DetectionPipeline(SOURCE, by_model(revision(threshold=1e6)))
    pipeline.adopt(pipeline.stable.loaded, LoadedRevision(CANDIDATE.revision, CANDIDATE.model))
    assert told(pipeline, rows()) == []
    recent = pipeline.evidence()[1].recent
    assert [each.entity for each in recent] == PUMPS[-5:]
    assert all(30 <= each.time < 35 and each.score > 1 for each in recent)
