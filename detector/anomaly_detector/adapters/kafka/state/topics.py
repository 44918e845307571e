"""The state topic is made here when it is missing: compacted, with the partitions of the source. No other topic is made."""

import logging
from typing import Final

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, ConfigResource, NewPartitions, NewTopic, ResourceType
from msgspec import Struct

from anomaly_api.assignment import Runtime
from anomaly_detector.adapters.kafka.clients import error_of

_POLICY: Final = "cleanup.policy"
_MESSAGE_BYTES: Final = "max.message.bytes"
log: Final = logging.getLogger(__name__)
_SECONDS: Final = 10.0
_SETTINGS: Final = {
    _POLICY: "compact",
    "segment.bytes": "33554432",  # what is compacted is what is in closed segments: a pod that starts reads all the others
    "segment.ms": "3600000",
    "min.cleanable.dirty.ratio": "0.2",
    _MESSAGE_BYTES: "1048588",
}


class StateTopic(Struct, frozen=True):
    """Which topic it is that keeps what is remembered, as far as known."""

    identity: str = ""
    """Its id; empty: nobody has told yet, or the broker tells none."""
    made: int = 0
    """How many times we have made it."""

    def another(self, than: "StateTopic") -> bool:
        """Whether it has been deleted and made anew since, by us or by somebody else."""
        both = bool(self.identity and than.identity)
        return self.made != than.made or (both and self.identity != than.identity)


def ensure_state_topic(admin: AdminClient, runtime: Runtime, partitions: int, there: int) -> bool:
    """Makes the topic, or adds partitions to it as the source has got more; whether we have made it. Raises KafkaException."""
    topic = runtime.state_topic
    try:
        if there == 0:
            new = NewTopic(topic, partitions, -1, config=_SETTINGS)
            admin.create_topics([new], operation_timeout=_SECONDS)[topic].result(_SECONDS)
            log.info("state topic %s made, with %d partitions", topic, partitions)
            return True
        if there < partitions:
            admin.create_partitions([NewPartitions(topic, partitions)], operation_timeout=_SECONDS)[topic].result(_SECONDS)
            log.info("state topic %s has %d partitions now", topic, partitions)
    except KafkaException as failure:
        if error_of(failure).code() not in (KafkaError.TOPIC_ALREADY_EXISTS, KafkaError.INVALID_PARTITIONS):
            raise  # if another pod was quicker, all is well
    return False


class StateSettings(Struct, frozen=True):
    """Settings of the state topic as somebody made it."""

    policy: str = "compact"
    """`cleanup.policy`: what becomes of old records."""
    message_bytes: int = 1_048_588
    """`max.message.bytes`: the largest batch of records that it takes."""


def settings(admin: AdminClient, topic: str, seconds: float) -> StateSettings:
    """Returns the settings of a topic. Raises KafkaException, where we may not ask, too."""
    [future] = admin.describe_configs([ConfigResource(ResourceType.TOPIC, topic)], request_timeout=seconds).values()
    found = future.result(2 * seconds)
    return StateSettings(str(found[_POLICY].value), int(found[_MESSAGE_BYTES].value))
