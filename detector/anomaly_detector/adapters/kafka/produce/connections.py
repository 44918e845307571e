"""The clients of one stay in the group. Whoever makes them before there is anything to ask finds them connected by then.

They belong to those who use them: `Reader`, the two ways to write, `Recovery`.
"""

from collections.abc import Callable

from confluent_kafka import Consumer, KafkaError
from confluent_kafka.admin import AdminClient

from anomaly_api.assignment import Runtime
from anomaly_detector.adapters.kafka import clients
from anomaly_detector.adapters.kafka.produce.transactional import Transactional
from anomaly_detector.adapters.kafka.security import access


class Connections:
    """Clients of one stay in the group, with the credentials of the moment at which they are made."""

    def __init__(self, runtime: Runtime, pod: str, listener: Callable[[str], Callable[[KafkaError], None]]) -> None:
        """`listener` gives, for a fingerprint of credentials, who hears of the errors of clients with them.

        Raises AccessError, and KafkaException where the settings make no sense to librdkafka.
        """
        self._runtime = runtime
        self.pod = pod
        """The name by which the group and the coordinator of transactions know it."""
        self.access = access.fingerprint(runtime.kafka)
        """Fingerprint of their credentials."""
        self.on_error = listener(self.access)
        errors = {"error_cb": self.on_error}
        self.member = Consumer(clients.member(runtime, pod) | errors)
        """It finds the group's coordinator: joining takes 60 ms less then."""
        self.transactions = self.producer()
        self.recovery = Consumer(clients.recovery(runtime, pod) | errors)
        self.looking = AdminClient(clients.looking(runtime, pod, create=False) | errors)

    def producer(self) -> Transactional:
        """Raises AccessError and KafkaException, too."""
        return Transactional(clients.transactional(self._runtime, self.pod), self.on_error)

    def close(self) -> None:
        """Of those that nobody has used."""
        self.member.close()
        self.recovery.close()
