"""A process of its own: the loops that the detector is measured against, each as one would write it. Prints JSON.

`python -m dev.verify.bench.loops <loop> <bootstrap> <topic> <readings> <seconds>` ends after so many readings or seconds.
"""

from __future__ import annotations

import json
import sys
from collections import deque
from collections.abc import Callable
from itertools import pairwise
from operator import attrgetter
from typing import Final

import msgspec
import numpy as np
from confluent_kafka import Consumer, TopicPartition

from dev.demo.pumps import FEATURES
from dev.verify.bench.meter import Meter
from dev.verify.bench.readings import PARTITIONS, SIZE

_AT_ONCE: Final = 2_000
_WAIT_SECONDS: Final = 0.1


def consume(consumer: Consumer, meter: Meter) -> None:
    """Nothing is done with the messages."""
    while meter.more:
        meter.add(len(consumer.consume(_AT_ONCE, _WAIT_SECONDS)))


def floor(consumer: Consumer, meter: Meter) -> None:
    """Messages to a float32 array, by the fastest typed decoder there is for Python: less no detector can do."""
    sensors = msgspec.defstruct("Sensors", [(name, float) for name in FEATURES], gc=False)
    reading = msgspec.defstruct("Reading", [("timestamp", float), ("sensors", sensors)], gc=False)
    decode = msgspec.json.Decoder(reading).decode
    values = attrgetter(*(f"sensors.{name}" for name in FEATURES))
    while meter.more:
        messages = consumer.consume(_AT_ONCE, _WAIT_SECONDS)
        if messages:
            found = np.array([values(decode(message.value() or b"")) for message in messages], np.float32)
            assert found.shape == (len(messages), len(FEATURES))
        meter.add(len(messages))


def tutorial(consumer: Consumer, meter: Meter) -> None:
    """As it is usually shown: poll one message, json.loads, the network on one window."""
    import torch

    torch.set_num_threads(1)
    widths = [SIZE * len(FEATURES), 64, 32, 8, 32, 64, SIZE * len(FEATURES)]
    steps: list[torch.nn.Module] = []
    for entering, leaving in pairwise(widths):
        steps += [torch.nn.Linear(entering, leaving), torch.nn.ReLU()]
    network = torch.nn.Sequential(*steps[:-1]).eval()
    windows: dict[bytes, deque[list[float]]] = {}
    found = 0
    while meter.more:
        message = consumer.poll(_WAIT_SECONDS)
        if message is None:
            continue
        reading = json.loads(message.value() or b"")
        window = windows.setdefault(message.key() or b"", deque(maxlen=SIZE))
        window.append([reading["sensors"][name] for name in FEATURES])
        if len(window) == SIZE:
            with torch.no_grad():
                flat = torch.tensor(list(window), dtype=torch.float32).flatten()
                found += float((network(flat) - flat).square().mean()) < 0
        meter.add(1)


LOOPS: Final[dict[str, Callable[[Consumer, Meter], None]]] = {"consume": consume, "floor": floor, "tutorial": tutorial}


def main(name: str, bootstrap: str, topic: str, readings: int, seconds: float) -> None:
    # The consumer is set up as the detector's is: each loop gets the client at its fastest.
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": f"bench-{name}",
            "enable.auto.commit": False,
            "fetch.queue.backoff.ms": 1,
            "queued.max.messages.kbytes": 16_384,
            "fetch.max.bytes": 8_388_608,
        }
    )
    consumer.assign([TopicPartition(topic, partition, 0) for partition in range(PARTITIONS)])
    meter = Meter(readings, seconds)
    LOOPS[name](consumer, meter)
    consumer.close()
    print(json.dumps(meter.result()))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), float(sys.argv[5]))
