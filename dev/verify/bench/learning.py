"""A process of its own, because it needs torch: trains the model that all score with, and times training. Prints JSON.

`python -m dev.verify.bench.learning <folder>` writes model.tar for our detector and score.onnx for whoever else scores.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from anomaly_api.kinds import Autoencoder
from anomaly_api.learning import ModelKind, Training
from anomaly_api.model import Interface, InterfaceWindow
from anomaly_detector.core.scoring.artifact import Manifest, artifact_digest, pack
from anomaly_detector.training import learning
from anomaly_detector.training.data.messages import Messages
from anomaly_detector.training.data.samples import Gathering, Sample
from anomaly_detector.training.models.kind import Data, Effort
from anomaly_detector.training.models.kinds import fit_model
from anomaly_detector.training.reference import drift_reference
from dev.verify.bench.readings import PIPELINE, STEP, Readings

_TICKS: Final = 17_280
"""The day of the pumps there and back: a model that had seen a part of it would find every hundredth window unusual."""
_ENTITIES: Final = 20
_WINDOWS: Final = 30_000
_AT_ONCE: Final = 2_000
_EPOCHS: Final = 8
_MODEL: Final = ModelKind(autoencoder=Autoencoder())
TIMED_WINDOWS: Final = 8_640
TIMED_EPOCHS: Final = 50


def main(folder: Path) -> None:
    sample = _sample()
    settings = (_MODEL, Training(epochs=_EPOCHS))
    [window] = PIPELINE.windows
    learned = learning.learn(window, sample, PIPELINE, settings, float(STEP), lambda _: None)
    scores = learning.held_out_scores([learned], {window.name: sample}, PIPELINE, _healthy)
    [calibration] = learning.calibrations([learned], scores)
    names = [feature.name for feature in PIPELINE.features]
    drift = drift_reference(sample.times, sample.values[:, -1], names, learning.in_time(scores))
    interface = Interface(
        features=names,
        windows=[InterfaceWindow(name=window.name, size=window.size)],
        opset=learned.graph.opset,
    )
    archive = pack(Manifest(interface=interface, calibration=[calibration], drift=drift), {window.name: learned.graph.content})
    (folder / "model.tar").write_bytes(archive)
    (folder / "score.onnx").write_bytes(learned.graph.content)
    seconds = _timed(sample.values)
    print(json.dumps({"digest": artifact_digest(archive), "threshold": 1.5 * calibration.maximum, "trainingSeconds": seconds}))


def _sample() -> Sample:
    gathering = Gathering(PIPELINE, _WINDOWS, seed=1)
    for messages in _healthy():
        gathering.take(messages)
    return gathering.samples()[PIPELINE.windows[0].name]


def _healthy() -> Iterator[Messages]:
    """Returns what pumps send while nothing is wrong with them."""
    readings = Readings(_ENTITIES)
    stream = ((entity, tick, key, value) for tick in range(_TICKS) for entity, key, value in readings.tick(tick))
    healthy = ((value, key) for entity, tick, key, value in stream if not readings.broken(entity, tick))
    while found := list(islice(healthy, _AT_ONCE)):
        values, keys = zip(*found, strict=True)
        yield Messages(values, keys, np.full(len(found), -1, np.int64), np.zeros(len(found), np.int64))


def _timed(windows: NDArray[np.float32]) -> float:
    """Seconds for 50 epochs over 8,640 windows, at the pace of the epochs that were needed: training may stop before."""
    chosen = windows[np.random.default_rng(1).permutation(len(windows))[: TIMED_WINDOWS + 960]]
    places = np.arange(len(chosen))
    data = Data(chosen, places[:TIMED_WINDOWS], places[TIMED_WINDOWS:], np.zeros(len(chosen), np.int64))
    started = time.monotonic()
    fitted = fit_model(_MODEL, data, Effort(epochs=TIMED_EPOCHS, seed=1))
    return (time.monotonic() - started) / fitted.epochs * TIMED_EPOCHS


if __name__ == "__main__":
    main(Path(sys.argv[1]))
