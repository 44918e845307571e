"""Writes a scenario's readings to Kafka: history as fast as the broker takes it, then at a pace, in a thread of its own."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass
from types import TracebackType

from confluent_kafka import Producer as KafkaProducer

from dev.demo.recording import Recording
from dev.demo.scenario import Judged, Scenario

SETTINGS = {"linger.ms": 2, "enable.idempotence": True, "queue.buffering.max.messages": 500_000, "compression.type": "none"}
_FLUSH_SECONDS = 60.0


@dataclass(frozen=True)
class Progress:
    """Where the stream is."""

    tick: int
    """The next one."""
    event_time: float
    """Of the reading written last, Unix seconds."""
    per_second: float
    """Readings a second lately."""
    waiting: bool
    """It has come to the end of what it may play before there is a model."""
    done: bool


class Producer:
    """One run of a scenario. `judged` is known from `begin_judged` on; `written` says when each tick's readings were written."""

    def __init__(self, bootstrap: str, scenario: Scenario) -> None:
        self._kafka = KafkaProducer({"bootstrap.servers": bootstrap, **SETTINGS})
        self._scenario = scenario
        self._tick = 0
        self._recent: deque[tuple[float, int]] = deque(maxlen=64)
        self._stop = threading.Event()
        self._begin = threading.Event()
        self._begun = threading.Event()
        self._thread = threading.Thread(target=self._play, name="producer", daemon=True)
        self._failure: BaseException | None = None
        self._done = False
        self._waiting = False
        self.judged: Judged | None = None
        self.written: dict[int, float] = {}
        """Wall clock (Unix seconds) by tick; only what was played live."""

    def __enter__(self) -> Producer:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stop.set()
        self._begin.set()
        if self._thread.is_alive():
            self._thread.join()
        self._kafka.flush(_FLUSH_SECONDS)

    def write_history(self) -> int:
        """Number of readings written, all of them acknowledged. RuntimeError when the broker did not take them."""
        recording = self._scenario.recording
        for tick in range(self._scenario.history):
            self._write(recording, tick)
        left = self._kafka.flush(_FLUSH_SECONDS)
        if left:
            raise RuntimeError(f"Kafka did not take {left} readings within {_FLUSH_SECONDS:.0f} s: is the broker up (`make up`)?")
        return self._scenario.history * len(recording.entities)

    def play(self) -> None:
        """Begins the live part."""
        self._thread.start()

    def begin_judged(self) -> Judged:
        """The anomalies may come. Returns when it is settled from which tick on."""
        self._begin.set()
        self._begun.wait()
        self.progress()
        assert self.judged is not None
        return self.judged

    def progress(self) -> Progress:
        """Raises what made the thread end, if anything did."""
        if self._failure is not None:
            raise RuntimeError(f"the producer failed: {self._failure}") from self._failure
        recent = list(self._recent)
        seconds = recent[-1][0] - recent[0][0] if len(recent) > 1 else 0.0
        rate = sum(count for _, count in recent[1:]) / seconds if seconds else 0.0
        event_time = self._scenario.recording.time(max(self._tick - 1, 0))
        return Progress(self._tick, event_time, 0.0 if self._waiting else rate, self._waiting, self._done)

    def _play(self) -> None:
        try:
            self._play_waiting()
            if self._stop.is_set():
                return
            self.judged = judged = self._scenario.judge_from(self._tick)
            self._begun.set()
            self._paced(judged.recording, judged.stretch.first, rate=0.0)
            self._paced(judged.recording, judged.stretch.end, rate=self._scenario.judged_rate)
            self._kafka.flush(_FLUSH_SECONDS)
            self._done = not self._stop.is_set()
        except BaseException as failure:  # the thread's outermost frame: the story must hear of it
            self._failure = failure
            self._begun.set()
            raise

    def _play_waiting(self) -> None:
        scenario = self._scenario
        self._paced(scenario.recording, scenario.waiting_end, scenario.waiting_rate, until=self._begin)
        self._waiting = True
        self._begin.wait()
        self._waiting = False

    def _paced(self, recording: Recording, end: int, rate: float, until: threading.Event | None = None) -> None:
        """Up to the tick `end`, `rate` ticks a second; 0 is as fast as it goes."""
        until = until or self._stop
        began, first = time.monotonic(), self._tick
        while self._tick < end and not until.is_set() and not self._stop.is_set():
            if rate and until.wait(max(0.0, began + (self._tick - first) / rate - time.monotonic())):
                return
            self.written[self._tick] = time.time()
            self._write(recording, self._tick)
            self._recent.append((time.monotonic(), len(recording.entities)))

    def _write(self, recording: Recording, tick: int) -> None:
        write_tick(self._kafka, self._scenario.topic, recording, tick)
        self._tick = tick + 1


def write_tick(kafka: KafkaProducer, topic: str, recording: Recording, tick: int) -> None:
    """Hands over the readings of a tick; waits while the producer's queue is full."""
    for key, value in recording.messages(tick):
        while True:
            try:
                kafka.produce(topic, value, key)
                break
            except BufferError:
                kafka.poll(0.1)
    kafka.poll(0)
