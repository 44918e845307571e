"""Aborts transactions that pods which are gone left open: until then the positions of their partitions are withheld.

    pod-a   begin . produce . offsets . [killed]
    pod-b                                  assigned . . . . . . . . . . . . . . . . . . . . . recovered
                                           the broker aborts what is open, 10 to 20 s after it began; this does, at once

Under its own name a pod that comes back ends what it had left (`init_transactions`). One of another name can do the same for it,
once the group has taken it for dead. Who may have left something is known from the positions: whoever commits one signs it.
"""

import logging
from collections.abc import Iterable
from typing import Final

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

from anomaly_api.assignment import Runtime
from anomaly_detector.adapters.kafka import clients
from anomaly_detector.adapters.kafka.diagnose.admin import AdminQueries
from anomaly_detector.adapters.kafka.security.access import AccessError

log: Final = logging.getLogger(__name__)
_ASK_SECONDS: Final = 3.0


class HangingTransactions:
    """Finds and aborts the hanging transactions of other pods. An instance belongs to one thread."""

    def __init__(self, runtime: Runtime, pod: str) -> None:
        """`pod` is the name that the group knows us by."""
        self._runtime, self._pod = runtime, pod

    def end(self, partitions: Iterable[int]) -> None:
        """Ends what may hold these partitions up. Where that cannot be seen, nothing happens: whoever waits asks again."""
        try:
            for name in sorted(self._gone(self._signers(partitions))):
                self._end(name)
        except (KafkaException, AccessError) as failure:
            log.debug("whether a pod that is gone holds partitions up cannot be seen: %s", failure)

    def _signers(self, partitions: Iterable[int]) -> set[str]:
        """Returns the names of the pods that committed the positions of these partitions."""
        settings = clients.recovery(self._runtime, self._pod) | {"isolation.level": "read_uncommitted"}
        consumer = Consumer(settings)
        try:
            places = [TopicPartition(self._runtime.kafka.topic, number) for number in partitions]
            return {found.metadata for found in consumer.committed(places, _ASK_SECONDS) if found.metadata}
        finally:
            consumer.close()

    def _gone(self, names: set[str]) -> set[str]:
        """Returns the pods that the group has lost, provided that it knows us: a coordinator that just moved knows nobody."""
        if not names - {self._pod}:
            return set()
        found = AdminQueries(clients.looking(self._runtime, self._pod, create=False)).group(self._runtime.group_id, _ASK_SECONDS)
        members = {member.client_id for member in found.members}
        return names - members if self._pod in members else set()

    def _end(self, name: str) -> None:
        Producer(clients.transactional(self._runtime, name) | {"client.id": self._pod}).init_transactions(_ASK_SECONDS)
        log.warning("%s is gone from the group: what it may have left open is aborted", name)
