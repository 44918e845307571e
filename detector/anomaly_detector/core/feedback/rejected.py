"""A record of the labels topic that is no label, and its dead letter. It says where the record was; it decides nothing."""

from msgspec import Struct

from anomaly_api.alert import DeadLetterReason
from anomaly_detector.core.alerts.alert import rfc3339
from anomaly_detector.core.decode.dead_letters import MESSAGE, OFFSET, PARTITION, REASON, TIME, TOPIC
from anomaly_detector.core.state.records import Record


class RejectedLabel(Struct, frozen=True):
    """Where it was, what it holds and what is wrong with it."""

    partition: int
    """Of the labels topic."""
    offset: int
    key: bytes | None
    value: bytes | None
    timestamp_ms: int
    message: str

    def dead_letter(self, labels_topic: str, dead_letter_topic: str) -> Record:
        """The record as it came, with what is wrong with it in headers, as of any message that cannot be read."""
        headers = (
            (REASON, DeadLetterReason.NOT_A_LABEL.encode()),
            (MESSAGE, self.message.encode(errors="replace")),
            (TOPIC, labels_topic.encode()),
            (PARTITION, b"%d" % self.partition),
            (OFFSET, b"%d" % self.offset),
            (TIME, rfc3339(self.timestamp_ms * 1000).encode()),
        )
        return Record(dead_letter_topic, self.key, self.value, headers, cuttable=True)
