"""`python -m dev.verify.bench.drift`: what counting for drift and for thresholds costs the default detector. No broker.

The same batches go through pipelines with and without it in turns, so that whatever else the machine does falls on all; processor
time of the thread is compared, for nothing else is added to a batch.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any, Final

import numpy as np
from prometheus_client import CollectorRegistry

from anomaly_api.alerting import AlertPolicy
from anomaly_api.assignment import Revision
from anomaly_api.calibration import ThresholdSource, WindowThreshold
from anomaly_api.policy import Fallback
from anomaly_detector.core.columns import Messages
from anomaly_detector.core.pipeline import DetectionPipeline
from anomaly_detector.core.scoring.artifact import artifact_digest, unpack
from anomaly_detector.core.scoring.onnx import Model
from anomaly_detector.core.scoring.revisions import LoadedRevision
from anomaly_detector.drift_watch import DriftWatch
from anomaly_detector.exposure_watch import ExposureWatch
from dev.verify.bench.readings import PIPELINE, Readings

_BATCH: Final = 6_000
_DAY: Final = 86_400.0


def main(batches: int, entities: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        made = subprocess.run(
            [sys.executable, "-m", "dev.verify.bench.learning", folder], check=True, capture_output=True, text=True
        )
        loaded = _loaded((Path(folder) / "model.tar").read_bytes(), json.loads(made.stdout.splitlines()[-1])["threshold"])
    plain, watching, counting = (DetectionPipeline("bench", loaded) for _ in range(3))
    watch, exposure = DriftWatch(watching, _DAY, CollectorRegistry()), ExposureWatch(counting)
    watching.observers, counting.observers = (watch.observe,), (exposure.observe,)
    spent: dict[str, list[float]] = {"without": [], "drift": [], "thresholds": []}
    for messages in _batches(batches + 2, entities):
        for name, pipeline in (("without", plain), ("drift", watching), ("thresholds", counting)):
            begin = time.thread_time()
            pipeline.process(messages)
            spent[name].append(time.thread_time() - begin)
    watch.tell(_DAY)
    exposure.tell(_DAY)
    assert watch.evidence is not None, "the model has a reference"
    assert exposure.evidence is not None, "the model decides"
    without = median(spent["without"][2:])
    for name, evidence in (("drift", watch.evidence), ("thresholds", exposure.evidence)):
        added = median(b - a for a, b in zip(spent["without"][2:], spent[name][2:], strict=True))
        print(
            f"counting for {name}: {1e9 * added / _BATCH:+.0f} ns a reading beside {1e9 * without / _BATCH:.0f} ns "
            f"({added / without:+.1%}; median of {batches} batches of {_BATCH} readings, {entities} entities, "
            f"{len(PIPELINE.features)} features); evidence {len(evidence.model_dump_json()):,} bytes"
        )


def _loaded(archive: bytes, threshold: float) -> LoadedRevision:
    artifact = unpack(archive, artifact_digest(archive))
    [window] = PIPELINE.windows
    kept = WindowThreshold(window=window.name, value=threshold, source=ThresholdSource.VALUE, asked=f"{threshold:g}")
    revision = Revision(model=artifact.digest, pipeline=PIPELINE, thresholds=[kept], fallback=Fallback(), alerts=AlertPolicy())
    return LoadedRevision(revision, Model(artifact, PIPELINE))


def _batches(count: int, entities: int) -> Any:
    readings = Readings(entities)
    stream = ((key, value) for tick in range(10**9) for _, key, value in readings.tick(tick))
    for _ in range(count):
        keys, values = zip(*islice(stream, _BATCH), strict=True)
        yield Messages(values, keys, np.full(_BATCH, -1, np.int64), np.zeros(_BATCH, np.int64))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--batches", type=int, default=60)
    parser.add_argument("--entities", type=int, default=1000)
    asked = parser.parse_args()
    main(asked.batches, asked.entities)
