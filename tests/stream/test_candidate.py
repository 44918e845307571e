"""A candidate in a pod at work: it decides its share, is promoted in the middle of episodes, and fails alone."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path

import pytest

from anomaly_api.assignment import Assignment
from anomaly_api.evidence import RevisionFailure
from anomaly_detector.core.entities.draws import place_of
from tests.scoring.graphs import archive
from tests.scoring.hostile import TRIGGER, slow_graph
from tests.stream.pods import PIPELINE, Topics, broken, calm, pod, revision, runtime

pytestmark = pytest.mark.integration
PUMPS = [f"pump-{number}" for number in range(8)]


def test_weights_and_a_promotion_in_the_middle_of_episodes_end_none_and_tell_none_twice(topics: Topics, tmp_path: Path) -> None:
    stable, candidate = revision(), revision(threshold=7.0)
    half = Assignment(stable=stable, candidate=candidate, weight=50, rollout="pumps-2")
    topics.create()
    with pod(tmp_path / "pod", runtime(topics), Assignment(stable=stable, candidate=candidate, rollout="pumps-2")) as running:
        for pump in PUMPS:
            topics.readings(range(1000, 1050), calm, pump.encode())
        running.until(lambda found: found.readings == 50 * len(PUMPS) and len(found.revisions) == 2)
        running.assign(half)
        shared = running.until(lambda found: found.assignment == half.digest).revisions[1]
        assert (shared.weight, shared.rollout, shared.against, shared.loaded) == (50, "pumps-2", stable.name, True)
        for pump in PUMPS:
            topics.readings(range(1050, 1056), broken, pump.encode())
        running.until(lambda found: found.alerts >= len(PUMPS))
        promoted = Assignment(stable=candidate)
        running.assign(promoted)
        running.until(lambda found: found.assignment == promoted.digest)
        for pump in PUMPS:
            topics.readings(range(1056, 1080), calm, pump.encode())
        evidence = running.until(lambda found: found.readings == 80 * len(PUMPS) and found.alerts >= 2 * len(PUMPS))
        assert evidence.alerts == 2 * len(PUMPS)
        assert running.terminate() == 0
    said: dict[str, list[tuple[str, str, str]]] = defaultdict(list)
    for record in topics.received(topics.alerts, 2 * len(PUMPS)):
        event = json.loads(record.value() or b"")
        said[event["subject"]].append((event["type"].rpartition(".")[2], event["data"]["episode"], event["data"]["revision"]))
    for pump in PUMPS:
        opened, closed = said[pump]
        first = candidate if place_of("pumps-2", pump) < 50 else stable
        assert (opened[0], closed[0]) == ("opened", "closed")
        assert opened[1] == closed[1], "it is one episode"
        assert (opened[2], closed[2]) == (first.name, candidate.name)


def test_a_candidate_that_hangs_ends_alone(topics: Topics, tmp_path: Path) -> None:
    [window] = PIPELINE.windows
    digest, packed = archive(PIPELINE, {"short": slow_graph(window, len(PIPELINE.features))})
    (tmp_path / "model.tar").write_bytes(packed)
    candidate = revision(model=digest, threshold=1e6)
    order = Assignment(stable=revision(), candidate=candidate, artifacts={digest: str(tmp_path / "model.tar")})
    topics.create()
    with pod(tmp_path / "pod", runtime(topics), order, ANOMALY_CANDIDATE_MILLISECONDS="1000") as running:
        topics.readings(range(1000, 1100), calm)
        sound = running.until(lambda found: len(found.revisions) == 2 and found.revisions[1].windows > 50).revisions[1]
        assert (sound.failure, sound.errors) == (None, 0)
        assert sound.memory > 1_000_000
        topics.readings(range(1100, 1104), lambda _: [2 * TRIGGER, 3.0])
        topics.readings(range(1104, 1130), calm)
        evidence = running.until(lambda found: found.readings == 130 and found.alerts == 2 and found.source.lag == 0)
        failed = evidence.revisions[1]
        assert (failed.failure, failed.errors, failed.loaded) == (RevisionFailure.CANDIDATE_TOO_SLOW, 1, False)
        assert "took longer than the 1 s that a candidate may take" in failed.message
        assert evidence.revisions[0].failure is None
        assert running.terminate() == 0
