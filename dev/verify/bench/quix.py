"""A process of its own, in an environment of its own: the same task with quixstreams, its state store and ONNX Runtime.

`python quix.py <bootstrap> <topic> <score.onnx> <state folder> <readings> <seconds>`. Prints JSON.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from quixstreams import Application, State  # type: ignore[import-not-found]  # another environment has it

sys.path.insert(0, str(Path(__file__).parent))
from meter import Meter  # type: ignore[import-not-found]  # its folder is on no path: this is no part of the project's environment

SIZE = 12
FEATURES = ("temperature", "pressure", "vibration", "flow", "current", "speed")


def main(bootstrap: str, topic: str, graph: str, folder: str, readings: int, seconds: float) -> None:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    meter = Meter(readings, seconds)
    app = Application(
        broker_address=bootstrap,
        consumer_group=f"bench-quix-{Path(folder).name}",
        auto_offset_reset="earliest",
        state_dir=folder,
        auto_create_topics=True,  # its changelog
        loglevel="ERROR",
        consumer_extra_config={"fetch.queue.backoff.ms": 1},
    )

    def score(reading: dict[str, Any], state: State) -> float:
        window = state.get("window", [])[1 - SIZE :]
        sensors = reading["sensors"]
        window.append([sensors[name] for name in FEATURES])
        state.set("window", window)
        meter.add(1)
        if not meter.more:
            app.stop()
        if len(window) < SIZE:
            return 0.0
        return float(session.run(["score"], {"windows": np.array([window], np.float32)})[0][0])

    frame = app.dataframe(app.topic(topic, value_deserializer="json"))
    frame = frame.apply(score, stateful=True)
    frame.filter(lambda score: score > 1e9).to_topic(app.topic(f"{topic}.quix", value_serializer="json"))
    app.run()
    print(json.dumps(meter.result()))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4], int(sys.argv[5]), float(sys.argv[6]))
