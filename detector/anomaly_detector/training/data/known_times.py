"""Reads from the alerts topic and the labels topic which times a training leaves out. What is left out is decided elsewhere."""

import logging
from typing import Final

from confluent_kafka import Message

from anomaly_api.assignment import TrainingOrder
from anomaly_detector.core.feedback.ledger import Ledger, NotALabelError
from anomaly_detector.training.data.records import read_records
from anomaly_detector.training.exclusion import Exclusions

_BEFORE_MS: Final = 86_400_000
"""Both topics are read from a day before the first reading: an episode may have begun before it."""

log = logging.getLogger(__name__)


def known_times(order: TrainingOrder, since_ms: int) -> Exclusions:
    """The times to leave out of a training whose data begin at `since_ms` (Unix milliseconds)."""
    asked, ledger, unread = order.training.exclude, Ledger(order.detector.source), list[str]()
    begin = max(0, since_ms - _BEFORE_MS)
    if order.alerts_topic and (asked.alerts or asked.labels):
        unread.append(read_records(order.kafka, order.alerts_topic, begin, lambda message: ledger.alert(_bytes(message))))
    if order.labels_topic and (asked.alerts or asked.labels):

        def take(message: Message) -> None:
            try:
                ledger.label(_bytes(message), message.timestamp()[1])
            except NotALabelError as error:
                log.warning("%s[%s] %s is no label: %s", message.topic(), message.partition(), message.offset(), error)

        unread.append(read_records(order.kafka, order.labels_topic, begin, take))
    said = "; ".join(filter(None, unread))
    if said:
        log.warning("times of alerts or labels may be learned from: %s", said)
    return Exclusions.of(ledger, order.suppress, asked, said)


def _bytes(message: Message) -> bytes | None:
    value = message.value()
    return value.encode() if isinstance(value, str) else value
