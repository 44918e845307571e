"""Reads a topic from a moment on, for people: to its end as it is now, or on and on. It joins no group and commits nothing."""

from collections.abc import Iterator
from typing import Final

from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, Consumer, KafkaError, KafkaException, Message, TopicPartition

from anomaly_api.assignment import Runtime
from anomaly_detector.adapters.kafka import clients

_SECONDS: Final = 15.0
_AT_ONCE: Final = 500
_REFUSED: Final = (KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.GROUP_AUTHORIZATION_FAILED)


class TopicError(Exception):
    """The broker refused or did not answer; the message says what and what to do."""


def read(
    runtime: Runtime, topic: str, since_ms: int | None, until_ms: int | None = None, *, follow: bool = False
) -> Iterator[Message | None]:
    """Messages of all partitions, those of one in their order; None, once, when all that was there has been read.

    `since_ms`, `until_ms`: by the messages' timestamps; later ones may come, but what is not read ends there. `follow`: goes on
    with what comes. Raises TopicError.
    """
    consumer = Consumer(clients.feedback(runtime, "kubectl"))
    try:
        yield from messages(consumer, topic, since_ms, until_ms, follow=follow)
    except KafkaException as failure:
        raise _explained(failure, runtime, topic) from failure
    finally:
        consumer.close()


def messages(
    consumer: Consumer, topic: str, since_ms: int | None, until_ms: int | None = None, *, follow: bool = False
) -> Iterator[Message | None]:
    """What `read` gives, by a consumer of the caller's. Raises TopicError where nothing comes, and KafkaException."""
    places = _places(consumer, topic, since_ms)
    consumer.assign(places)
    unread = {place.partition for place in places}
    while unread:
        first = consumer.poll(_SECONDS)
        if first is None:
            raise TopicError(f"nothing came from topic {topic} within {_SECONDS:.0f} s, not even its end: try again")
        for message in (first, *consumer.consume(_AT_ONCE, 0)):
            if _over(message, until_ms):
                unread.discard(message.partition() or 0)
            elif (message.partition() or 0) in unread or follow:
                yield message
    yield None
    while follow:
        for message in consumer.consume(_AT_ONCE, 0.5):
            if not _over(message, None):
                yield message


def _over(message: Message, until_ms: int | None) -> bool:
    """Whether a partition ends here. Raises KafkaException."""
    error = message.error()
    if error is None:
        return until_ms is not None and message.timestamp()[1] > until_ms
    if error.code() == KafkaError._PARTITION_EOF:
        return True
    raise KafkaException(error)


def _places(consumer: Consumer, topic: str, since_ms: int | None) -> list[TopicPartition]:
    found = consumer.list_topics(topic, timeout=_SECONDS).topics[topic]
    if found.error is not None:
        raise KafkaException(found.error)
    if since_ms is None:
        return [TopicPartition(topic, number, OFFSET_BEGINNING) for number in found.partitions]
    asked = [TopicPartition(topic, number, since_ms) for number in found.partitions]
    return [
        TopicPartition(topic, each.partition, each.offset if each.offset >= 0 else OFFSET_END)
        for each in consumer.offsets_for_times(asked, timeout=_SECONDS)
    ]


def _explained(failure: KafkaException, runtime: Runtime, topic: str) -> TopicError:
    error = clients.error_of(failure)
    servers = runtime.kafka.bootstrap_servers
    if error.code() in _REFUSED:
        return TopicError(f"{servers} refuses access: {error.str()}; the detector's user needs Read on the topic {topic}")
    return TopicError(f"{servers}: topic {topic}: {error.str()}")
