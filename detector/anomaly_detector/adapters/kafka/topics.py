"""The state topic is made here when it is missing: compacted, with the partitions of the source. No other topic is made."""

import logging
from typing import Final

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, NewPartitions, NewTopic

from anomaly_api.assignment import Runtime
from anomaly_detector.adapters.kafka.clients import error_of

log: Final = logging.getLogger(__name__)
_SECONDS: Final = 10.0
_SETTINGS: Final = {
    "cleanup.policy": "compact",
    "segment.bytes": "33554432",  # what is compacted is what is in closed segments: a pod that starts reads all the others
    "segment.ms": "3600000",
    "min.cleanable.dirty.ratio": "0.2",
    "max.message.bytes": "1048588",
}


def ensure_state_topic(admin: AdminClient, runtime: Runtime, partitions: int, there: int) -> None:
    """Makes the topic, or adds partitions to it as the source has got more. Raises KafkaException."""
    topic = runtime.state_topic
    try:
        if there == 0:
            new = NewTopic(topic, partitions, -1, config=_SETTINGS)
            admin.create_topics([new], operation_timeout=_SECONDS)[topic].result(_SECONDS)
            log.info("state topic %s made, with %d partitions", topic, partitions)
        elif there < partitions:
            admin.create_partitions([NewPartitions(topic, partitions)], operation_timeout=_SECONDS)[topic].result(_SECONDS)
            log.info("state topic %s has %d partitions now", topic, partitions)
    except KafkaException as failure:
        if error_of(failure).code() not in (KafkaError.TOPIC_ALREADY_EXISTS, KafkaError.INVALID_PARTITIONS):
            raise  # if another pod was quicker, all is well
