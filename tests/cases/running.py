"""A detector's stages over a file of messages, as a pod would run them: decoding included. No test."""

from __future__ import annotations

import json
import lzma
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from anomaly_api.detector import DetectorSpec
from anomaly_api.revision import without_model
from anomaly_detector.core.columns import Messages
from anomaly_detector.core.pipeline import DetectionPipeline
from anomaly_detector.core.preprocess.counts import ReadingCounts
from anomaly_detector.core.scoring.revisions import LoadedRevision

FOLDER = Path(__file__).parent / "messages"


@dataclass
class Told:
    """What became of a stream."""

    readings: int = 0
    """Into windows."""
    windows: int = 0
    rejects: Counter[str] = field(default_factory=Counter)
    said: set[str] = field(default_factory=set)
    """What is said of the rejects."""
    skips: Counter[str] = field(default_factory=Counter)
    tally: ReadingCounts = field(default_factory=ReadingCounts)
    alerts: list[dict[str, Any]] = field(default_factory=list)

    @property
    def opened(self) -> list[tuple[str, str]]:
        """Entity and first contributor of each episode."""
        found = [alert for alert in self.alerts if alert["type"].endswith("opened")]
        return [(alert["subject"], alert["data"]["contributors"][0]["feature"]) for alert in found]


def lines(name: str) -> list[dict[str, Any]]:
    """The messages of a file."""
    text = lzma.decompress((FOLDER / f"{name}.jsonl.xz").read_bytes()).decode()
    return [json.loads(line) for line in text.splitlines()]


def spec(text: str) -> DetectorSpec:
    """A spec from what stands under `spec` beside the source's brokers."""
    document = yaml.safe_load(text)
    document["source"] = {"kafka": {"bootstrapServers": "kafka:9092", "topic": "case"}, **document.get("source", {})}
    return DetectorSpec.model_validate({"model": {"statistical": {}}, **document})


def run(asked: DetectorSpec, messages: list[dict[str, Any]], batch: int = 50) -> Told:
    """The statistical scorer over the messages, in batches of so many."""
    pipeline = DetectionPipeline("/case", LoadedRevision(without_model(asked)))
    told = Told()
    for begin in range(0, len(messages), batch):
        part = messages[begin : begin + batch]
        outcome = pipeline.process(
            Messages(
                [None if each["value"] is None else each["value"].encode() for each in part],
                [None if each["key"] is None else each["key"].encode() for each in part],
                np.array([each["timestamp_ms"] for each in part], np.int64),
                np.zeros(len(part), np.int64),
            )
        )
        told.readings += outcome.readings
        told.windows += outcome.windows
        told.rejects.update(reject.reason.value for reject in outcome.rejects)
        told.said |= {reject.message for reject in outcome.rejects}
        told.skips.update(reason.value for _, reason in outcome.skips)
        told.tally += outcome.tally
        told.alerts += [json.loads(alert.value) for alert in outcome.alerts]
    return told
