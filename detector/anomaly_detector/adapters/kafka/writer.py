"""Writes alerts and dead letters and knows when they have arrived. A record that fails is sent again until it succeeds."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from confluent_kafka import KafkaError, Message, Producer

from anomaly_api.assignment import Runtime
from anomaly_detector.adapters.kafka import clients

log: Final = logging.getLogger(__name__)
_TRUNCATED_BYTES: Final = 65_536
_PAUSE_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True)
class Record:
    """A record to be written."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()


class Writer:
    """The producer. It belongs to one thread."""

    def __init__(self, runtime: Runtime, pod: str, on_error: Callable[[KafkaError], None]) -> None:
        self._producer = Producer(clients.producer(runtime, pod) | {"error_cb": on_error})
        self._failed: list[Record] = []

    @property
    def outstanding(self) -> int:
        """Records that have not arrived yet."""
        return len(self._producer) + len(self._failed)

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
            self._producer.produce(
                record.topic, value=record.value, key=record.key, headers=list(record.headers), on_delivery=delivered
            )
        except BufferError:
            return False
        return True

    def _fail(self, record: Record, error: KafkaError) -> None:
        log.warning("a record for topic %s was refused and will be sent again: %s", record.topic, error.str())
        if error.code() == KafkaError.MSG_SIZE_TOO_LARGE and record.value is not None and len(record.value) > _TRUNCATED_BYTES:
            size = str(len(record.value)).encode()
            record = replace(record, value=record.value[:_TRUNCATED_BYTES], headers=(*record.headers, ("original-size", size)))
        self._failed.append(record)
