"""The source topic of a run: filled at a steady pace while things happen, and watched until all of it has been decided."""

from __future__ import annotations

import threading
import time

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from anomaly_api.assignment import Runtime
from anomaly_detector.adapters.kafka.diagnose.admin import AdminQueries
from dev.verify.torture import recording

RATE = 1_000.0
SECONDS = recording.MESSAGES / RATE
_LOOK_SECONDS = 0.05
_ASK_SECONDS = 5.0
_STUCK_SECONDS = 30.0
_SETTLE_SECONDS = 3.0
_FURTHER = 3
"""Producers, when one sends no more."""


class Feed:
    """Feeds readings to the broker directly, past the disturbed network."""

    def __init__(self, runtime: Runtime, seed: int, patience_seconds: float, rate: float = RATE) -> None:
        """`rate`: messages a second."""
        self._runtime, self._seed, self._patience, self._rate = runtime, seed, patience_seconds, rate
        self._bootstrap = runtime.kafka.bootstrap_servers
        self._thread = threading.Thread(target=self._produce, name="producer", daemon=True)
        self._failed: list[str] = []
        self.begin = 0.0
        """When the first message was due."""
        self.stuck = 0
        """Messages that further producers had to send, because the one before sent no more."""

    def create(self, replicas: int = 1) -> None:
        """The topics that a user would make."""
        names = (self._runtime.kafka.topic, self._runtime.alerts_topic, self._runtime.dead_letter_topic)
        admin = AdminClient({"bootstrap.servers": self._bootstrap})
        for future in admin.create_topics([NewTopic(name, recording.PARTITIONS, replicas) for name in names]).values():
            future.result(30)

    def delete(self) -> None:
        """All of them: a broker that is used a hundred times is not to fill up."""
        runtime = self._runtime
        names = [runtime.kafka.topic, runtime.alerts_topic, runtime.dead_letter_topic, runtime.state_topic]
        admin = AdminClient({"bootstrap.servers": self._bootstrap})
        for future in admin.delete_topics(names).values():
            future.exception(30)  # the state topic may not have been made

    def start(self) -> None:
        """Begins to produce."""
        self.begin = time.monotonic()
        self._thread.start()

    def join(self) -> None:
        """Until all has been produced."""
        self._thread.join()

    def await_decided(self) -> list[str]:
        """Until all that was produced has been decided and committed; what is wrong."""
        topic, group = self._runtime.kafka.topic, self._runtime.group_id
        consumer = Consumer({"bootstrap.servers": self._bootstrap, "group.id": group, "isolation.level": "read_committed"})
        places = [TopicPartition(topic, number) for number in range(recording.PARTITIONS)]
        deadline = time.monotonic() + self._patience
        left: dict[int, str] = {}
        try:
            ends = self._ends()
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
        return [*self._failed, f"not all was decided within {self._patience:.0f} s: {left}"]

    def group(self) -> str:
        """Returns what the coordinator says of the pods' group."""
        try:
            found = AdminQueries({"bootstrap.servers": self._bootstrap}).group(self._runtime.group_id, _ASK_SECONDS)
        except KafkaException as failure:
            return f"the group cannot be described: {failure}"
        members = [f"{each.client_id}: {len(each.assignment.topic_partitions)} partitions" for each in found.members]
        return f"the group is {found.state.name}, with {', '.join(members) or 'nobody'}"

    def _produce(self) -> None:
        """At a steady pace; a broker that is away holds it up."""
        producer = self._producer()
        messages = list(recording.recording(self._seed))
        left = dict(enumerate(messages))
        for number, message in enumerate(messages):
            ahead = self.begin + number / self._rate - time.monotonic()
            if ahead > 0.005:
                producer.poll(0)
                time.sleep(ahead)
            self._send(producer, number, message, left)
        producer.flush(_STUCK_SECONDS)
        for _ in range(_FURTHER):
            if not left:
                return
            # a broker may take longer than that to start on a busy machine, and a producer may send no more afterwards
            producer.purge()
            producer.flush(_SETTLE_SECONDS)  # what was on its way arrives, or never will
            left = self._not_there(messages)
            self.stuck += len(left)
            producer = self._producer()
            for number, message in sorted(left.items()):
                self._send(producer, number, message, left)
            producer.flush(_STUCK_SECONDS)
        if left:
            self._failed.append(f"{len(left)} messages could not be produced")

    def _not_there(self, messages: list[recording.Message]) -> dict[int, recording.Message]:
        """Returns what the topic lacks: an idempotent producer keeps the order of each partition, so that is the end of each."""
        there = self._ends()
        lacking = {}
        for number, message in enumerate(messages):
            there[message.partition] -= 1
            if there[message.partition] < 0:
                lacking[number] = message
        return lacking

    def _ends(self) -> dict[int, int]:
        """Where each partition of the topic ends. KafkaException when no broker has told for long."""
        asking = Consumer({"bootstrap.servers": self._bootstrap, "group.id": "nobody"})
        places = [TopicPartition(self._runtime.kafka.topic, number) for number in range(recording.PARTITIONS)]
        deadline = time.monotonic() + self._patience
        try:
            while True:
                try:
                    return {place.partition: asking.get_watermark_offsets(place, self._patience)[1] for place in places}
                except KafkaException:  # a broker that has just begun leads nothing yet
                    if time.monotonic() > deadline:
                        raise
                    time.sleep(_LOOK_SECONDS)
        finally:
            asking.close()

    def _producer(self) -> Producer:
        settings = {"bootstrap.servers": self._bootstrap, "enable.idempotence": True, "linger.ms": 2, "log_level": 2}
        settings["topic.metadata.refresh.interval.ms"] = 2_000  # one that met a broker without leaders did not ask again
        return Producer(settings)

    def _send(self, producer: Producer, number: int, message: recording.Message, left: dict[int, recording.Message]) -> None:
        """Takes it out of `left` when it has arrived."""

        def arrived(error: KafkaError | None, _: Message) -> None:
            if error is None:
                left.pop(number, None)

        headers: list[tuple[str, str | bytes]] = [*message.headers]
        topic = self._runtime.kafka.topic
        producer.produce(topic, message.value, message.key, message.partition, on_delivery=arrived, headers=headers)
