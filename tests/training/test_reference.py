"""A model's drift reference, from training to the pod: a slow drift is told before it makes alerts."""

from __future__ import annotations

import json

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from anomaly_api.alerting import AlertPolicy
from anomaly_api.assignment import Revision
from anomaly_api.drift import DriftMeasure, psi
from anomaly_api.kinds import Pca
from anomaly_api.learning import ModelKind
from anomaly_api.model import Interface, InterfaceWindow
from anomaly_api.policy import Budget, Fallback, Threshold
from anomaly_api.thresholds import window_threshold
from anomaly_detector.core.columns import Messages
from anomaly_detector.core.pipeline import DetectionPipeline
from anomaly_detector.core.scoring.artifact import Manifest, artifact_digest, pack, unpack
from anomaly_detector.core.scoring.onnx import Model
from anomaly_detector.core.scoring.revisions import LoadedRevision
from anomaly_detector.drift_watch import DriftWatch
from anomaly_operator.core.drift import limit
from tests.training.conftest import FEATURES, pipeline, training

torch = pytest.importorskip("torch")

from anomaly_detector.training import learning  # noqa: E402 - needs torch
from anomaly_detector.training.data.messages import Messages as TrainingMessages  # noqa: E402
from anomaly_detector.training.data.samples import Gathering  # noqa: E402
from anomaly_detector.training.reference import drift_reference  # noqa: E402

START, DAY = 20_600 * 86_400, 86_400
PUMPS, STEP = 3, 60
OVER = DAY / 4
PIPELINE = pipeline()


def hour(number: int, drift: float = 0.0) -> tuple[list[bytes | None], list[bytes | None]]:
    """Values and keys of an hour of pumps whose load follows the day; `drift`: how far the flow's sensor is off, in spreads."""
    random = np.random.default_rng(number)
    values, keys = [], []
    for minute in range(60):
        at = START + number * 3600 + minute * STEP
        load = 1 + 0.3 * np.sin(2 * np.pi * at / DAY)
        for pump in range(PUMPS):
            spread = random.standard_normal(3)
            sensors = {
                "flow": 40 * load + spread[0] + drift,
                "current": 10 * load + 0.3 * spread[1],
                "speed": 900 + 9 * spread[2],
            }
            values.append(json.dumps({"at": at, "sensors": sensors}).encode())
            keys.append(b"pump-%d" % pump)
    return values, keys


@pytest.fixture(scope="module")
def loaded() -> LoadedRevision:
    """PCA of three days, under the default budget."""
    gathering = Gathering(PIPELINE, 50_000, seed=1)
    for number in range(72):
        values, keys = hour(number)
        gathering.take(TrainingMessages(values, keys, np.full(len(values), -1, np.int64), np.zeros(len(values), np.int64)))
    samples = gathering.samples()
    [window], settings = PIPELINE.windows, (ModelKind(pca=Pca()), training())
    learned = learning.learn(window, samples[window.name], PIPELINE, settings, float(STEP), lambda _: None)
    scores = learning.held_out_scores([learned], samples, PIPELINE, list)
    [calibration] = learning.calibrations([learned], scores)
    sample = samples[window.name]
    drift = drift_reference(sample.times, sample.values[:, -1], FEATURES, learning.in_time(scores))
    interface = Interface(features=list(FEATURES), windows=[InterfaceWindow(name=window.name, size=window.size)])
    manifest = Manifest(interface=interface, calibration=[calibration], drift=drift)
    archive = pack(manifest, {window.name: learned.graph.content})
    artifact = unpack(archive, artifact_digest(archive))
    threshold = window_threshold(Threshold(budget=Budget()), calibration)
    revision = Revision(
        model=artifact.digest, pipeline=PIPELINE, thresholds=[threshold], fallback=Fallback(), alerts=AlertPolicy()
    )
    return LoadedRevision(revision, Model(artifact, PIPELINE))


def drifting(loaded: LoadedRevision, hours: int, slope: float) -> tuple[int | None, int | None]:
    """The hours after which drift was told, and after which the first alert came."""
    decides = DetectionPipeline("plant/pumps", loaded)
    watch = DriftWatch(decides, OVER, CollectorRegistry())
    decides.observers = (watch.observe,)
    told = alerted = None
    for number in range(hours):
        values, keys = hour(72 + number, slope * number)
        outcome = decides.process(Messages(values, keys, np.full(len(values), -1, np.int64), np.zeros(len(values), np.int64)))
        alerted = number if alerted is None and outcome.alerts else alerted
        watch.tell(10.0 * (number + 1))
        assert watch.evidence is not None
        if told is None:
            found = [each for each in (*watch.evidence.features, *watch.evidence.scores) if each.covered >= OVER / 2]
            drifted = any(psi(each.observed, each.expected) > limit(each.psi_noise, 0.2, DriftMeasure.PSI) for each in found)
            told = number if drifted else None
    return told, alerted


def test_a_slow_drift_is_told_before_it_makes_alerts(loaded):
    told, alerted = drifting(loaded, 120, slope=0.04)
    assert told is not None
    assert alerted is None or told + 12 <= alerted


def test_days_like_those_of_the_training_are_no_drift(loaded):
    assert drifting(loaded, 60, slope=0.0)[0] is None
