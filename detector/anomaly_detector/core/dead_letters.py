"""What cannot be read, as a record for the dead-letter topic: the message as it came, and what is wrong with it."""

from anomaly_detector.core.alerts import rfc3339
from anomaly_detector.core.decode import Reject
from anomaly_detector.core.records import Read, Record


def dead_letter(read: Read, reject: Reject, source: str, topic: str) -> Record:
    """The record for a reject of a batch."""
    row, messages = reject.row, read.messages
    stamp = int(messages.timestamps_ms[row])
    headers = {
        "reason": reject.reason.value,
        "message": reject.message,
        "topic": source,
        "partition": str(messages.partitions[row]),
        "offset": str(read.offsets[row]),
        "time": rfc3339(stamp * 1000) if stamp >= 0 else "",
    }
    encoded = tuple((name, text.encode(errors="replace")) for name, text in headers.items())
    return Record(topic, messages.keys[row], messages.values[row], encoded)
