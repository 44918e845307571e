"""A pod counts what its model alerts of, and says it as evidence that belongs to one revision."""

from __future__ import annotations

from anomaly_api.exposure import ExposureEvidence
from anomaly_detector.core.pipeline import DetectionPipeline
from anomaly_detector.exposure_watch import ExposureWatch
from tests.pipeline.test_trailing_baseline import SOURCE, loaded, told


def watched(pipeline: DetectionPipeline) -> ExposureWatch:
    watch = ExposureWatch(pipeline)
    pipeline.observers = (watch.observe,)
    return watch


def test_episodes_time_and_peaks_of_a_stream_are_told() -> None:
    """A machine whose scores rise for good at 100, and break at 6000: one episode, whose peak is 400 times the threshold."""
    pipeline = DetectionPipeline(SOURCE, loaded(trailing=False))
    watch = watched(pipeline)
    told(pipeline, 0, 6100)
    watch.tell(10.0)
    found = watch.evidence
    assert found is not None
    assert ExposureEvidence.model_validate_json(found.model_dump_json()) == found
    [short] = found.windows
    assert (found.revision, found.model) == (pipeline.stable.name, pipeline.stable.revision.model)
    assert short.episodes == short.squares == 1
    assert 6080 <= short.entity_seconds <= 6100
    assert short.peaks.heights(1)[0] > 50


def test_counts_begin_anew_with_another_revision_and_end_without_a_model() -> None:
    pipeline = DetectionPipeline(SOURCE, loaded(trailing=False))
    watch = watched(pipeline)
    told(pipeline, 0, 200)
    watch.tell(10.0)
    first = watch.evidence
    pipeline.adopt(loaded())
    told(pipeline, 200, 300)
    watch.tell(20.0)
    assert first is not None
    assert watch.evidence is not None
    assert watch.evidence.revision != first.revision
    assert watch.evidence.windows[0].entity_seconds <= 100 < first.windows[0].entity_seconds
