"""What the spec grants, as bounds of a partition."""

from __future__ import annotations

import numpy as np

from anomaly_api.source import Window
from anomaly_detector.core.entities.quota import MemoryQuota
from anomaly_detector.core.pipeline import DetectionPipeline
from anomaly_detector.core.scoring.revisions import LoadedRevision
from tests.stream.pods import PIPELINE, revision

WINDOWS = [Window(name="short", max_gap="5m"), Window(name="long", max_gap="2h")]
MEBIBYTE = 1024 * 1024


def test_all_partitions_have_the_same_share_and_one_is_left_for_checkpoints() -> None:
    bounds = MemoryQuota(5 * MEBIBYTE, partitions=4, expire_after=60.0).bounds(300, WINDOWS)
    assert bounds.bytes == MEBIBYTE


def test_no_entity_expires_before_its_windows_would_begin_anew() -> None:
    assert MemoryQuota(MEBIBYTE, 1, expire_after=60.0).bounds(1, WINDOWS).idle == 7200 * 10**6
    assert MemoryQuota(MEBIBYTE, 1, expire_after=10_000.0).bounds(1, WINDOWS).idle == 10_000 * 10**6


def test_a_time_that_never_comes_is_no_overflow() -> None:
    idle = MemoryQuota(MEBIBYTE, 1, expire_after=1e30).bounds(1, WINDOWS).idle
    assert np.int64(-62_135_596_800_000_000) - idle < 0


def test_wider_windows_leave_room_for_fewer_entities() -> None:
    def fit(size: int) -> int:
        pipeline = PIPELINE.model_copy(update={"windows": [Window(name="only", size=size)]})
        bounds = DetectionPipeline(
            "x", LoadedRevision(revision(pipeline)), MemoryQuota(64 * MEBIBYTE, 1, 60.0)
        ).configuration.intake.bounds
        assert bounds is not None
        return bounds.entities

    assert fit(12) > 1.5 * fit(120) > fit(1024)


def test_whether_levels_are_kept_does_not_change_who_fits() -> None:
    allowance = MemoryQuota(MEBIBYTE, 1, 60.0)
    stream = DetectionPipeline("x", LoadedRevision(revision()), allowance)
    intake = stream.configuration.intake
    stream.preprocessor.change(intake.model_copy(update={"sparingly": True}))
    stream.allow(allowance)
    assert stream.configuration.intake.bounds == intake.bounds
