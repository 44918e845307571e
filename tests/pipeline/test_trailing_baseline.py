"""A revision with a trailing baseline: decided the same in one batch and in many, and by a pod that takes the partition over."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from anomaly_api.assignment import Revision
from anomaly_api.calibration import WindowBaseline
from anomaly_detector.core.columns import Messages
from anomaly_detector.core.pipeline import DetectionPipeline
from anomaly_detector.core.scoring.artifact import unpack
from anomaly_detector.core.scoring.onnx import Model
from anomaly_detector.core.scoring.revisions import LoadedRevision
from tests.scoring.graphs import archive
from tests.stream.pods import revision

SOURCE = "/namespaces/plant/anomalydetectors/pumps"
USUAL, RISEN, BROKEN = 21.0, 23.0, 40.0


def loaded(*, trailing: bool = True) -> LoadedRevision:
    """Scores are the mean squared distance of two features from 20; the first never moves."""
    plain: Revision = revision(threshold=3.0)
    digest, packed = archive(plain.pipeline, center=20.0)
    baseline = WindowBaseline(over="16m", most=3.0, usual=0.5) if trailing else None
    thresholds = [each.model_copy(update={"baseline": baseline}) for each in plain.thresholds]
    return LoadedRevision(
        plain.model_copy(update={"model": digest, "thresholds": thresholds}), Model(unpack(packed, digest), plain.pipeline)
    )


def messages(first: int, last: int) -> Messages:
    """A machine whose pressure rises for good at 100, and breaks at 6000; a reading a second."""
    values = []
    for at in range(first, last):
        level = BROKEN if at >= 6000 else RISEN if at >= 100 else USUAL
        values.append(json.dumps({"at": at, "temperature": 20.0, "pressure": level}).encode())
    return Messages(values, [b"a"] * len(values), 1000 * np.arange(first, last), np.zeros(len(values), np.int64))


def told(pipeline: DetectionPipeline, first: int, last: int) -> list[dict[str, Any]]:
    return [json.loads(alert.value) for alert in pipeline.process(messages(first, last)).alerts]


def kinds(alerts: list[dict[str, Any]]) -> list[str]:
    return [alert["type"].rsplit(".", 1)[1] for alert in alerts if not alert["type"].endswith("updated")]


def test_an_alarm_of_a_level_that_stays_ends_and_a_fault_is_still_found() -> None:
    assert kinds(told(DetectionPipeline(SOURCE, loaded()), 0, 6100)) == ["opened", "closed", "opened"]
    assert kinds(told(DetectionPipeline(SOURCE, loaded(trailing=False)), 0, 6100)) == ["opened"]


def test_it_is_decided_the_same_in_many_batches_and_by_pods_that_take_over() -> None:
    wanted = told(DetectionPipeline(SOURCE, loaded()), 0, 6100)
    pod, found = DetectionPipeline(SOURCE, loaded()), []
    for first in range(0, 6100, 700):
        found += told(pod, first, min(first + 700, 6100))
        other = DetectionPipeline(SOURCE, loaded())
        assert pod.episodes.dirty()
        other.restore(0, {name: part for name, part in pod.snapshot(0).items() if name not in ("episodes", "limit")})
        other.episodes.restore(0, "a", pod.episodes.of(0, "a"))  # as it stands in the state topic
        pod = other
    assert found == wanted


def test_what_a_snapshot_says_of_levels_is_taken_over() -> None:
    pod, other = DetectionPipeline(SOURCE, loaded()), DetectionPipeline(SOURCE, loaded())
    told(pod, 0, 1000)
    other.restore(0, pod.snapshot(0))
    assert other.episodes.of(0, "a") == pod.episodes.of(0, "a")
    assert "level of short" in pod.episodes.of(0, "a")[pod.episodes.name]
