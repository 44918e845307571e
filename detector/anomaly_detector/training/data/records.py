"""Reading what there is of a topic beside the readings: alerts and labels. It waits for nobody: what cannot be read is said."""

import logging
import time
from collections.abc import Callable
from typing import Final

from confluent_kafka import OFFSET_END, Consumer, KafkaError, KafkaException, Message, TopicPartition

from anomaly_api.source import KafkaSource
from anomaly_detector.adapters.kafka.clients import error_of
from anomaly_detector.adapters.kafka.security.access import AccessError
from anomaly_detector.training.data.topic import consumer_settings

_BATCH: Final = 2000
_ANSWER: Final = 15.0
_SILENT_SECONDS: Final = 30.0

log = logging.getLogger(__name__)


def read_records(kafka: KafkaSource, topic: str, since_ms: int, take: Callable[[Message], None]) -> str:
    """Hands over each committed record of a topic from a moment on to where it ends now.

    Returns why not all could be read, for people; empty when all were. A topic that does not exist has no records.
    """
    try:
        consumer = Consumer(consumer_settings(kafka), logger=log)
    except (AccessError, KafkaException) as error:
        return f"{topic} could not be read: {error}"
    try:
        return _read(consumer, topic, since_ms, take)
    except KafkaException as error:
        return f"{topic} could not be read: {error_of(error).str()}"
    finally:
        consumer.close()


def _read(consumer: Consumer, topic: str, since_ms: int, take: Callable[[Message], None]) -> str:
    found = consumer.list_topics(topic, timeout=_ANSWER).topics[topic]
    if found.error is not None:
        missing = found.error.code() in (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC)
        return "" if missing else f"{topic} could not be read: {found.error.str()}"
    wanted = [TopicPartition(topic, partition, since_ms) for partition in sorted(found.partitions)]
    places = [place for place in consumer.offsets_for_times(wanted, timeout=_ANSWER) if place.offset not in (OFFSET_END, -1)]
    consumer.assign(places)
    unread, heard = {place.partition for place in places}, time.monotonic()
    while unread:
        for message in consumer.consume(_BATCH, timeout=0.5):
            heard = time.monotonic()
            error = message.error()
            if error is None:
                take(message)
            elif error.code() == KafkaError._PARTITION_EOF:
                unread.discard(message.partition())
            else:
                return f"{topic} could not be read: {error.str()}"
        if time.monotonic() - heard > _SILENT_SECONDS:
            return f"{topic} could not be read to its end: the brokers have sent nothing for {_SILENT_SECONDS:g} s"
    return ""
