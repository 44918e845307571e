"""Writes alerts and dead letters and knows when they have arrived. A record that fails is sent again until it succeeds."""

import logging
import math
import time
from collections.abc import Callable, Iterable
from typing import Any, Final, cast

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from anomaly_api.assignment import Runtime
from anomaly_detector.adapters.kafka import clients
from anomaly_detector.core.dead_letters import OFFSET, PARTITION, shortened, weight
from anomaly_detector.core.records import Record

log: Final = logging.getLogger(__name__)
_PAUSE_SECONDS: Final = 0.5
_LEARNT_SECONDS: Final = 60.0
_A_LITTLE: Final = 0.9


class Sizes:
    """What the broker takes, learnt from what it refused: so that not every dead letter is refused once before it is cut.

    A whole batch is refused for its size, so only the largest records of what was refused are cut, and it is tried again.
    """

    def __init__(self) -> None:
        self._limit = math.inf
        self._until = 0.0

    def fitting(self, record: Record) -> Record | None:
        """The record, cut where that is needed and allowed; None: not even its reason finds room."""
        if self._limit == math.inf or not record.cuttable:
            return record
        if time.monotonic() >= self._until:
            self._limit = math.inf  # it may have been raised
        cut: Record | None = record
        while cut is not None and weight(cut) >= self._limit:
            cut = shortened(cut)
        if cut is None:
            headers = dict(record.headers)
            log.warning(
                "the topic %s takes no record of %d bytes: the dead letter of partition %s, offset %s is left out; "
                "raise the topic's max.message.bytes",
                record.topic, self._limit, *((headers.get(name) or b"").decode() for name in (PARTITION, OFFSET)),
            )  # fmt: skip
        return cut

    def refused(self, records: Iterable[Record]) -> None:
        """These were too large, alone or together."""
        heaviest = max((weight(record) for record in records if record.cuttable), default=None)
        if heaviest is not None:
            self._limit = min(self._limit, heaviest * _A_LITTLE)
            self._until = time.monotonic() + _LEARNT_SECONDS


class Writer:
    """The producer. It belongs to one thread."""

    def __init__(self, runtime: Runtime, pod: str, on_error: Callable[[KafkaError], None]) -> None:
        self._producer = Producer(clients.producer(runtime, pod) | {"error_cb": on_error})
        self._failed: list[Record] = []
        self._sizes = Sizes()

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

    def _produce(self, asked: Record) -> bool:
        """False: the queue is full."""
        record = self._sizes.fitting(asked)
        if record is None:
            return True

        def delivered(error: KafkaError | None, _: Message) -> None:
            if error is not None:
                self._fail(record, error)

        try:
            produce(self._producer, record, delivered)
        except BufferError:
            return False
        except KafkaException as failure:
            error = clients.error_of(failure)
            if error.code() != KafkaError.MSG_SIZE_TOO_LARGE:
                raise
            self._fail(record, error)
        return True

    def _fail(self, record: Record, error: KafkaError) -> None:
        if error.code() == KafkaError.MSG_SIZE_TOO_LARGE and record.cuttable:
            self._sizes.refused([record])
        else:
            log.warning("a record for topic %s was refused and will be sent again: %s", record.topic, error.str())
        self._failed.append(record)


def produce(
    producer: Producer,
    record: Record,
    delivered: Callable[[KafkaError | None, Message], None] | None = None,
    timestamp_ms: int = -1,
) -> None:
    """Hands a record over, with the present as its time unless told another. Raises BufferError when the queue is full."""
    more: dict[str, Any] = {} if record.partition is None else {"partition": record.partition}
    if timestamp_ms >= 0:
        more["timestamp"] = timestamp_ms
    producer.produce(
        record.topic, value=record.value, key=record.key, headers=cast(Any, list(record.headers)), on_delivery=delivered, **more
    )
