"""One schedule on a real broker: pods as processes, a producer at a steady pace, what the schedule says, and the verdict."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from anomaly_api.assignment import Assignment, Runtime
from anomaly_api.policy import Delivery
from anomaly_api.source import GroupProtocol
from dev.kafka.broker import Broker
from dev.torture import orders, recording, verdict
from dev.torture.members import Member
from dev.torture.schedule import MOST_MEMBERS, Act, Event, Schedule

OVERRIDES = {
    "group.min.session.timeout.ms": "500",  # a zombie within seconds
    "group.consumer.min.session.timeout.ms": "1500",
    "group.consumer.session.timeout.ms": "1500",
    "group.consumer.min.heartbeat.interval.ms": "300",
    "group.consumer.heartbeat.interval.ms": "300",
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "500",
}
"""Settings that the broker needs for it."""
RATE = 1_000.0
SECONDS = recording.READINGS * recording.ENTITIES / RATE
_DONE_SECONDS = 90.0
_LOOK_SECONDS = 0.05


@dataclass(frozen=True)
class Result:
    """How it ended."""

    seed: int
    alerts: int
    changes: int
    """Of the revision, in all partitions."""
    seconds: float
    wrong: list[str] = field(default_factory=list)


class Trial:
    """One run."""

    def __init__(
        self,
        broker: Broker,
        plan: Schedule,
        folder: Path,
        say: Callable[[str], None],
        protocol: GroupProtocol = GroupProtocol.CLASSIC,
    ) -> None:
        self._broker, self._plan, self._folder, self._say = broker, plan, folder, say
        folder.mkdir(parents=True, exist_ok=True)
        topic = f"torture-{uuid4().hex[:8]}"
        self._runtime: Runtime = orders.runtime(broker.bootstrap, topic, Delivery.EXACTLY_ONCE, protocol)
        self._orders: Sequence[Assignment] = orders.assignments(folder)
        self._order = self._orders[0]
        self._members: list[Member] = []
        self._started = 0
        self._later: list[tuple[float, Callable[[], None]]] = []
        self._begin = 0.0
        self._producer: threading.Thread | None = None
        self._failed: list[str] = []

    def run(self) -> Result:
        """Raises nothing: what goes wrong is in the result."""
        began = time.monotonic()
        wrong: list[str] = []
        found = None
        try:
            self._create()
            for _ in range(self._plan.members):
                self._join()
            self._await_members()
            self._disturb()
            wrong += self._await_end()
            wrong += self._stop()
            found = verdict.collect(self._runtime)
            alerts, dead = verdict.expected(found, self._orders)
            wrong += verdict.differences(found.alerts, alerts)
            wrong += (
                [f"dead letters differ: {found.dead - dead} too many, {dead - found.dead} missing"] if found.dead != dead else []
            )
        except (KafkaException, AssertionError, TimeoutError, RuntimeError) as error:
            wrong.append(f"{type(error).__name__}: {error}")
        finally:
            for member in self._members:
                member.kill()
        count = sum(len(alerts) for alerts in found.alerts.values()) if found else 0
        changes = sum(len(facts) - 1 for facts in found.facts.values()) if found else 0
        return Result(self._plan.seed, count, changes, time.monotonic() - began, wrong)

    def _create(self) -> None:
        runtime = self._runtime
        admin = AdminClient({"bootstrap.servers": self._broker.bootstrap})
        names = (runtime.kafka.topic, runtime.alerts_topic, runtime.dead_letter_topic)
        for future in admin.create_topics([NewTopic(name, recording.PARTITIONS, 1) for name in names]).values():
            future.result(30)

    def _await_members(self) -> None:
        """Until the first pods read: what happens is to happen to pods at work."""
        deadline = time.monotonic() + _DONE_SECONDS
        while not all(member.ready for member in self._members):
            if time.monotonic() > deadline:
                raise TimeoutError(f"the pods do not read; see the logs in {self._folder}")
            time.sleep(_LOOK_SECONDS)

    def _disturb(self) -> None:
        """Produces, and does what the schedule says meanwhile."""
        self._begin = time.monotonic()
        self._producer = threading.Thread(target=self._produce, name="producer")
        self._producer.start()
        for event in self._plan.events:
            self._wait_until(self._begin + event.at)
            self._say(str(event))
            self._do(event)
        while self._later:
            self._wait_until(min(at for at, _ in self._later))
        self._producer.join()

    def _wait_until(self, moment: float) -> None:
        """Until then, and does what falls due."""
        while True:
            for entry in sorted(self._later, key=lambda each: each[0]):
                if entry[0] <= time.monotonic():
                    self._later.remove(entry)
                    entry[1]()
            left = moment - time.monotonic()
            if left <= 0:
                return
            time.sleep(min(left, _LOOK_SECONDS))

    def _after(self, seconds: float, do: Callable[[], None]) -> None:
        self._later.append((time.monotonic() + seconds, do))

    def _do(self, event: Event) -> None:
        running = [member for member in self._members if member.running]
        member = running[event.which % len(running)] if running else None
        match event.act:
            case Act.KILL if member:
                member.kill()
                self._after(event.seconds, lambda: member.start(self._runtime, self._order))
            case Act.REPLACE if member:
                member.kill()
                self._members.remove(member)
                self._after(event.seconds, self._join)
            case Act.ZOMBIE | Act.PAUSE if member:
                member.freeze()
                self._after(event.seconds, member.wake)
            case Act.LEAVE if member:
                member.leave()  # the last one, too: then nobody is there until the end, or until somebody joins
            case Act.JOIN if len(running) < MOST_MEMBERS:
                self._join()
            case Act.SPEC:
                self._order = self._orders[event.which % len(self._orders)]
                for each in self._members:
                    each.assign(self._order)
            case Act.BROKER_KILL | Act.BROKER_STOP | Act.BROKER_PAUSE:
                self._do_to_broker(event)
            case _:
                pass

    def _do_to_broker(self, event: Event) -> None:
        if event.act is Act.BROKER_PAUSE:
            self._broker.pause()
            self._after(event.seconds, self._broker.resume)
        else:
            (self._broker.kill if event.act is Act.BROKER_KILL else self._broker.stop)()
            self._broker.start()

    def _join(self) -> None:
        self._started += 1
        name = f"pod-{self._started}"
        member = Member(name, self._folder / name)
        member.start(self._runtime, self._order)
        self._members.append(member)

    def _produce(self) -> None:
        """At a steady pace; a broker that is away holds it up."""
        settings = {"bootstrap.servers": self._broker.bootstrap, "enable.idempotence": True, "linger.ms": 2}
        producer = Producer(settings)
        for count, message in enumerate(recording.recording(self._plan.seed)):
            ahead = self._begin + count / RATE - time.monotonic()
            if ahead > 0.005:
                producer.poll(0)
                time.sleep(ahead)
            producer.produce(self._runtime.kafka.topic, message.value, message.key, message.partition)
        left = producer.flush(_DONE_SECONDS)
        if left:
            self._failed.append(f"{left} messages could not be produced")

    def _await_end(self) -> list[str]:
        """Until all that was produced has been decided and committed."""
        if all(member.leaving or not member.running for member in self._members):
            self._join()
        topic, group = self._runtime.kafka.topic, self._runtime.group_id
        consumer = Consumer({"bootstrap.servers": self._broker.bootstrap, "group.id": group, "isolation.level": "read_committed"})
        places = [TopicPartition(topic, number) for number in range(recording.PARTITIONS)]
        deadline = time.monotonic() + _DONE_SECONDS
        left: dict[int, str] = {}
        try:
            ends = {place.partition: consumer.get_watermark_offsets(place, 30)[1] for place in places}
            while time.monotonic() < deadline:
                try:
                    committed = {place.partition: place.offset for place in consumer.committed(places, 30)}
                    left = {number: f"{committed[number]} of {end}" for number, end in ends.items() if committed[number] != end}
                except KafkaException as error:  # a broker that has just begun
                    left = {0: str(error)}
                if not left:
                    return self._failed
                time.sleep(_LOOK_SECONDS)
        finally:
            consumer.close()
        for member in self._members:
            member.tell()
        return [*self._failed, f"not all was decided within {_DONE_SECONDS:.0f} s: {left}; see the logs in {self._folder}"]

    def _stop(self) -> list[str]:
        """All pods end, with exit status 0; or by the signal itself, if they had hardly begun."""
        for member in self._members:
            member.leave()
        ended = {member.name: member.ended() for member in self._members}
        return [
            f"{name} ended with {status}; see {self._folder / name / 'log'}"
            for name, status in ended.items()
            if status not in (0, -signal.SIGTERM)
        ]
