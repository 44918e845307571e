"""Consumer groups in tests: orders with other timeouts or protocols, and what a broker says of a group."""

from __future__ import annotations

import time
from collections.abc import Callable

from confluent_kafka import ConsumerGroupState, ConsumerGroupType
from confluent_kafka.admin import AdminClient

from anomaly_api.assignment import Runtime
from anomaly_api.source import GroupProtocol
from anomaly_detector.adapters.kafka.diagnose import unassigned
from anomaly_detector.adapters.kafka.diagnose.admin import AdminQueries
from tests.stream.pods import Topics, runtime


def hasty(topics: Topics, **properties: str) -> Runtime:
    """With timeouts of the client's; dots are written as underscores."""
    order = runtime(topics)
    changed = {name.replace("_", "."): value for name, value in properties.items()}
    return order.model_copy(update={"kafka": order.kafka.model_copy(update={"properties": changed})})


def speaking(topics: Topics, protocol: GroupProtocol) -> Runtime:
    order = runtime(topics)
    return order.model_copy(update={"kafka": order.kafka.model_copy(update={"group_protocol": protocol})})


def group(topics: Topics) -> tuple[ConsumerGroupType, list[str], int]:
    """Its type, the names of its members, and how many partitions they have in all."""
    admin = AdminClient({"bootstrap.servers": topics.bootstrap})
    name = runtime(topics).group_id
    found = admin.describe_consumer_groups([name])[name].result(30)
    assert found.state is not ConsumerGroupState.DEAD, "there is no such group"
    members = sorted(member.client_id for member in found.members)
    return found.type, members, sum(len(member.assignment.topic_partitions) for member in found.members)


def known(asker: AdminQueries, order: Runtime) -> frozenset[str] | None:
    """The members, as a pod sees them."""
    return unassigned.group(asker, order, 1, unassigned.Group(), 10.0).members


def eventually(holds: Callable[[], object], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not come so"
        time.sleep(0.02)
