"""Drift beside the pipeline: counts are of one model, go on under another threshold, and begin anew with another model."""

from __future__ import annotations

import json

import numpy as np
from prometheus_client import CollectorRegistry, generate_latest

from anomaly_detector.core.columns import MICROSECONDS, Messages
from anomaly_detector.core.pipeline import DetectionPipeline
from anomaly_detector.core.scoring.artifact import artifact_digest, pack, unpack
from anomaly_detector.core.scoring.onnx import Model
from anomaly_detector.core.scoring.revisions import LoadedRevision
from anomaly_detector.drift_watch import DriftWatch
from anomaly_detector.training.reference import drift_reference
from tests.scoring.graphs import archive
from tests.stream.pods import FEATURES, PIPELINE, calm, revision

DAY = 86_400.0


def loaded(threshold: float = 1e6, center: float = 0.0, *, with_reference: bool = True) -> LoadedRevision:
    """A model whose score is the mean squared distance from `center`, with a reference of calm readings."""
    digest, content = archive(PIPELINE, center=center)
    artifact = unpack(content, digest)
    times = np.arange(2000, dtype=np.int64) * MICROSECONDS
    values = np.array([calm(at) for at in range(2000)], np.float32)
    scores = (values.astype(np.float64) ** 2).mean(axis=1)
    drift = drift_reference(times, values, FEATURES, [("short", times, scores)]) if with_reference else None
    content = pack(artifact.manifest.model_copy(update={"drift": drift}), artifact.graphs)
    kept = unpack(content, artifact_digest(content))
    return LoadedRevision(revision(model=kept.digest, threshold=threshold), Model(kept, PIPELINE))


def messages(begin: int, end: int) -> Messages:
    values = [json.dumps({"at": at, **dict(zip(FEATURES, calm(at), strict=True))}).encode() for at in range(begin, end)]
    return Messages(values, [b"pump-1"] * len(values), np.full(len(values), -1, np.int64), np.zeros(len(values), np.int64))


def watched(first: LoadedRevision) -> tuple[DetectionPipeline, DriftWatch, CollectorRegistry]:
    pipeline, registry = DetectionPipeline("plant/pumps", first), CollectorRegistry()
    watch = DriftWatch(pipeline, DAY, registry)
    pipeline.observers = (watch.observe,)
    return pipeline, watch, registry


def test_readings_and_scores_are_counted_and_shown_without_entities() -> None:
    first = loaded()
    pipeline, watch, registry = watched(first)
    pipeline.process(messages(0, 200))
    watch.tell(10.0)
    assert watch.evidence is not None
    assert watch.evidence.model == first.revision.model
    assert [sum(each.observed) for each in watch.evidence.features] == [200, 200]
    assert [sum(each.observed) for each in watch.evidence.scores] == [197]
    shown = generate_latest(registry).decode()
    assert 'anomaly_detector_drift_psi{feature="pressure"}' in shown
    assert 'anomaly_detector_drift_score_ks_ratio{window="short"}' in shown
    assert "pump-1" not in shown


def test_counts_go_on_under_another_threshold_and_scores_stay_in_their_bins() -> None:
    pipeline, watch, _ = watched(loaded())
    pipeline.process(messages(0, 200))
    watch.tell(10.0)
    before = watch.evidence
    pipeline.adopt(loaded(threshold=50.0))
    pipeline.process(messages(200, 400))
    watch.tell(20.0)
    assert before is not None
    assert watch.evidence is not None
    [score], [earlier] = watch.evidence.scores, before.scores
    assert sum(score.observed) == 397
    assert {place for place, count in enumerate(score.observed) if count} == {
        place for place, count in enumerate(earlier.observed) if count
    }


def test_counts_begin_anew_with_another_model_and_end_with_one_that_has_no_reference() -> None:
    pipeline, watch, _ = watched(loaded())
    pipeline.process(messages(0, 200))
    pipeline.adopt(loaded(center=1.0))
    pipeline.process(messages(200, 250))
    watch.tell(10.0)
    assert watch.evidence is not None
    assert sum(watch.evidence.features[0].observed) == 50
    pipeline.adopt(loaded(with_reference=False))
    pipeline.process(messages(250, 300))
    watch.tell(20.0)
    assert watch.evidence is None
