"""A new level for good (netdata#12967): one episode, "this is normal now" ends it, and the next model finds nothing in it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from anomaly_api.alert import EpisodeEvent
from anomaly_api.alerting import AlertPolicy
from anomaly_api.assignment import Revision
from anomaly_api.learning import Exclusion
from anomaly_api.policy import Budget, Fallback, Threshold
from anomaly_api.source import Feature, Pipeline, Time, Window
from anomaly_api.thresholds import window_threshold
from anomaly_detector.core.feedback.acceptance import Acceptance, Acceptances
from anomaly_detector.core.feedback.ledger import Ledger
from anomaly_detector.core.pipeline import DetectionPipeline
from anomaly_detector.core.scoring.artifact import artifact_digest, unpack
from anomaly_detector.core.scoring.onnx import Model
from anomaly_detector.core.scoring.revisions import LoadedRevision
from anomaly_detector.training.data.messages import Messages
from anomaly_detector.training.data.samples import Gathering
from anomaly_detector.training.exclusion import Exclusions
from anomaly_detector.training.reporting import Progress
from tests.training.conftest import order, pipeline, training

pytest.importorskip("torch")

from anomaly_detector.training import job

PIPELINE: Pipeline = pipeline(time=Time(), features=[Feature(name="latency")], windows=[Window(name="short", size=12)])
ORDER = order(pipeline=PIPELINE, training=training())
HISTORY, LIVE, STEP_MS = 1500, 900, 5000
START_MS = 1_795_853_100_000
SHIFT = HISTORY + 60


def readings(begin: int, end: int) -> Messages:
    """A shop's latency: 51 ms, and 76 ms from a release on."""
    random = np.random.default_rng(3)
    values = 51 + random.standard_normal(HISTORY + LIVE) + 25 * (np.arange(HISTORY + LIVE) >= SHIFT)
    chosen = np.arange(begin, end)
    content: list[bytes | None] = [json.dumps({"latency": round(float(values[place]), 3)}).encode() for place in chosen]
    return Messages(content, [b"shop"] * len(content), START_MS + STEP_MS * chosen, np.zeros(len(content), np.int64))


class Kept:
    """What a topic holds."""

    name, share_read = "the topic", 1.0

    def __init__(self, end: int) -> None:
        self._end = end

    def read(self) -> Iterator[Messages | None]:
        yield readings(0, self._end)

    def again(self) -> Iterator[Messages]:
        yield readings(0, self._end)


def trained(end: int, ledger: Ledger | None = None) -> LoadedRevision:
    """The default model of all readings up to `end`, under the default budget."""
    gathered = Gathering(PIPELINE, 50_000, seed=1)
    gathered.take(readings(0, end))
    exclusions = Exclusions.of(ledger, [], Exclusion()) if ledger else None
    archive = job.learn_model(Kept(end), gathered, ORDER, Progress("test"), exclusions).archive
    artifact = unpack(archive, artifact_digest(archive))
    thresholds = [window_threshold(Threshold(budget=Budget()), each) for each in artifact.manifest.calibration]
    revision = Revision(
        model=artifact.digest, pipeline=PIPELINE, thresholds=thresholds, fallback=Fallback(), alerts=AlertPolicy()
    )
    return LoadedRevision(revision, Model(artifact, PIPELINE))


def live(decides: DetectionPipeline, begin: int, end: int, ledger: Ledger) -> list[dict[str, Any]]:
    """What people are told meanwhile."""
    found = []
    for place in range(begin, end, 20):
        messages = readings(place, min(end, place + 20))
        for alert in decides.process(messages).alerts:
            ledger.alert(alert.value)
            event = json.loads(alert.value)
            if not event["data"]["suppressed"]:
                found.append(event)
    return found


def test_a_new_level_is_one_episode_which_somebody_ends_and_the_next_model_knows_it() -> None:
    ledger = Ledger("plant/pumps")
    decides = DetectionPipeline("plant/pumps", trained(HISTORY))
    told = live(decides, HISTORY, HISTORY + 300, ledger)
    assert told[0]["type"] == EpisodeEvent.OPENED
    assert len({event["data"]["episode"] for event in told}) == 1
    assert len(ledger.alerted()) == 1, "without a label its time is not learned from"

    label = {"label": "Normal", "episode": told[0]["data"]["episode"], "by": "ann"}
    accepted = Acceptance.of(ledger.label(json.dumps(label).encode(), 1))
    assert accepted is not None
    [closed] = decides.endings.accepted(0, Acceptances.of([accepted]), decides.configuration.deciders)
    ledger.alert(closed.value)
    assert json.loads(closed.value)["data"]["reason"] == "Accepted"
    assert live(decides, HISTORY + 300, HISTORY + 600, ledger) == [], "nobody is told of it again"

    decides.adopt(trained(HISTORY + 600, ledger))
    assert live(decides, HISTORY + 600, HISTORY + LIVE, ledger) == [], "the next model knows the level"
