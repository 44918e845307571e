"""What a pod counts of alerts, entity-time and peaks: a function of what was decided, however the stream was cut."""

from __future__ import annotations

import numpy as np
import pytest

from anomaly_api.alert import EpisodeReason
from anomaly_api.alerting import AlertPolicy
from anomaly_api.assignment import Revision
from anomaly_api.calibration import ThresholdSource, WindowThreshold
from anomaly_api.exposure import PeakCounts
from anomaly_api.policy import Fallback
from anomaly_api.source import Feature, Pipeline, Time, WatchedEntity, Window
from anomaly_detector.core.alerts.builder import ScoredWindows
from anomaly_detector.core.episodes.episode import Transition
from anomaly_detector.core.episodes.processor import Processed
from anomaly_detector.core.episodes.transitions import EpisodeTransition
from anomaly_detector.core.health.exposure import ExposureCounter
from anomaly_detector.core.preprocess.windows import WindowBatch
from anomaly_detector.core.scoring.revisions import Scores
from anomaly_detector.training.calibrate import peaks

SECOND = 1_000_000
REVISION = Revision(
    model=f"sha256:{'1' * 64}",
    pipeline=Pipeline(
        entity=WatchedEntity(key={}),
        time=Time(),
        features=[Feature(name="a")],
        windows=[Window(name="short", size=4, every=1, max_gap="1m")],
    ),
    thresholds=[WindowThreshold(window="short", value=2.0, source=ThresholdSource.VALUE, asked="2")],
    fallback=Fallback(),
    alerts=AlertPolicy(),
)


def batch(slots: np.ndarray, times: np.ndarray, shown: np.ndarray, by_model: bool = True) -> dict[str, ScoredWindows]:
    order = np.lexsort((times, slots))
    windows = WindowBatch("short", order, slots[order], times[order] * SECOND, np.zeros((len(slots), 4, 1), np.float32))
    return {"short": ScoredWindows(windows, Scores(shown[order].astype(np.float32), np.full(len(slots), by_model)))}


def stream(entities: int = 3, windows: int = 200) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(4)
    times = np.repeat(1000 + 10 * np.arange(windows), entities)
    slots = np.tile(np.arange(entities), windows)
    return slots, times, random.exponential(0.4, size=len(slots))


@pytest.mark.parametrize("size", [3, 30, 600])
def test_counts_do_not_depend_on_how_the_stream_is_cut(size):
    slots, times, shown = stream()
    counter = ExposureCounter(REVISION)
    for start in range(0, len(slots), size):
        part = slice(start, start + size)
        counter.observe(batch(slots[part], times[part], shown[part]), Processed())
    [told] = counter.evidence()
    assert told.entity_seconds == 3 * 1990
    scores = np.concatenate([2 * shown[slots == slot] for slot in range(3)])
    exact = peaks(scores, np.repeat(np.arange(3), 200), 4)
    assert sum(told.peaks.counts) == pytest.approx((exact > 1).sum(), rel=0.15)
    assert told.peaks.above(2.0) == pytest.approx((exact > 2).sum(), abs=3)


def test_gaps_and_windows_that_no_model_scored_are_no_exposure():
    counter = ExposureCounter(REVISION)
    ones = np.ones(4) * 0.1
    counter.observe(batch(np.zeros(4, int), np.array([1000, 1010, 1500, 1510]), ones), Processed())
    counter.observe(batch(np.zeros(4, int), np.array([1520, 1530, 1540, 1550]), 9 * ones, by_model=False), Processed())
    [told] = counter.evidence()
    assert told.entity_seconds == 20
    assert told.peaks == PeakCounts()


def test_episodes_count_when_they_are_announced_and_their_bursts_are_seen():
    def opened(second: int, suppressed: str | None = None) -> EpisodeTransition:
        at = second * SECOND
        return EpisodeTransition(
            0, "short", 0, "a", at, Transition.OPENED, EpisodeReason.OPENED, at, 1, 2.0, 2.0, "warning", suppressed
        )

    counter = ExposureCounter(REVISION)
    records = [opened(10), opened(20), opened(30, "maintenance"), opened(8000)]
    counter.observe({}, Processed(records=list(records)))
    [told] = counter.evidence()
    assert (told.episodes, told.squares) == (3, 5)
