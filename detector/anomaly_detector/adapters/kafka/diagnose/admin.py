"""Asks a cluster what there is, through a client that is given up when a question stays open."""

from collections.abc import Mapping
from concurrent.futures import TimeoutError as Unanswered
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

_NEVER_SECONDS: Final = 600.0


class AdminQueries:
    """Its calls belong to one thread."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        """Raises KafkaException where the settings make no sense to librdkafka."""
        self._settings = dict(settings)
        self._client: AdminClient | None = AdminClient(self._settings)

    @property
    def client(self) -> AdminClient:
        """For questions about topics. Another one, when the last one has been given up."""
        if self._client is None:
            self._client = AdminClient(self._settings)
        return self._client

    def group(self, name: str, seconds: float, *, rights: bool = False) -> Any:
        """What the coordinator says of a consumer group, and with `rights`, of what we may do with it. Raises KafkaException.

        The client never finds that the time is over; if it is, the client is given up, and its question with it. librdkafka 2.16
        ends the process when a coordinator can be reached after all that a question has waited for too long
        (rd_kafka_admin_coord_request takes its reference away twice).
        """
        options: Any = {"include_authorized_operations": rights, "request_timeout": _NEVER_SECONDS}
        asked: dict[str, Any] = self.client.describe_consumer_groups([name], **options)
        try:
            return asked[name].result(seconds)
        except Unanswered:
            self._client = None
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT)) from None
