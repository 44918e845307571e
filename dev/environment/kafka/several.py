"""Three brokers that are one Kafka, on the loopback: replicated topics, leaders and coordinators that move when one is killed."""

from __future__ import annotations

import re
import time
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from dev.environment import ports
from dev.environment.kafka import broker, jars
from dev.environment.kafka.broker import Broker, Listener
from dev.environment.supervision import group
from dev.environment.supervision.plan import Component, Plan, State
from dev.progress import Tell, silent

COUNT = 3
_SETTLE_SECONDS = 120.0
_REPLICATED = {
    "default.replication.factor": str(COUNT),
    "min.insync.replicas": "2",
    "offsets.topic.replication.factor": str(COUNT),
    "transaction.state.log.replication.factor": str(COUNT),
    "transaction.state.log.min.isr": "2",
}


@dataclass(frozen=True)
class Several:
    """Each broker can be killed and started again; two of them keep everything going."""

    brokers: tuple[Broker, ...]

    @property
    def bootstrap(self) -> str:
        """Of all of them."""
        return ",".join(each.bootstrap for each in self.brokers)

    def await_led_without(self, place: int) -> None:
        """Until every partition is led by another one than this. Raises TimeoutError."""
        self._await(lambda leader, _: leader not in (-1, place + 1))

    def await_whole(self) -> None:
        """Until every partition has all its replicas in sync. Raises TimeoutError."""
        self._await(lambda leader, in_sync: leader != -1 and in_sync == COUNT)

    def _await(self, holds: Callable[[int, int], bool]) -> None:
        admin = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 2})
        deadline = time.monotonic() + _SETTLE_SECONDS
        while time.monotonic() < deadline:
            try:
                topics = admin.list_topics(timeout=10).topics.values()
            except KafkaException:
                continue
            partitions = [partition for topic in topics for partition in topic.partitions.values()]
            if partitions and all(holds(each.leader, len(each.isrs)) for each in partitions):
                return
            time.sleep(0.1)
        raise TimeoutError(f"the partitions did not settle within {_SETTLE_SECONDS:.0f} s")


@contextmanager
def running(name: str, tell: Tell = silent, overrides: Mapping[str, str] | None = None) -> Iterator[Several]:
    """For as long as the context and this process live."""
    state = State.of(name)
    programs = jars.fetched(tell)
    free = ports.free(2 * COUNT)
    addresses, controllers = [f"127.0.0.1:{port}" for port in free[:COUNT]], free[COUNT:]
    voters = ",".join(f"{place + 1}@127.0.0.1:{port}" for place, port in enumerate(controllers))
    shared = {**_REPLICATED, "controller.quorum.voters": voters, **(overrides or {})}

    def plan() -> Plan:
        return Plan(
            tuple(_component(programs, state, place, addresses[place], controllers[place], shared) for place in range(COUNT))
        )

    try:
        group.start(state, plan, leashed=True)
        group.wait_ready(state, tell)
        several = Several(tuple(Broker(state, address, _name(place)) for place, address in enumerate(addresses)))
        _await_all(several)
        yield several
    finally:
        group.down(state)


def _name(place: int) -> str:
    return f"{broker.NAME}-{place + 1}"


def _component(
    programs: jars.Jars, state: State, place: int, address: str, controller: int, shared: Mapping[str, str]
) -> Component:
    folder = state.folder / _name(place)
    settings = {**shared, "node.id": str(place + 1)}
    made = broker.component(programs, folder, [Listener("PLAINTEXT", address, address)], controller, settings)
    _number(folder / "data" / "meta.properties", place + 1)
    # They need each other to take clients: each is ready for the next one when its controller listens.
    return replace(made, name=_name(place), ready=f"tcp://127.0.0.1:{controller}")


def _number(properties: Path, node: int) -> None:
    """The store was formatted for one broker alone."""
    identity = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    text = re.sub(r"(?m)^node\.id=.*$", f"node.id={node}", properties.read_text())
    properties.write_text(re.sub(r"(?m)^directory\.id=.*$", f"directory.id={identity}", text))


def _await_all(several: Several) -> None:
    admin = AdminClient({"bootstrap.servers": several.bootstrap, "log_level": 2})
    deadline = time.monotonic() + _SETTLE_SECONDS
    while time.monotonic() < deadline:
        try:
            if len(admin.list_topics(timeout=5).brokers) == COUNT:
                return
        except KafkaException:
            pass
        time.sleep(0.1)
    raise TimeoutError(f"the brokers did not find each other within {_SETTLE_SECONDS:.0f} s")
