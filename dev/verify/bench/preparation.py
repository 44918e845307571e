"""`python -m dev.verify.bench.preparation`: what preparing features costs a reading, beside a detector that asks for none of it.

Readings go from messages to windows, as a scoring pod takes them in; no model, no broker. Processor time of the thread, the best
of several rounds of the same batches.
"""

from __future__ import annotations

import argparse
import time
from typing import Any, Final

import numpy as np

from anomaly_api.source import Feature, Pipeline
from anomaly_detector.core.columns import Messages
from anomaly_detector.training.data.samples import memory_for
from dev.verify.bench.readings import PIPELINE

_BATCH: Final = 6_000
_ROUNDS: Final = 5
_FIRST: Final = PIPELINE.features[0].name
_ASKED: Final[dict[str, dict[str, Any]]] = {
    "nothing": {},
    "a counter": {"kind": "Counter"},
    "a feature of scale PerEntity": {"scale": "PerEntity"},
}
_DERIVED: Final = {
    "a ratio": {"ratio": {"of": _FIRST, "to": PIPELINE.features[1].name}},
    "a rolling mean of 30": {"rollingMean": {"of": _FIRST, "readings": 30}},
}


def main(batches: int, entities: int) -> None:
    """Prints a line for each."""
    asked = {name: _pipeline([_feature(changes), *PIPELINE.features[1:]]) for name, changes in _ASKED.items()}
    for name, derived in _DERIVED.items():
        asked[name] = _pipeline([*PIPELINE.features, Feature.model_validate({"name": "derived", "derived": derived})])
    stream = [_messages(number, entities) for number in range(batches)]
    spent = {name: min(_seconds(pipeline, stream) for _ in range(_ROUNDS)) for name, pipeline in asked.items()}
    count = batches * _BATCH
    for name, seconds in spent.items():
        more = f" ({seconds / spent['nothing'] - 1:+.0%})" if name != "nothing" else ""
        print(f"{name:30} {1e9 * seconds / count:6.0f} ns a reading, {count / seconds:10,.0f} readings/s{more}")


def _feature(changes: dict[str, Any]) -> Feature:
    return Feature.model_validate(PIPELINE.features[0].document() | changes)


def _pipeline(features: list[Feature]) -> Pipeline:
    return PIPELINE.model_copy(update={"features": features})


def _messages(number: int, entities: int) -> Messages:
    """A batch: each entity by turns, a reading a second of each."""
    random = np.random.default_rng(number)
    values = np.abs(random.normal(50, 5, (_BATCH, len(PIPELINE.features)))).round(3).tolist()
    names = [feature.path for feature in PIPELINE.features]
    at = (number * _BATCH + np.arange(_BATCH)) // entities
    keys: list[bytes | None] = [b"pump-%d" % (row % entities) for row in range(_BATCH)]
    content: list[bytes | None] = [_reading(names, row, int(second)) for row, second in zip(values, at, strict=True)]
    return Messages(content, keys, (1_700_000_000 + at) * 1000, np.zeros(_BATCH, np.int64))


def _reading(names: list[str], row: list[float], second: int) -> bytes:
    fields = ",".join(f'"{name}":{value}' for name, value in zip(names, row, strict=True))
    field = PIPELINE.time.field
    when = f'"{field}":{1_700_000_000 + second},' if field else ""
    return f"{{{when}{fields}}}".encode()


def _seconds(pipeline: Pipeline, stream: list[Messages]) -> float:
    memory = memory_for(pipeline)
    begin = time.thread_time()
    for messages in stream:
        for portion in memory.micro_batches(memory.decode(messages).batch):
            memory.process(portion)
    return time.thread_time() - begin


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", type=int, default=10)
    parser.add_argument("--entities", type=int, default=100)
    given = parser.parse_args()
    main(given.batches, given.entities)
