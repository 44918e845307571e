"""Whether every partition of the source has an owner in the group, and who its members are. It only looks; the service acts.

A cooperative rebalance takes partitions from one member first and gives them to another in a second round. When the members and
the coordinator die in between, all of them come back to a group that the coordinator remembers as stable after the first round:
static members are given what they had, without a rebalance, and what had been taken from one is nobody's, for as long as nobody
joins or leaves.
"""

import time
from collections.abc import Iterable
from typing import Final

from confluent_kafka import ConsumerGroupState
from msgspec import Struct

from anomaly_api.assignment import Runtime
from anomaly_detector.adapters.kafka import clients
from anomaly_detector.adapters.kafka.diagnose.admin import AdminQueries

_LASTING_SECONDS: Final = 15.0
"""Between two rounds of a rebalance, partitions are nobody's for about a second; ones that the topic has got, for ten."""


class UnassignedPartitions(Struct, frozen=True):
    """Partitions that nobody owns, though the group is at rest."""

    partitions: frozenset[int]
    by: str
    """The member that is to do something about it: one is enough."""
    since: float
    """When it was first seen so; any clock that only rises, seconds."""

    def lasting(self, now: float) -> bool:
        """Whether it is no part of a rebalance."""
        return now - self.since >= _LASTING_SECONDS


class Group(Struct, frozen=True):
    """The group as its coordinator has it."""

    members: frozenset[str] | None = None
    """By the names of their clients; None: nobody can tell, or it is not at rest."""
    neglected: UnassignedPartitions | None = None

    def lacks(self, pod: str) -> bool:
        """Whether it is known not to have a member of this name."""
        return self.members is not None and pod not in self.members


def group(queries: AdminQueries, runtime: Runtime, count: int, before: Group, seconds: float) -> Group:
    """How it is with `count` partitions, given how it was `before`. Raises KafkaException."""
    found = queries.group(runtime.group_id, seconds)
    if found.state is not ConsumerGroupState.STABLE or not found.members:
        return Group()
    members = frozenset(member.client_id for member in found.members)
    if not clients.static(runtime):
        return Group(members)  # there, the coordinator sees to the partitions
    owned = (place for member in found.members for place in member.assignment.topic_partitions)
    nobodys = _neglected(
        {place.partition for place in owned if place.topic == runtime.kafka.topic},
        count,
        [member.group_instance_id or member.client_id for member in found.members],
        before.neglected,
    )
    return Group(members, nobodys)


def _neglected(
    owned: set[int], count: int, members: Iterable[str], before: UnassignedPartitions | None
) -> UnassignedPartitions | None:
    nobodys = frozenset(range(count)) - owned
    if not nobodys:
        return None
    since = before.since if before is not None and before.partitions == nobodys else time.monotonic()
    return UnassignedPartitions(nobodys, min(members), since)
