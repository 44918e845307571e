"""A plant whose broker knows its clients: topics, users, Secrets and detectors of one test module, and what they say."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from confluent_kafka import Consumer, TopicPartition

from anomaly_api.assignment import state_topic
from anomaly_api.evidence import DetectorEvidence
from tests.e2e.conftest import Kubectl, wait_until
from tests.stream.pods import Topics

if TYPE_CHECKING:
    from dev.environment.kafka.secured import Secured

CA = "ca-of-secured"
PUMPS = ("pump-1", "pump-2", "pump-3", "pump-4")
STEP = 5
"""Seconds between two readings of a pump."""
KUBELET = 150.0
"""Seconds until kubelet has surely brought a changed Secret into a pod; usually 15: `dev.environment.cluster.own`."""


@dataclass
class Feed:
    """Readings of four pumps for one topic, in order. All calls but `count` wait for each other."""

    topics: Topics
    count: int = 0
    """Messages written."""
    _at: float = field(default_factory=lambda: time.time() - 40_000)
    _dice: random.Random = field(default_factory=lambda: random.Random(1))
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def write(self, ticks: int, broken: str = "") -> None:
        """So many readings of each pump; those of `broken` are of none that works."""
        with self._lock:
            for _ in range(ticks):
                self._at += STEP
                for pump in PUMPS:
                    pressure = 90.0 if pump == broken else self._dice.gauss(3.0, 0.05)
                    reading = {"at": self._at, "temperature": self._dice.gauss(20.0, 0.3), "pressure": pressure}
                    self._send(json.dumps(reading).encode(), pump)
            assert self.topics.producer.flush(30) == 0

    def garbage(self, value: bytes, pump: str) -> None:
        with self._lock:
            self._send(value, pump)
            assert self.topics.producer.flush(30) == 0

    def _send(self, value: bytes, pump: str) -> None:
        self.topics.send(value, pump.encode())
        self.count += 1

    @contextmanager
    def going_on(self) -> Iterator[None]:
        """Four calm readings a second and pump, in a thread of its own."""
        stop = threading.Event()

        def run() -> None:
            while not stop.wait(0.25):
                self.write(1)

        thread = threading.Thread(target=run, name="feed", daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()


@dataclass
class Watched:
    """A detector on a topic of its own, with the user and the Secret that it is told of."""

    kubectl: Kubectl
    secured: Secured
    name: str
    topics: Topics
    feed: Feed

    @property
    def group(self) -> str:
        return f"anomaly-operator.{self.kubectl.namespace}.{self.name}"

    @property
    def secret(self) -> str:
        return f"kafka-{self.name}"

    def allow(self, user: str) -> None:
        """The rights that the README lists, and the one that putting back dead letters takes."""
        topics = self.topics
        self.secured.allow(
            user,
            ("topic", topics.name, "read,write,describe"),
            ("topic", topics.alerts, "write,describe"),
            ("topic", topics.dead_letters, "read,write,describe"),
            ("topic", state_topic(topics.name, self.group), "read,write,describe,create,alter"),
            ("group", self.group, "read"),
            ("transactional-id", f"{self.group}.*", "write,describe"),
        )

    def hold(self, user: str, password: str) -> None:
        """Makes or changes the Secret."""
        content = {"username": user, "password": password}
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": self.secret}, "stringData": content}
        self.kubectl.apply(secret)

    def apply(self, **spec: Any) -> None:
        kafka = {
            "bootstrapServers": self.secured.sasl,
            "topic": self.topics.name,
            "startFrom": "Earliest",
            "tls": {"caSecretRef": {"name": CA}},
            "sasl": {"mechanism": "ScramSha512", "secretRef": {"name": self.secret}},
            "properties": {"debug": "security", "log_level": "7"},
        }
        asked = {
            "source": {"kafka": kafka},
            "time": {"field": "at", "format": "UnixSeconds"},
            "features": [{"name": "temperature"}, {"name": "pressure"}],
            **spec,
        }
        metadata = {"name": self.name}
        self.kubectl.apply(
            {"apiVersion": "anomaly-operator.dev/v1alpha1", "kind": "AnomalyDetector", "metadata": metadata, "spec": asked}
        )

    def says(self, kind: str, reason: str, within: float) -> dict[str, Any]:
        """The condition, once it has this reason."""

        def told() -> dict[str, Any]:
            found = self.kubectl.condition(self.name, kind)
            return found if found.get("reason") == reason else {}

        found: dict[str, Any] = wait_until(f"{self.name}: {kind} {reason}", told, within)
        return found

    def running(self) -> tuple[str, int]:
        """The pod that there is: its uid, and how often it was restarted."""
        (pod,) = self.kubectl.pods(self.name)
        return pod["metadata"]["uid"], sum(each["restartCount"] for each in pod["status"].get("containerStatuses", []))

    def log(self) -> str:
        return self.kubectl("logs", f"deployment/{self.name}-detector")

    def get(self, path: str) -> str:
        (pod,) = self.kubectl.pods(self.name)
        named = f"/api/v1/namespaces/{self.kubectl.namespace}/pods/{pod['metadata']['name']}:8080/proxy{path}"
        return self.kubectl("get", f"--raw={named}")

    def evidence(self) -> DetectorEvidence:
        return DetectorEvidence.model_validate_json(self.get("/evidence"))

    def settled(self, within: float) -> None:
        """Waits until everything that was written has been read and committed; asserts that nothing was passed over."""
        administrator = Consumer({"bootstrap.servers": self.secured.bootstrap, "group.id": self.group})
        written = [TopicPartition(self.topics.name, 0)]
        try:
            wait_until(
                f"{self.name}: {self.feed.count} readings are committed",
                lambda: administrator.committed(written, 10)[0].offset >= self.feed.count,
                within,
            )
        finally:
            administrator.close()
        assert self.evidence().source.skipped == 0

    def episodes(self, closed: int) -> list[dict[str, Any]]:
        """All alerts, once so many episodes are over."""

        def read() -> list[dict[str, Any]]:
            found = [json.loads(message.value() or b"") for message in self.topics.everything(self.topics.alerts)]
            return found if sum(kind_of(alert) == "closed" for alert in found) >= closed else []

        found: list[dict[str, Any]] = wait_until(f"{self.name}: {closed} episodes are over", read, 60)
        return found


def kind_of(alert: dict[str, Any]) -> str:
    """opened, updated, closed."""
    kind: str = alert["type"]
    return kind.rpartition(".")[2]


def watched(kubectl: Kubectl, secured: Secured, name: str) -> Watched:
    """With topics made, and nothing in them."""
    topics = Topics(secured.bootstrap)
    topics.create()
    return Watched(kubectl, secured, name, topics, Feed(topics))
