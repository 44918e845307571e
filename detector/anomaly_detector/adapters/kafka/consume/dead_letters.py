"""Reads the dead-letter topic to its end, and puts messages back into the source topic, each once.

That a message was put back is written into the dead-letter topic, in the transaction that writes the message. So whoever does it
again, or goes on after a crash, finds what is done; the record goes with the dead letter when the topic's retention takes them.
Of two that do it at once the second fences the first.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Final, NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer

from anomaly_api.assignment import Runtime
from anomaly_detector.adapters.kafka import clients
from anomaly_detector.adapters.kafka.consume import topic_reader
from anomaly_detector.adapters.kafka.consume.topic_reader import TopicError
from anomaly_detector.adapters.kafka.produce.writer import produce
from anomaly_detector.core.columns import Header
from anomaly_detector.core.decode import dead_letter_lines
from anomaly_detector.core.decode.dead_letter_lines import Line
from anomaly_detector.core.decode.dead_letters import REPLAY_OF, Origin, put_back
from anomaly_detector.core.state.records import Record

_NAME: Final = "replay"
_SECONDS: Final = 15.0


class LettersError(Exception):
    """The broker refused or did not answer; the message says what and what to do."""


class Correction(NamedTuple):
    """A message that is to be put back."""

    source: Origin
    letter: int
    """Partition of its dead letter."""
    key: bytes | None
    value: bytes | None
    headers: Sequence[Header]
    moved: bool
    """Whether its key is another one: then the key decides on its partition, else it is the one it was in."""
    timestamp_ms: int
    """-1: it has none."""


def read(runtime: Runtime, since_ms: int | None = None) -> Iterator[Line]:
    """Dead letters of the source topic, and what was put back, up to the end of the topic as it is now.

    Those of one partition in their order. `since_ms`: those that were written later. Raises LettersError.
    """
    consumer = Consumer(clients.recovery(runtime, _NAME))  # it names the group that it may read, and does not join it
    try:
        for message in topic_reader.messages(consumer, runtime.dead_letter_topic, since_ms):
            found = _line(message) if message is not None else None
            if found is not None and found.origin.topic == runtime.kafka.topic:
                yield found
    except TopicError as silent:
        raise LettersError(str(silent)) from silent
    except KafkaException as failure:
        raise _explained(failure, runtime) from failure
    finally:
        consumer.close()


def already(runtime: Runtime) -> set[Origin]:
    """Returns which dead letters were put back already. Raises LettersError."""
    return {found.source for found in read(runtime) if found.put_back}


class Replay:
    """Writes. Until it is there, another one may still be writing; from then on, none can."""

    def __init__(self, runtime: Runtime, partitioner: str) -> None:
        """`partitioner`: librdkafka's name for how producers choose a partition by key. Raises LettersError."""
        self._runtime = runtime
        self._producer = Producer(clients.transactional(runtime, _NAME) | {"partitioner": partitioner})
        try:
            self._producer.init_transactions(_SECONDS)
        except KafkaException as failure:
            raise _explained(failure, runtime) from failure

    def write(self, corrections: Sequence[Correction]) -> None:
        """All of them or none. Raises LettersError."""
        try:
            self._producer.begin_transaction()
            for each in corrections:
                self._write(each)
            self._producer.commit_transaction(_SECONDS)
        except (KafkaException, BufferError) as failure:
            explained = _explained(failure, self._runtime)
            with suppress(KafkaException):  # then the coordinator aborts it when its time is over
                self._producer.abort_transaction(_SECONDS)
            raise explained from failure

    def _write(self, correction: Correction) -> None:
        runtime, source = self._runtime, correction.source
        headers = (*correction.headers, (REPLAY_OF, str(source).encode()))
        where = None if correction.moved else source.partition
        produce(
            self._producer,
            Record(runtime.kafka.topic, correction.key, correction.value, headers, where),
            timestamp_ms=correction.timestamp_ms,
        )
        produce(self._producer, Record(runtime.dead_letter_topic, None, None, put_back(source), correction.letter))


def _line(message: Message) -> Line | None:
    partition, offset = message.partition(), message.offset()
    assert partition is not None, "it was read"
    assert offset is not None, "it was read"
    try:
        headers = message.headers() or []
    except UnicodeDecodeError:
        return None  # not ours
    key = message.key()
    return dead_letter_lines.line(partition, offset, key.encode() if isinstance(key, str) else key, message.value(), headers)


def _explained(failure: Exception, runtime: Runtime) -> LettersError:
    error = clients.error_of(failure) if isinstance(failure, KafkaException) else None
    said = error.str() if error else str(failure)
    servers = runtime.kafka.bootstrap_servers
    if error and error.fatal():
        return LettersError(f"another replay has begun, and this one ends: {said}; run it again when that one is done")
    if error and error.code() in (KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED):
        return LettersError(
            f"{servers} refuses access: {said}; to put messages back the detector's user needs Write on the topics "
            f"{runtime.kafka.topic} and {runtime.dead_letter_topic}, Read on {runtime.dead_letter_topic}, and Write on the "
            f"transactional id {runtime.group_id}.{_NAME}"
        )
    return LettersError(f"{servers}: {said}")
