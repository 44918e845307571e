"""Reads labels and alerts in a thread of its own and keeps the ledger of them: whatever becomes of it, the stream is scored.

Every pod reads both topics whole, from `feedback.last` ago on. They are small, a label does not tell its entity's partition, and
thus what the pods know is the same in all of them. Nothing is committed; a pod that starts reads again.
"""

import logging
import threading
import time
from typing import Final

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from anomaly_api.assignment import Runtime
from anomaly_api.feedback import FeedbackEvidence
from anomaly_api.schema import seconds
from anomaly_detector.adapters.kafka import clients
from anomaly_detector.adapters.kafka.security import access
from anomaly_detector.core.feedback.acceptance import Acceptance
from anomaly_detector.core.feedback.ledger import MOST_IN_POD, Ledger, NotALabelError
from anomaly_detector.core.feedback.rejected import RejectedLabel

log: Final = logging.getLogger(__name__)
_AGAIN_SECONDS: Final = 5.0
_TELL_SECONDS: Final = 3.0
_LOOK_SECONDS: Final = 30.0
_ANSWER: Final = 10.0
_BATCH: Final = 500
_STOP_SECONDS: Final = 2.0


class FeedbackReader:
    """`take_accepted` and `take_rejected` are the loop's; `evidence` may be asked by any thread."""

    def __init__(self, runtime: Runtime, pod: str) -> None:
        self._runtime, self._pod = runtime, pod
        self._last = seconds(runtime.feedback_last)
        self._accepted: list[Acceptance] = []
        self._rejected: list[RejectedLabel] = []
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="feedback", daemon=True)
        self.evidence: FeedbackEvidence | None = None
        """None: not everything that was there has been read."""

    def start(self) -> None:
        """Begins to read."""
        self._thread.start()

    def stop(self) -> None:
        """Ends."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(_STOP_SECONDS)

    def take_accepted(self) -> list[Acceptance]:
        """What people have called normal since it was last asked."""
        with self._lock:
            taken, self._accepted = self._accepted, []
            return taken

    def take_rejected(self) -> list[RejectedLabel]:
        """Records since it was last asked that are no labels."""
        with self._lock:
            taken, self._rejected = self._rejected, []
            return taken

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._read()
            except (KafkaException, access.AccessError) as error:
                log.warning("labels cannot be read for now, and are tried again: %s", error)
                self._say(str(error))
            except Exception as error:  # the outer loop of this thread: scoring goes on without labels
                log.exception("reading labels failed; it is tried again")
                self._say(type(error).__name__)
            self._stop.wait(_AGAIN_SECONDS)

    def _read(self) -> None:
        """Reads both topics until something is wrong, or there are other credentials or partitions."""
        runtime = self._runtime
        known_by, ledger = access.fingerprint(runtime.kafka), Ledger(runtime.detector.source, MOST_IN_POD)
        consumer = Consumer(clients.feedback(runtime, self._pod), logger=log)
        try:
            places = self._places(consumer)
            consumer.assign(places)
            unread = {(place.topic, place.partition) for place in places}
            looked, told, changed = time.monotonic(), 0.0, True
            while not self._stop.is_set():
                for message in consumer.consume(_BATCH, timeout=0.5):
                    changed |= self._take(message, ledger, unread)
                now = time.monotonic()
                if not unread and (changed or now - told > _LOOK_SECONDS) and now - told > _TELL_SECONDS:
                    ledger.forget_before(round((time.time() - self._last) * 1000))
                    self.evidence, told, changed = ledger.evidence(), now, False
                if now - looked > _LOOK_SECONDS:
                    looked = now
                    if access.fingerprint(runtime.kafka) != known_by or self._partitions(consumer) != len(places):
                        return
        finally:
            consumer.close()

    def _places(self, consumer: Consumer) -> list[TopicPartition]:
        """Where to begin, in each partition of both topics. Raises KafkaException where there is no topic of labels."""
        since = round((time.time() - self._last) * 1000)
        wanted = [
            TopicPartition(topic, partition, since) for topic, partitions in self._topics(consumer) for partition in partitions
        ]
        found: list[TopicPartition] = consumer.offsets_for_times(wanted, timeout=_ANSWER)  # the end, where nothing is newer
        return found

    def _partitions(self, consumer: Consumer) -> int:
        return sum(len(partitions) for _, partitions in self._topics(consumer))

    def _topics(self, consumer: Consumer) -> list[tuple[str, list[int]]]:
        found = []
        for topic in (self._runtime.alerts_topic, self._runtime.labels_topic):
            told = consumer.list_topics(topic, timeout=_ANSWER).topics[topic]
            if told.error is not None:
                raise KafkaException(told.error)
            found.append((topic, sorted(told.partitions)))
        return found

    def _take(self, message: Message, ledger: Ledger, unread: set[tuple[str, int]]) -> bool:
        """Whether something new is known."""
        error, topic, partition = message.error(), message.topic() or "", int(message.partition() or 0)
        if error is not None:
            if error.code() == KafkaError._PARTITION_EOF:
                unread.discard((topic, partition))
                return False
            raise KafkaException(error)
        value, at_ms = _bytes(message.value()), message.timestamp()[1]
        if topic == self._runtime.alerts_topic:
            ledger.alert(value, at_ms)
            return True
        try:
            accepted = Acceptance.of(ledger.label(value, at_ms))
        except NotALabelError as wrong:
            key = _bytes(message.key())
            with self._lock:
                self._rejected.append(RejectedLabel(partition, int(message.offset() or 0), key, value, at_ms, str(wrong)))
            return True
        if accepted is not None:
            with self._lock:
                self._accepted.append(accepted)
        return True

    def _say(self, message: str) -> None:
        known = self.evidence or FeedbackEvidence()
        self.evidence = known.model_copy(update={"message": f"{self._runtime.labels_topic} cannot be read: {message}"})


def _bytes(content: str | bytes | None) -> bytes | None:
    return content.encode() if isinstance(content, str) else content
