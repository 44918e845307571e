"""Writes alerts and dead letters and knows when they have arrived. A record that fails is sent again until it succeeds."""

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from confluent_kafka import KafkaError, Message, Producer

from anomaly_api.assignment import Runtime
from anomaly_detector.adapters.kafka import clients
from anomaly_detector.core.records import Record

log: Final = logging.getLogger(__name__)
_TRUNCATED_BYTES: Final = 65_536
_PAUSE_SECONDS: Final = 0.5


class Writer:
    """The producer. It belongs to one thread."""

    def __init__(self, runtime: Runtime, pod: str, on_error: Callable[[KafkaError], None]) -> None:
        self._producer = Producer(clients.producer(runtime, pod) | {"error_cb": on_error})
        self._failed: list[Record] = []

    @property
    def outstanding(self) -> int:
        """Records that have not arrived yet."""
        return len(self._producer) + len(self._failed)

    @property
    def behind(self) -> bool:
        """Whether records were refused, or found no room, and must be sent again."""
        return bool(self._failed)

    def discard(self) -> None:
        """Gives up what has not arrived."""
        self._failed = []
        self._producer.purge()
        self._producer.flush(0)

    def send(self, records: list[Record], waiting: Callable[[], bool]) -> None:
        """Hands records over. While the queue is full it asks `waiting` whether to go on; what is left then is outstanding."""
        for place, record in enumerate(records):
            while not self._produce(record):
                self._producer.poll(0.1)
                if not waiting():
                    self._failed += records[place:]
                    return
        self._producer.poll(0)

    def settle(self, seconds: float) -> bool:
        """Gives what is outstanding so much time to arrive; whether all of it has."""
        again, self._failed = self._failed, []
        for place, record in enumerate(again):
            if not self._produce(record):
                self._failed += again[place:]
                break
        self._producer.flush(seconds)
        if self._failed:
            time.sleep(_PAUSE_SECONDS)  # what was refused just now would be refused again
        return self.outstanding == 0

    def _produce(self, record: Record) -> bool:
        """False: the queue is full."""

        def delivered(error: KafkaError | None, _: Message) -> None:
            if error is not None:
                self._fail(record, error)

        try:
            produce(self._producer, record, delivered)
        except BufferError:
            return False
        return True

    def _fail(self, record: Record, error: KafkaError) -> None:
        log.warning("a record for topic %s was refused and will be sent again: %s", record.topic, error.str())
        self._failed.append(shortened(record) if error.code() == KafkaError.MSG_SIZE_TOO_LARGE else record)


def produce(producer: Producer, record: Record, delivered: Callable[[KafkaError | None, Message], None] | None = None) -> None:
    """Hands a record over. Raises BufferError when the queue is full."""
    where: dict[str, Any] = {} if record.partition is None else {"partition": record.partition}
    producer.produce(
        record.topic, value=record.value, key=record.key, headers=list(record.headers), on_delivery=delivered, **where
    )


def shortened(record: Record) -> Record:
    """A record that the broker finds too large: its beginning, and how large it was."""
    if record.value is None or len(record.value) <= _TRUNCATED_BYTES:
        return record
    size = str(len(record.value)).encode()
    return replace(record, value=record.value[:_TRUNCATED_BYTES], headers=(*record.headers, ("original-size", size)))
