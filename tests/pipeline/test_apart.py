"""A candidate with an intake of its own: compared by entity and time, promoted with windows that are full, and no burden."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from anomaly_api.source import Missing, Pipeline, Window
from anomaly_detector.core.entities.quota import MemoryQuota
from anomaly_detector.core.pipeline import DetectionPipeline
from anomaly_detector.core.preprocess.intakes import Intakes
from anomaly_detector.core.scoring.revisions import LoadedRevision
from anomaly_detector.core.shadow import Terms
from anomaly_detector.core.state.checkpoint import pack, unpack
from tests.pipeline.test_stream import SOURCE, by_model, messages, story
from tests.stream.pods import PIPELINE, revision

STABLE = by_model(revision(threshold=100.0))


def other(**changes: object) -> Pipeline:
    return PIPELINE.model_copy(update=changes)


LATER = other(time=PIPELINE.time.model_copy(update={"lateness": "9s"}))
FEWER = other(features=PIPELINE.features[1:])
DROPPED = other(features=[each.model_copy(update={"missing": Missing.DROP}) for each in PIPELINE.features])
ROWS = story("ab", length=120)


def told(pipeline: DetectionPipeline, start: int = 0, end: int | None = None, size: int = 7) -> list[bytes]:
    rows = ROWS[start:end]
    return [alert.value for at in range(0, len(rows), size) for alert in pipeline.process(messages(rows[at : at + size])).alerts]


@pytest.mark.parametrize("wanted", [LATER, FEWER, DROPPED], ids=["another lateness", "another feature", "missing otherwise"])
def test_windows_are_compared_by_entity_and_time_and_stable_goes_on_as_if_alone(wanted: Pipeline) -> None:
    alone = told(DetectionPipeline(SOURCE, STABLE, MemoryQuota(1_000_000, 1, 3600.0)))
    pipeline = DetectionPipeline(SOURCE, STABLE, MemoryQuota(1_000_000, 1, 3600.0))
    pipeline.adopt(STABLE, by_model(revision(wanted, threshold=50.0)), Terms(50, "pumps-3"))
    assert told(pipeline) == alone != []
    stable, candidate = pipeline.evidence()
    assert (candidate.loaded, candidate.failure, candidate.weight) == (True, None, 0), "beside, it decides nothing"
    [pair] = candidate.paired
    held_back = 9 * 2 if wanted is LATER else 0  # readings of both pumps that still wait for older ones
    assert pair.both + pair.only_stable + pair.only_candidate + pair.neither == stable.windows - held_back
    assert pair.both > 0
    assert (pair.stable_episodes, pair.candidate_episodes) == (2, 2)
    assert pair.entity_seconds == stable.windows - held_back - 2
    assert candidate.warming == 0


def test_a_candidate_that_is_promoted_decides_its_first_window_at_once() -> None:
    fewer = by_model(revision(FEWER, threshold=50.0))
    pipeline = DetectionPipeline(SOURCE, STABLE)
    pipeline.adopt(STABLE, fewer)
    told(pipeline, 0, 50)
    pipeline.adopt(fewer)
    outcome = pipeline.process(messages(ROWS[50:56]))
    assert outcome.windows == 6, "its windows were full already"
    cold = DetectionPipeline(SOURCE, STABLE)
    told(cold, 0, 50)
    cold.adopt(fewer)
    assert cold.process(messages(ROWS[50:56])).windows == 0


def test_a_promoted_candidate_with_another_lateness_decides_no_window_twice_and_episodes_go_on() -> None:
    later = by_model(revision(LATER, threshold=50.0))
    pipeline = DetectionPipeline(SOURCE, STABLE)
    pipeline.adopt(STABLE, later)
    first = told(pipeline, 0, 64)
    decided = pipeline.stable.windows
    assert pipeline.adopt(later) == []
    events: list[dict[str, Any]] = [json.loads(value) for value in first + told(pipeline, 64)]
    assert decided + pipeline.stable.windows == 2 * (120 - 3 - 9), "the last nine of both wait for older ones"
    for pump in "ab":
        mine = [each for each in events if each["subject"] == pump]
        assert len({each["data"]["episode"] for each in mine}) == 1
        assert [each["type"].rpartition(".")[2] for each in mine if "updated" not in each["type"]] == ["opened", "closed"]
    assert {each["data"]["revision"] for each in events if "closed" in each["type"]} == {later.revision.name}


def test_an_intake_of_its_own_comes_back_from_a_checkpoint_as_it_was() -> None:
    pipeline = DetectionPipeline(SOURCE, STABLE)
    pipeline.adopt(STABLE, by_model(revision(LATER, threshold=50.0)))
    told(pipeline, 0, 50)
    kept = pipeline.intakes.snapshot(0)
    found = unpack(pack(kept, 100))
    restored = Intakes(pipeline.configuration.intake, pipeline.configuration.beside)
    restored.restore(0, found)
    again = restored.snapshot(0)
    assert again["names"] == kept["names"]
    assert again["beside"]["names"] == kept["beside"]["names"] == ["a"]
    assert np.array_equal(again["beside"]["windows"]["kept"], kept["beside"]["windows"]["kept"])


def test_a_candidate_beside_that_fails_takes_its_intake_with_it() -> None:
    pipeline = DetectionPipeline(SOURCE, STABLE)
    candidate = by_model(revision(LATER, threshold=50.0))
    pipeline.adopt(STABLE, candidate)
    told(pipeline, 0, 20)
    assert pipeline.shadow is not None
    pipeline.shadow.fail("for a test")
    assert pipeline.prepare().beside is None
    assert told(pipeline, 20) == told(DetectionPipeline(SOURCE, STABLE))
    assert pipeline.evidence()[1].message == "for a test"


def test_other_windows_alone_need_no_intake_of_their_own() -> None:
    pipeline = DetectionPipeline(SOURCE, LoadedRevision(revision()))
    pipeline.adopt(pipeline.stable.loaded, LoadedRevision(revision(other(windows=[Window(name="short", size=9)]))))
    assert pipeline.configuration.beside is None
