"""A candidate's model in a process of its own: the scores of the other, and no way to take the pod down with it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator

import numpy as np
import pytest

from anomaly_api.evidence import RevisionFailure
from anomaly_detector.adapters.confinement import model as confinement
from anomaly_detector.adapters.confinement.model import ConfinedModel, Limits
from anomaly_detector.core.preprocess.windows import WindowBatch
from anomaly_detector.core.scoring.artifact import ArtifactError, unpack
from anomaly_detector.core.scoring.graphs import ScoringError
from anomaly_detector.core.scoring.onnx import Model
from tests.scoring.graphs import archive, distance_graph
from tests.scoring.hostile import TRIGGER, growing_graph, slow_graph
from tests.stream.pods import PIPELINE

[SHORT] = PIPELINE.windows
FEATURES = len(PIPELINE.features)
LIMITS = Limits(memory=200_000_000, seconds=1.0)


def confined(graph: bytes, limits: Limits = LIMITS) -> ConfinedModel:
    digest, packed = archive(PIPELINE, {"short": graph})
    return ConfinedModel(unpack(packed, digest), PIPELINE, limits)


def windows(count: int, most: float = 1.0) -> WindowBatch:
    values = np.random.default_rng(1).normal(0, most, (count, SHORT.size, FEATURES)).astype(np.float32)
    values[0, 0, 0] = most
    places = np.arange(count)
    return WindowBatch("short", places, places, 60_000_000 * places, values)


@pytest.fixture(scope="module")
def sound() -> Iterator[ConfinedModel]:
    running = confined(distance_graph(SHORT, FEATURES, center=2.0))
    yield running
    running.stop()


@pytest.mark.parametrize("count", [1, 2, 700, 40_001])
def test_scores_and_reasons_are_those_of_a_model_in_the_pod_to_the_last_bit(sound: ConfinedModel, count: int) -> None:
    digest, packed = archive(PIPELINE, {"short": distance_graph(SHORT, FEATURES, center=2.0)})
    here, batch = Model(unpack(packed, digest), PIPELINE), windows(count)
    assert np.array_equal(sound.executor(lambda: sound.score(batch))(), here.score(batch))
    few, times = batch.values[:3], batch.times[:3]
    for ours, theirs in zip(sound.explain("short", few, times), here.explain("short", few, times), strict=True):
        assert np.array_equal(ours, theirs)
    assert sound.memory > 1_000_000


@pytest.mark.parametrize(
    ("graph", "failure", "says"),
    [
        (slow_graph, RevisionFailure.CANDIDATE_TOO_SLOW, "took longer than the 1 s"),
        (growing_graph, RevisionFailure.CANDIDATE_TOO_LARGE, "alloc"),
    ],
)
def test_a_graph_that_never_ends_or_grows_without_end_is_stopped(graph: object, failure: RevisionFailure, says: str) -> None:
    assert callable(graph)
    model = confined(graph(SHORT, FEATURES))
    assert model.score(windows(3)).shape == (3,), "it is sound as long as nothing sets it off"
    begun = time.monotonic()
    with pytest.raises(ScoringError, match=says) as caught:
        model.score(windows(3, 2 * TRIGGER))
    assert caught.value.failure == failure.value
    assert time.monotonic() - begun < 20
    model.stop()
    assert not model.alive


def test_a_process_that_is_killed_is_a_failure_of_the_model(sound: ConfinedModel) -> None:
    model = confined(distance_graph(SHORT, FEATURES))
    os.kill(model._process.pid, signal.SIGKILL)
    with pytest.raises(ScoringError, match="its process ended with status -9"):
        model.score(windows(3))
    with pytest.raises(ScoringError, match="its process ended"):
        model.score(windows(3))


def test_a_process_ends_with_whoever_forgets_its_model() -> None:
    model = confined(distance_graph(SHORT, FEATURES))
    process = model._process
    del model
    assert process.wait(10) == -signal.SIGKILL


def test_a_model_that_does_not_load_says_why() -> None:
    with pytest.raises(ArtifactError, match="short") as caught:
        confined(b"no graph")
    assert caught.value.failure is RevisionFailure.ARTIFACT_INVALID


def test_a_container_without_room_has_no_candidate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confinement, "_left", lambda: 90_000_000)
    with pytest.raises(ArtifactError, match=r"26 MB left for a candidate: give it more in spec\.pod\.resources"):
        confined(distance_graph(SHORT, FEATURES))
