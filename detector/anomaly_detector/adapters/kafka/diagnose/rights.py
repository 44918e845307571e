"""Asks what the brokers' access lists allow, before the first alert needs it. Brokers that cannot say are believed.

| on | for |
| --- | --- |
| the source topic | Read, Describe |
| the topics of alerts and dead letters | Write, Describe |
| the state topic | Read, Write, Describe; Create, and Alter for more partitions, unless someone else makes it |
| the consumer group | Read |
| transactional ids that begin with the group and a dot | Write, Describe |
"""

from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AclOperation, AdminClient

from anomaly_api.assignment import Runtime
from anomaly_detector.adapters.kafka.clients import error_of
from anomaly_detector.adapters.kafka.diagnose import refusals
from anomaly_detector.adapters.kafka.diagnose.admin import AdminQueries
from anomaly_detector.adapters.kafka.diagnose.refusals import Refusal

_SECONDS: Final = 3.0


def lacking(queries: AdminQueries, runtime: Runtime) -> Refusal | None:
    """The first thing that is not allowed; None when all is, or nobody says."""
    if runtime.kafka.tls is None and runtime.kafka.sasl is None:
        return None  # brokers that do not know who asks have nothing to tell apart
    needed = {
        runtime.kafka.topic: {AclOperation.READ},
        runtime.alerts_topic: {AclOperation.WRITE},
        runtime.dead_letter_topic: {AclOperation.WRITE},
        runtime.state_topic: {AclOperation.READ, AclOperation.WRITE},
    }
    for topic, allowed in _of_topics(queries.client, list(needed)).items():
        missing = needed[topic] - allowed
        if allowed and missing:
            names = " and ".join(sorted(each.name.title() for each in missing))
            return refusals.forbidden(runtime.kafka, f"{names} on topic {topic}")
    if _group_is_forbidden(queries, runtime.group_id):
        return refusals.forbidden(runtime.kafka, f"Read on group {runtime.group_id}")
    return None


def _of_topics(client: AdminClient, topics: list[str]) -> dict[str, set[AclOperation]]:
    """Returns the allowed operations of each topic; empty where the broker does not say."""
    asked: dict[str, Any] = client.describe_topics(
        TopicCollection(topics), include_authorized_operations=True, request_timeout=_SECONDS
    )
    found: dict[str, set[AclOperation]] = {}
    for topic, answer in asked.items():
        try:
            found[topic] = set(answer.result(_SECONDS).authorized_operations or [])
        except (KafkaException, TimeoutError):
            found[topic] = set()  # whatever it is, it shows where the topic is used
    return found


def _group_is_forbidden(queries: AdminQueries, group: str) -> bool:
    try:
        allowed = set(queries.group(group, _SECONDS, rights=True).authorized_operations or [])
    except KafkaException as failure:
        return error_of(failure).code() == KafkaError.GROUP_AUTHORIZATION_FAILED
    return bool(allowed) and AclOperation.READ not in allowed
