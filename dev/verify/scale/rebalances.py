"""Joins, leaves, kills and what each stops: a steady stream over all partitions, pods that come and go, every commit's time.

A partition is moved by an event if it has another owner afterwards, or if its owner was killed. All others should not notice.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from confluent_kafka import Producer

from dev.verify.bench.readings import Readings
from dev.verify.scale import commits
from dev.verify.scale.commits import Steps
from dev.verify.scale.stand import PARTITIONS, Stand, full, until
from dev.verify.torture import verdict

ENTITIES: Final = 10_000
RATE: Final = 2_400
"""Readings a second."""
_BEAT_SECONDS: Final = 0.05
"""Readings come in beats, a few for each partition: pauses are told apart from there being nothing to read."""
_STILL_SECONDS: Final = 2.0
"""Before and after each event nothing happens for so long."""


@dataclass(frozen=True)
class Event:
    """Something that happened to the group."""

    title: str
    at: float
    """Unix seconds."""
    settled: float
    moved: frozenset[int]
    killed: frozenset[int]
    """Partitions whose owner was killed."""


@dataclass(frozen=True)
class Pause:
    """Seconds for which an event stopped partitions."""

    title: str
    unmoved: float
    """The longest time without a commit, of partitions that stayed where they were; with the time between two beats."""
    moved: float
    first: float
    """From a kill to the first new score of a partition that the killed pod had; 0 for other events."""
    counts: tuple[int, int]
    """Partitions that stayed, partitions that moved."""


@dataclass
class Stream:
    """All entities tick by tick, at a steady pace, from a thread of its own."""

    stand: Stand
    readings: Readings
    begin: int = 0
    """The first tick."""
    sent: int = 0
    _stop: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        """Fills the windows of all entities first."""
        settings = {"bootstrap.servers": self.stand.bootstrap, "enable.idempotence": True, "linger.ms": 2}
        self._producer = Producer(settings | {"queue.buffering.max.messages": 500_000})
        self._source = self._endless()
        for _ in range(full(self.readings)):
            self._send()
        if self._producer.flush(60):
            raise RuntimeError("the broker has not taken the first readings within a minute")
        self._thread = threading.Thread(target=self._run, name="stream", daemon=True)
        self._thread.start()

    @property
    def ended(self) -> bool:
        """Whether nothing more comes."""
        return self._stop.is_set()

    def end(self) -> None:
        """Ends, when all that was sent has arrived."""
        self._stop.set()
        self._thread.join()
        left = self._producer.flush(60)
        self._producer.purge()  # a client that still has something to send does not end without its broker
        del self._producer
        if left:
            raise RuntimeError(f"the broker has not taken {left} readings within a minute")

    def _run(self) -> None:
        began, before = time.monotonic(), self.sent
        while not self._stop.wait(_BEAT_SECONDS):
            while self.sent - before < (time.monotonic() - began) * RATE and not self._stop.is_set():
                self._send()
            self._producer.poll(0)

    def _send(self) -> None:
        entity, key, value = next(self._source)
        while True:
            try:
                self._producer.produce(self.stand.topic, value, key, entity % PARTITIONS)
                break
            except BufferError:
                self._producer.poll(_BEAT_SECONDS)
        self.sent += 1
        if self.sent % 10_000 == 0:
            self._producer.poll(0)

    def _endless(self) -> Iterator[tuple[int, bytes, bytes]]:
        tick = self.begin
        while True:
            yield from self.readings.tick(tick)
            tick += 1


@dataclass(frozen=True)
class Outcome:
    """Of all events."""

    pauses: list[Pause]
    beat: float
    """Seconds between two commits of a partition when nothing happens, at most."""
    alerts: int
    wrong: list[str]
    """How the alerts differ from those of one process that nobody disturbs."""
    skipped: int
    """Readings that nobody decided."""


def measure(stand: Stand, tell: Callable[[str], None]) -> Outcome:
    """One pod, then up to eight, then fewer; TimeoutError when the group does not settle."""
    stream = Stream(stand, Readings(ENTITIES))
    with stand.open():
        stand.start("pod-1")
        stream.start()
        try:
            owners = stand.settle()
            _caught_up(stand, stream)
            quiet = (_rest(), _rest())  # the partitions that were caught up with last have just had their turn
            events = []
            for title, do in _events(stand):
                event, owners = _happen(stand, title, do, owners)
                tell(f"{title}: settled after {event.settled - event.at:.1f} s")
                events.append(event)
        finally:
            stream.end()
        _caught_up(stand, stream)
        found = commits.steps(stand.bootstrap, stand.name)
        wrong, alerts = _verdict(stand)
    return Outcome(
        [_pause(event, found) for event in events],
        max(commits.longest(each, *quiet) for each in found.values()),
        alerts,
        wrong,
        stream.sent - sum(each[-1].offset for each in found.values()),
    )


def _events(stand: Stand) -> list[tuple[str, Callable[[], list[str]]]]:
    """In this order; each says which pods it killed."""

    def join(*names: str) -> Callable[[], list[str]]:
        def do() -> list[str]:
            stand.start(*names)
            return []

        return do

    def leave(name: str) -> list[str]:
        stand.members[name].leave()
        stand.members.pop(name).ended()
        return []

    def kill(name: str, heir: str) -> list[str]:
        stand.members[name].kill()
        if heir != name:
            del stand.members[name]
        stand.start(heir)
        return [name]

    return [
        ("kill -9 of the only pod (1)", lambda: kill("pod-1", "pod-1")),
        ("a pod joins (1 to 2)", join("pod-2")),
        ("two pods join (2 to 4)", join("pod-3", "pod-4")),
        ("four pods join (4 to 8)", join("pod-5", "pod-6", "pod-7", "pod-8")),
        ("kill -9, the container starts again (8)", lambda: kill("pod-3", "pod-3")),
        ("kill -9, another pod takes its place (8)", lambda: kill("pod-5", "pod-9")),
        ("a pod leaves (8 to 7)", lambda: leave("pod-8")),
        ("a pod leaves (7 to 6)", lambda: leave("pod-7")),
    ]


def _happen(stand: Stand, title: str, do: Callable[[], list[str]], before: dict[int, str]) -> tuple[Event, dict[int, str]]:
    at = time.time()
    killed = do()
    after = stand.settle()
    settled = _rest()
    lost = frozenset(number for number, owner in before.items() if owner in killed)
    moved = lost | {number for number, owner in after.items() if before[number] != owner}
    return Event(title, at, settled, frozenset(moved), lost), after


def _rest() -> float:
    threading.Event().wait(_STILL_SECONDS)
    return time.time()


def _caught_up(stand: Stand, stream: Stream) -> None:
    """Until the pods have read almost all there is; the positions that count are read at the end."""

    def done() -> bool:
        return all(each.evidence().source.lag < RATE / 2 for each in stand.pods().values())

    until(done, "the pods do not keep up with the stream")
    if stream.ended:
        until(lambda: stand.committed() == stream.sent, "not all that was sent was decided")


def _pause(event: Event, found: Steps) -> Pause:
    def worst(partitions: frozenset[int]) -> float:
        return max((commits.longest(found[number], event.at, event.settled) for number in partitions), default=0.0)

    still = frozenset(range(PARTITIONS)) - event.moved
    first = min((commits.first(found[number], event.at) for number in event.killed), default=0.0)
    return Pause(event.title, worst(still), worst(event.moved), first, (len(still), len(event.moved)))


def _verdict(stand: Stand) -> tuple[list[str], int]:
    found = verdict.collect(stand.runtime)
    alerts, _ = verdict.expected(found, [stand.order])
    return verdict.differences(found.alerts, alerts), sum(map(len, alerts.values()))
