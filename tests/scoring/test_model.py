"""Models: what runs, what is refused and why, and that batches make no difference to a score."""

import numpy as np
import pytest

from anomaly_api.alert import ScorerKind
from anomaly_api.evidence import RevisionFailure
from anomaly_api.schema import Empty
from anomaly_api.source import Entity, Feature, Pipeline, Time, Window
from anomaly_detector.core.preprocess.windows import WindowBatch
from anomaly_detector.core.scoring.artifact import ArtifactError, unpack
from anomaly_detector.core.scoring.graphs import ScoringError
from anomaly_detector.core.scoring.onnx import Model
from tests.scoring.graphs import archive, distance_graph

SHORT = Window(name="short", size=3)


def pipeline(*features: str, windows: list[Window] | None = None) -> Pipeline:
    named = [Feature(name=name) for name in features or ("a", "b")]
    return Pipeline(entity=Entity(key=Empty()), time=Time(), features=named, windows=windows or [SHORT])


def model(made_for: Pipeline, used_for: Pipeline | None = None, graphs: dict[str, bytes] | None = None) -> Model:
    digest, packed = archive(made_for, graphs, center=2.0)
    return Model(unpack(packed, digest), used_for or made_for)


def windows(values: np.ndarray) -> WindowBatch:
    count = len(values)
    places = np.arange(count)
    return WindowBatch("short", places, places, places, values.astype(np.float32))


def test_a_window_is_scored_and_explained() -> None:
    values = np.full((2, 3, 2), 2.0)
    values[1, :, 1] = 5.0
    running = model(pipeline())
    assert running.score(windows(values)).tolist() == pytest.approx([0.0, 4.5])
    errors, expected = running.explain("short", values[1:].astype(np.float32), np.zeros(1, np.int64))
    assert errors.tolist() == [[0.0, 9.0]]
    assert expected.tolist() == [[2.0, 2.0]]
    assert running.kind is ScorerKind.IMPORTED, "nobody says how it was trained"


def test_a_score_does_not_depend_on_the_batch_it_is_in() -> None:
    values = np.random.default_rng(0).normal(0, 1, (3000, 3, 2)).astype(np.float32)
    running = model(pipeline())
    together = running.score(windows(values))
    for size in (1, 2, 7, 1024):
        alone = np.concatenate([running.score(windows(values[start : start + size])) for start in range(0, 3000, size)])
        assert np.array_equal(alone, together)


@pytest.mark.parametrize(
    "other",
    [
        pipeline("b", "a"),
        pipeline("a"),
        pipeline("a", "b", "c"),
        pipeline(windows=[Window(name="short", size=4)]),
        pipeline(windows=[Window(name="long", size=3)]),
    ],
)
def test_a_model_for_other_readings_is_refused(other: Pipeline) -> None:
    with pytest.raises(ArtifactError) as refused:
        model(pipeline(), used_for=other)
    assert refused.value.failure is RevisionFailure.INTERFACE_MISMATCH
    assert "use another model" in str(refused.value)


def test_a_model_with_more_windows_than_are_used_is_accepted() -> None:
    both = pipeline(windows=[SHORT, Window(name="long", size=9)])
    model(both, used_for=pipeline())


@pytest.mark.parametrize("graph", [b"", b"no graph", distance_graph(SHORT, 5), distance_graph(Window(name="short", size=7), 2)])
def test_a_graph_that_does_not_run_is_found_when_it_is_loaded(graph: bytes) -> None:
    with pytest.raises(ArtifactError) as refused:
        model(pipeline(), graphs={"short": graph})
    assert refused.value.failure is RevisionFailure.ARTIFACT_INVALID


def test_a_score_that_is_no_number_is_of_that_window_alone() -> None:
    bad = model(pipeline(), graphs={"short": distance_graph(SHORT, 2, divide_by_zero=True)})
    values = np.stack([np.zeros((3, 2)), np.ones((3, 2)), np.zeros((3, 2))])
    assert np.isnan(bad.score(windows(values))).tolist() == [True, False, True], "0 / 0 is no number, 1 / 0 is"


def test_an_error_beyond_float32_is_the_largest_score() -> None:
    values = np.ones((3, 3, 2))
    values[1, 2, 0] = 1e30
    running = model(pipeline())
    scores = running.score(windows(values))
    assert scores[1] == np.finfo(np.float32).max
    assert np.array_equal(scores[[0, 2]], running.score(windows(values[[0, 2]])))
    errors, expected = running.explain("short", values[1:2].astype(np.float32), np.zeros(1, np.int64))
    assert np.isfinite(errors).all()
    assert errors[0].argmax() == 0
    assert np.isfinite(expected).all()


@pytest.mark.parametrize("count", [1, 2, 5])
def test_a_graph_of_a_fixed_number_of_windows_is_refused(count: int) -> None:
    with pytest.raises(ArtifactError) as refused:
        model(pipeline(), graphs={"short": distance_graph(SHORT, 2, batch=count)})
    assert refused.value.failure is RevisionFailure.ARTIFACT_INVALID


@pytest.mark.parametrize("count", [1, 2])
def test_a_graph_that_leaves_windows_out_is_refused(count: int) -> None:
    with pytest.raises(ArtifactError, match="dynamic number of windows") as refused:
        model(pipeline(), graphs={"short": distance_graph(SHORT, 2, most=count)})
    assert refused.value.failure is RevisionFailure.ARTIFACT_INVALID


def test_a_graph_whose_scores_depend_on_the_batch_is_refused() -> None:
    with pytest.raises(ArtifactError, match="normalizing over the batch"):
        model(pipeline(), graphs={"short": distance_graph(SHORT, 2, over_batch=True)})


def test_a_graph_that_fails_for_some_batches_only_is_an_error_of_the_model() -> None:
    running = model(pipeline(), graphs={"short": distance_graph(SHORT, 2, most=5)})
    assert len(running.score(windows(np.ones((5, 3, 2))))) == 5
    with pytest.raises(ScoringError, match="dynamic number of windows"):
        running.score(windows(np.ones((8, 3, 2))))
