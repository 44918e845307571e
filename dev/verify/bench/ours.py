"""Measurements of the scoring pod: rate, memory, start, and the time from a reading to its alert."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from confluent_kafka import Consumer, Producer, TopicPartition

from anomaly_api.alerting import AlertPolicy, Closing, Opening, Severity
from anomaly_api.evidence import DetectorEvidence
from anomaly_api.policy import Delivery
from dev.harness.scoring_pod import ScoringPod
from dev.verify.bench import pod, relay
from dev.verify.bench.pod import PATIENCE_SECONDS, Trained
from dev.verify.bench.readings import PARTITIONS, SIZE, Readings

READINGS_A_SECOND: Final = 20_000
_ENTITIES: Final = 100
_FAULT_EVERY: Final = 499
"""40 episodes a second: enough alerts to speak of a 99th percentile."""
_SETTLING_SECONDS: Final = 2.0
_START_SECONDS: Final = 1.0
"""Before a pod is asked how far it is: being asked takes a tenth of a second that it needs to start."""
_SLICE_SECONDS: Final = 0.002
_LOOK_SECONDS: Final = 0.2
_names = count(1)


@dataclass(frozen=True)
class Stand:
    """Where the pods run."""

    folder: Path
    bootstrap: str
    trained: Trained

    @contextmanager
    def pod(
        self, topic: str, delivery: Delivery, policy: AlertPolicy | None = None, *, shadow: bool = False
    ) -> Iterator[ScoringPod]:
        """With `shadow` there is a candidate that decides nothing, of another model that costs the same."""
        folder = self.folder / f"pod-{next(_names)}"
        order = pod.revision(self.trained, policy)
        other = pod.another(self.trained, self.folder / "another") if shadow else None
        with pod.running(folder, self.bootstrap, topic, delivery, order, self.trained, other) as started:
            yield started


def throughput(
    stand: Stand, topic: str, delivery: Delivery, entities: int, readings: int, *, shadow: bool = False
) -> dict[str, Any]:
    """Between two looks while the stream flows: the first when every entity's window is full, the last before its end."""
    with stand.pod(topic, delivery, shadow=shadow) as started:
        full = max(readings // 20, SIZE * entities)
        looks = [_look(started, full)]
        while looks[-1].evidence.readings < readings:
            time.sleep(_LOOK_SECONDS)
            looks.append(_look(started, looks[-1].evidence.readings + 1))
        first, last = looks[0], looks[-2 if len(looks) > 2 else -1]
        counted = last.evidence.readings - first.evidence.readings
        if shadow and not any(each.role == "candidate" and each.loaded and each.windows for each in last.evidence.revisions):
            raise RuntimeError(f"the candidate was not compared: {last.evidence.revisions}")
        if not counted:
            raise RuntimeError(f"{readings:,} readings were too few to measure by: give more")
        return {
            "rate": counted / (last.evidence.now - first.evidence.now),
            "cpuMicroseconds": (last.cpu_seconds - first.cpu_seconds) / counted * 1e6,
            "memory": started.memory() | {"RssAnon": statistics.median(look.own for look in looks)},
        }


@dataclass(frozen=True)
class _Look:
    """How far a pod was, and what it had spent."""

    evidence: DetectorEvidence
    cpu_seconds: float
    own: int
    """Bytes of memory."""


def _look(started: ScoringPod, readings: int) -> _Look:
    """When it has read at least so many."""
    found = started.until(lambda found: found.readings >= readings, PATIENCE_SECONDS, _LOOK_SECONDS)
    return _Look(found, started.cpu_seconds(), started.memory()["RssAnon"])


def first_score(stand: Stand, topic: str, delivery: Delivery) -> float:
    """Seconds from before the process is started to its first scored window.

    The group is new: its state topic is made meanwhile. The topic must hold no more readings than one batch takes, so that
    what was scored last was scored first. The broker does not wait for more members (`group.initial.rebalance.delay.ms` is 0,
    and 3 s where nobody has set it).
    """
    with stand.pod(topic, delivery) as started:
        time.sleep(_START_SECONDS)
        scored = started.until(lambda found: found.last_scored is not None, PATIENCE_SECONDS, 0.05).last_scored
        assert scored is not None, "it was waited for"
        return scored - started.began


def latency(stand: Stand, topic: str, delivery: Delivery, seconds: float) -> dict[str, float]:
    """Milliseconds from before a reading is produced to its alert's being received, while 20,000 a second flow.

    A reading's event time is the moment at which it is produced, and an alert carries that of the reading that caused it. Who
    receives reads committed records only: exactly once, an alert counts from when its transaction has been committed.
    """
    lively = AlertPolicy(
        open=Opening(windows=1), close=Closing(windows=1), severities=[Severity(name="warning", above=1.0)]
    )  # fmt: skip
    with stand.pod(topic, delivery, lively) as started:
        started.until(lambda found: found.source.partitions == PARTITIONS, PATIENCE_SECONDS)
        return _latency(stand, topic, seconds, _moment)


def relayed(stand: Stand, topic: str, delivery: Delivery, seconds: float) -> dict[str, float]:
    """The same for a relay that looks at nothing: what Kafka and this machine take by themselves."""
    with relay.running(stand.bootstrap, topic, delivery):
        return _latency(stand, topic, seconds, relay.moment)


def _latency(stand: Stand, topic: str, seconds: float, moment: Callable[[bytes], float]) -> dict[str, float]:
    """Of whoever reads the topic now and writes alerts; `moment` is when their reading was produced."""
    taken: list[tuple[float, bytes]] = []
    stop = threading.Event()
    receiving = {"group.id": "bench-latency", "fetch.wait.max.ms": 5, "isolation.level": "read_committed"}
    consumer = Consumer({"bootstrap.servers": stand.bootstrap, **receiving})
    ends = [consumer.get_watermark_offsets(TopicPartition("alerts", number), 10)[1] for number in range(PARTITIONS)]
    consumer.assign([TopicPartition("alerts", number, end) for number, end in enumerate(ends)])

    def receive() -> None:
        while not stop.is_set():
            message = consumer.poll(0.1)
            if message is not None and message.error() is None:
                taken.append((time.time(), message.value() or b""))

    receiver = threading.Thread(target=receive)
    receiver.start()
    try:
        begin = _pour(stand.bootstrap, topic, seconds)
        time.sleep(1.0)  # what is on its way arrives, or is not counted
    finally:
        stop.set()
        receiver.join()
        consumer.close()
    found = np.array([at - moment(value) for at, value in taken if moment(value) > begin + _SETTLING_SECONDS]) * 1e3
    if len(found) < 100:
        raise RuntimeError(f"only {len(found)} alerts came back: there is nothing to tell the latency by")
    p50, p99 = np.percentile(found, [50, 99])
    return {"p50Milliseconds": float(p50), "p99Milliseconds": float(p99), "alerts": len(found)}


def _pour(bootstrap: str, topic: str, seconds: float) -> float:
    """Writes 20,000 readings a second, evenly; returns when it began.

    The producer is as people have it, with the 5 ms that it waits for more to send, which count. Told to wait for nothing, it
    sends thousands of requests a second, and what is measured is a broker that has no time for anything else.
    """
    producer = Producer({"bootstrap.servers": bootstrap, "enable.idempotence": True})
    readings = Readings(_ENTITIES, _FAULT_EVERY)
    began = time.time()
    sent = 0
    while (now := time.time()) < began + seconds:
        for number in range(sent, int((now - began) * READINGS_A_SECOND)):
            tick, entity = divmod(number, _ENTITIES)
            producer.produce(topic, readings.value(entity, tick, time.time()), readings.keys[entity], entity % PARTITIONS)
            sent = number + 1
        producer.poll(0)
        time.sleep(_SLICE_SECONDS)
    producer.flush(10)
    return began


class _Event(msgspec.Struct):
    time: str


def _moment(alert: bytes) -> float:
    """Unix seconds of the reading that caused it."""
    text = msgspec.json.decode(alert, type=_Event).time
    return float(np.datetime64(text.removesuffix("Z"), "us").astype(np.int64)) / 1e6
