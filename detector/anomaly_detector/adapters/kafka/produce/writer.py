"""Writes alerts and dead letters and knows when they have arrived. A record that fails is sent again until it succeeds."""

import logging
import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from anomaly_api.alert import UndeliverableReason
from anomaly_api.assignment import Runtime
from anomaly_detector.adapters.kafka import clients
from anomaly_detector.core.decode.dead_letters import OFFSET, PARTITION, shortened, weight
from anomaly_detector.core.state.records import Record

log: Final = logging.getLogger(__name__)
_PAUSE_SECONDS: Final = 0.5
_SAY_SECONDS: Final = 5.0
_LEARNT_SECONDS: Final = 60.0
_A_LITTLE: Final = 0.9


class Terms:
    """Limits of the dead-letter topic, learnt from refusals, so that not every record is refused once.

    A whole batch is refused for one record: only the largest of what was refused are cut, and it is tried again. A compacted
    topic takes nothing without a key. What cannot be written in any form is left out, counted, and said in the log.
    """

    REFUSALS: Final = (KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_RECORD)

    def __init__(self) -> None:
        self._limit = math.inf
        self._keyless = True
        self._until = math.inf
        self._silent = 0
        """Records that were left out since it was last said."""
        self._say_again = 0.0
        self.undeliverable: Counter[UndeliverableReason] = Counter()
        """Records that were left out; whoever asks for a record once more sets it back."""

    @property
    def learnt(self) -> bool:
        """Whether there is anything that a record may not suit."""
        return self._until < math.inf

    def suiting(self, record: Record) -> Record | None:
        """The record, cut where that is needed and allowed; None: it is left out."""
        if self._until == math.inf or not record.cuttable:
            return record
        if time.monotonic() >= self._until:
            self._limit, self._keyless, self._until = math.inf, True, math.inf  # the topic may have been altered
        if record.key is None and not self._keyless:
            why = "takes nothing without a key: it is compacted; set its cleanup.policy to delete"
            self._give_up_on(record, UndeliverableReason.KEY_MISSING, why)
            return None
        cut: Record | None = record
        while cut is not None and weight(cut) >= self._limit:
            cut = shortened(cut)
        if cut is None:
            why = f"takes no record of {self._limit:.0f} bytes: raise its max.message.bytes"
            self._give_up_on(record, UndeliverableReason.TOO_LARGE, why)
        return cut

    def refused(self, records: Iterable[Record], code: int) -> None:
        """These were refused, alone or together."""
        letters = [record for record in records if record.cuttable]
        if code == KafkaError.INVALID_RECORD and any(record.key is None for record in letters):
            self._keyless = False
        elif code == KafkaError.MSG_SIZE_TOO_LARGE and letters:
            self._limit = min(self._limit, max(map(weight, letters)) * _A_LITTLE)
        else:
            return
        self._until = time.monotonic() + _LEARNT_SECONDS

    def _give_up_on(self, record: Record, reason: UndeliverableReason, why: str) -> None:
        self.undeliverable[reason] += 1
        self._silent += 1
        if time.monotonic() < self._say_again:
            return
        headers = dict(record.headers)
        partition, offset = ((headers.get(name) or b"").decode() for name in (PARTITION, OFFSET))
        log.warning(
            "the dead letter of partition %s, offset %s is left out: the topic %s %s (the last of %d since it was last said)",
            partition, offset, record.topic, why, self._silent,
        )  # fmt: skip
        self._silent, self._say_again = 0, time.monotonic() + _SAY_SECONDS


class Writer:
    """The producer. It belongs to one thread."""

    def __init__(self, runtime: Runtime, pod: str, on_error: Callable[[KafkaError], None]) -> None:
        self._producer = Producer(clients.producer(runtime, pod) | {"error_cb": on_error})
        self._failed: list[Record] = []
        self._refused = 0
        """Times that a record was refused since it was last said."""
        self._say_again = 0.0
        self._terms = Terms()

    @property
    def outstanding(self) -> int:
        """Records that have not arrived yet."""
        return len(self._producer) + len(self._failed)

    @property
    def undeliverable(self) -> Mapping[UndeliverableReason, int]:
        """Dead letters that were left out."""
        return self._terms.undeliverable

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
        record = self._terms.suiting(asked)
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
            self._fail(record, clients.error_of(failure))  # a topic that is gone is refused at once, as is what is too large
        return True

    def _fail(self, record: Record, error: KafkaError) -> None:
        if error.code() in Terms.REFUSALS and record.cuttable:
            self._terms.refused([record], error.code())
        else:
            self._say(record.topic, error)
        self._failed.append(record)

    def _say(self, topic: str, error: KafkaError) -> None:
        """Now and then: what is refused is refused again, and there may be thousands of it."""
        self._refused += 1
        if time.monotonic() >= self._say_again:
            log.warning(
                "%d records were refused and will be sent again, the last for topic %s: %s", self._refused, topic, error.str()
            )
            self._refused, self._say_again = 0, time.monotonic() + _SAY_SECONDS


def produce(
    producer: Producer,
    record: Record,
    delivered: Callable[[KafkaError | None, Message], None] | None = None,
    timestamp_ms: int = -1,
) -> None:
    """Hands a record over, with the present as its time unless told another. Raises BufferError when the queue is full."""
    topic, key, value, headers, partition, _ = record
    more: dict[str, Any] = {"on_delivery": delivered} if delivered else {}
    if headers:
        more["headers"] = list(headers)
    if partition is not None:
        more["partition"] = partition
    if timestamp_ms >= 0:
        more["timestamp"] = timestamp_ms
    producer.produce(topic, value, key, **more)
