"""Where schedules are played: a broker that may be killed, and links to it that may fail. One at a time uses it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from dev.kafka import broker, network
from dev.kafka.broker import Broker
from dev.kafka.network import Link
from dev.progress import Tell, silent
from dev.torture.schedule import MOST_MEMBERS

OVERRIDES = {
    "group.min.session.timeout.ms": "500",  # a zombie within seconds
    "group.consumer.min.session.timeout.ms": "1500",
    "group.consumer.session.timeout.ms": "1500",
    "group.consumer.min.heartbeat.interval.ms": "300",
    "group.consumer.heartbeat.interval.ms": "300",
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "500",
}


@dataclass(frozen=True)
class Ground:
    """Pods reach the broker through the links; whoever looks on reaches it directly."""

    broker: Broker
    links: Sequence[Link]


@contextmanager
def ground(name: str, tell: Tell = silent) -> Iterator[Ground]:
    """For as long as the context and this process live."""
    doors = network.listeners(MOST_MEMBERS)
    with broker.running(name, tell, OVERRIDES, doors) as running, network.links(doors) as links:
        yield Ground(running, links)
