"""Where it is measured: the broker's settings, the topics, the pods as processes, and who has which partition. No measuring."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, Final, TypeVar

from confluent_kafka import ConsumerGroupState, ConsumerGroupTopicPartitions, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from anomaly_api.assignment import Assignment, Identity, Runtime
from anomaly_api.policy import Delivery
from anomaly_api.source import GroupProtocol, KafkaSource, StartFrom
from dev.environment.backends import compiled_in
from dev.harness.scoring_pod import ScoringPod
from dev.verify.bench import pod
from dev.verify.bench.pod import Trained
from dev.verify.bench.readings import SIZE, Readings

PARTITIONS: Final = 24
OVERRIDES: Final = {
    "group.initial.rebalance.delay.ms": "4000",  # so that pods started together begin together
    "offsets.topic.num.partitions": "1",
}
SETTLE_SECONDS: Final = 90.0
_LOOK_SECONDS: Final = 0.05
_Found = TypeVar("_Found")
_names = count(1)


@dataclass
class Stand:
    """A detector of its own on the broker: its topics, its group, its pods."""

    folder: Path
    bootstrap: str
    trained: Trained
    topic: str
    protocol: GroupProtocol = GroupProtocol.CLASSIC
    delivery: Delivery = Delivery.EXACTLY_ONCE
    name: str = field(default_factory=lambda: f"scale-{next(_names)}")
    members: dict[str, ScoringPod] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.admin = AdminClient({"bootstrap.servers": self.bootstrap})
        kafka = KafkaSource(
            bootstrap_servers=self.bootstrap, topic=self.topic, start_from=StartFrom.EARLIEST, group_protocol=self.protocol
        )
        self.runtime = Runtime(
            detector=Identity(namespace="torture", name="pumps", uid="1"),  # as dev.verify.torture.verdict decides again
            kafka=kafka,
            group_id=self.name,
            alerts_topic=f"{self.name}.alerts",
            dead_letter_topic=f"{self.name}.dead-letters",
            state_topic=f"{self.name}.state",
            delivery=self.delivery,
        )
        self.order = Assignment(stable=pod.revision(self.trained), artifacts={self.trained.digest: str(self.trained.archive)})
        create(self.admin, self.runtime.alerts_topic, self.runtime.dead_letter_topic, partitions=1)

    def start(self, *names: str) -> None:
        """Pods that are new, or come back under their names."""
        for name in names:
            compiled = compiled_in(self.folder / "compiled")
            member = self.members.setdefault(name, ScoringPod(self.folder / self.name / name, compiled))
            member.start(self.runtime, self.order)

    def pods(self) -> dict[str, ScoringPod]:
        """The running ones, to be asked over HTTP."""
        return {name: member for name, member in self.members.items() if member.running}

    def owners(self) -> dict[int, str]:
        """Which pod has each partition, as the group says."""
        try:
            group: Any = self.admin.describe_consumer_groups([self.name])[self.name].result(10)
        except KafkaException:
            return {}
        if group.state is not ConsumerGroupState.STABLE:
            return {}
        return {place.partition: str(each.client_id) for each in group.members for place in each.assignment.topic_partitions}

    def committed(self) -> int:
        """The group's positions, summed."""
        asked = [ConsumerGroupTopicPartitions(self.name, [TopicPartition(self.topic, number) for number in range(PARTITIONS)])]
        found = self.admin.list_consumer_group_offsets(asked)[self.name].result(10)
        return sum(max(0, place.offset) for place in found.topic_partitions)

    def settle(self) -> dict[int, str]:
        """Waits until every running pod has its share and all partitions decide; who has them then."""

        def settled() -> dict[int, str] | None:
            owners = self.owners()
            if len(owners) != PARTITIONS or set(owners.values()) != set(self.pods()):
                return None
            said = [each.evidence().source for each in self.pods().values()]
            done = sum(each.partitions for each in said) == PARTITIONS and not any(each.recovering for each in said)
            return owners if done else None

        return until(settled, f"the pods do not share the partitions; their logs are in {self.folder / self.name}")

    @contextmanager
    def open(self) -> Iterator[Stand]:
        """Its pods end with the context."""
        try:
            yield self
        finally:
            for member in self.members.values():
                member.kill()


def until(look: Callable[[], _Found | None], sentence: str, seconds: float = SETTLE_SECONDS) -> _Found:
    """Returns what `look` finds. TimeoutError with the sentence when it finds nothing."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            found = look()
        except OSError:  # a pod that does not listen yet
            found = None
        if found:
            return found
        time.sleep(_LOOK_SECONDS)
    raise TimeoutError(sentence)


def create(admin: AdminClient, *names: str, partitions: int = PARTITIONS) -> None:
    """Topics. KafkaException when one exists."""
    for made in admin.create_topics([NewTopic(name, partitions, 1) for name in names]).values():
        made.result(30)


def full(readings: Readings) -> int:
    """Readings after which every entity's window is full."""
    return SIZE * len(readings.keys)
