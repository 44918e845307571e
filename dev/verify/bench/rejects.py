"""`python -m dev.verify.bench.rejects`: the cost of an unreadable message beside a readable one, on a real Kafka.

A topic for each kind, full of it; time on a CPU for each message, with everything that follows from it: for the bad ones a dead
letter in a transaction. Messages of more than a reading's size are compared by their bytes.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

from confluent_kafka import Producer

from anomaly_api.policy import Delivery
from dev import progress
from dev.environment.kafka import broker, jars
from dev.progress import telling
from dev.verify.bench import ours, readings, surroundings
from dev.verify.bench.ours import Stand
from dev.verify.bench.readings import PARTITIONS, Readings

_ENTITIES: Final = 100
_LARGE_BYTES: Final = 60_000_000
"""Of a topic with large messages."""


class Kind(NamedTuple):
    """A way to be bad."""

    name: str
    value: Callable[[bytes], bytes | None]
    """From a good reading."""
    key: Callable[[bytes], bytes | None] = lambda key: key
    large: bool = False


def _changed(change: Callable[[dict[str, Any]], Any]) -> Callable[[bytes], bytes]:
    """The reading with something done to its sensors."""

    def value(good: bytes) -> bytes:
        reading = json.loads(good)
        change(reading["sensors"])
        return json.dumps(reading, separators=(",", ":")).encode()

    return value


def _good(value: bytes) -> bytes:
    return value


KINDS: Final = (
    Kind("good", _good),
    Kind("text for a number", _changed(lambda sensors: sensors.update(flow="high"))),
    Kind("true for a number", _changed(lambda sensors: sensors.update(flow=True))),
    Kind("NaN", _changed(lambda sensors: sensors.update(flow=float("nan")))),
    Kind("beyond float32", _changed(lambda sensors: sensors.update(flow=1e300))),
    Kind("no feature at all", _changed(lambda sensors: sensors.clear())),
    Kind("time is text", lambda good: good.replace(b'"timestamp":', b'"timestamp":"x","was":')),
    Kind("not JSON", lambda _: b"temperature=20 " * 13),
    Kind("cut off", lambda good: good[:150]),
    Kind("nested 200 deep", lambda _: b"[" * 200),
    Kind("UTF-16", lambda good: good.decode().encode("utf-16")),
    Kind("a list", lambda good: b"[" + good + b"]"),
    Kind("empty", lambda _: b""),
    Kind("tombstone", lambda _: None),
    Kind("no key", _good, lambda _: None),
    Kind("key is not UTF-8", _good, lambda _: b"\xff\xfe"),
    Kind("key of 1,000 characters", _good, lambda _: b"x" * 1000),
    Kind("200 kB of text", lambda good: good[:-1] + b',"note":"' + b"x" * 200_000, large=True),
    Kind("200 kB of brackets", lambda _: b"[" * 200_000, large=True),
    Kind("200 kB of digits", lambda good: good.replace(b'"flow":', b'"flow":' + b"9" * 200_000), large=True),
    Kind("900 kB", lambda good: good[:-1] + b',"note":"' + b"x" * 900_000 + b'"}', large=True),
)


def write(bootstrap: str, topic: str, kind: Kind, count: int) -> tuple[int, float]:
    """Fills a topic; how many messages it has then, and the bytes of each."""
    producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 50, "enable.idempotence": True})
    stream, size, number = Readings(_ENTITIES), 0, 0
    for tick in range(count // _ENTITIES):
        for entity, key, good in stream.tick(tick):
            value = kind.value(good)
            while True:
                try:
                    producer.produce(topic, value, kind.key(key), entity % PARTITIONS)
                    break
                except BufferError:
                    producer.poll(0.1)
            number, size = number + 1, size + len(value or b"")
            if kind.large and size > _LARGE_BYTES:
                break
        producer.poll(0)
    if producer.flush(120):
        raise RuntimeError(f"not all messages for topic {topic} were taken by the broker within two minutes")
    return number, size / number


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m dev.verify.bench.rejects", description=__doc__.splitlines()[0])
    parser.add_argument("--messages", type=int, default=100_000, help="of each kind; default: %(default)s")
    parser.add_argument("--only", nargs="*", help="kinds by the beginning of their names")
    asked = parser.parse_args()
    tell = progress.plain
    kinds = [kind for kind in KINDS if not asked.only or kind.name.startswith(("good", *asked.only))]
    with tempfile.TemporaryDirectory(prefix="anomaly-bench-") as folder:
        with telling(tell, "training the model that scores"):
            trained, _ = surroundings.trained(Path(folder))
        with broker.running(f"bench-rejects-{os.getpid()}", tell, machine=jars.LASTING) as kafka:
            stand = Stand(Path(folder), kafka.bootstrap, trained)
            readings.create(kafka.bootstrap, "alerts", "dead-letters", *(f"kind-{number}" for number in range(len(kinds))))
            _measure(stand, kinds, asked.messages)
    return 0


def _measure(stand: Stand, kinds: list[Kind], messages: int) -> None:
    print(f"{'':24} {'bytes':>8} {'µs each':>9} {'of a good one':>14} {'µs a kB':>9} {'of a good one':>14}")
    good: tuple[float, float] | None = None
    for number, kind in enumerate(kinds):
        topic = f"kind-{number}"
        count, size = write(stand.bootstrap, topic, kind, messages)
        each = ours.throughput(stand, topic, Delivery.EXACTLY_ONCE, 1 if kind.large else _ENTITIES, count)["cpuMicroseconds"]
        a_kilobyte = each / size * 1000 if size else 0.0
        good = good or (each, a_kilobyte)
        ratios = f"{each:9.2f} {each / good[0]:13.1f}x {a_kilobyte:9.2f} {a_kilobyte / good[1]:13.1f}x"
        print(f"{kind.name:24} {size:8.0f} {ratios}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
