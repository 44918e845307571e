"""What cannot be read, as a record for the dead-letter topic: the message as it came, and what is wrong with it.

    key, value   the message's own bytes
    headers      the message's own, then ours: reason, message, stage, topic, partition, offset, time

Ours come last, so that of a name that is there twice the last one is ours. Only what the topic will not take is cut: then
`original-size`, `original-key-size` and `original-headers` say how much there was.
"""

from collections.abc import Mapping, Sequence
from itertools import repeat
from typing import Final, NamedTuple

import numpy as np

from anomaly_api.alert import DeadLetterReason
from anomaly_detector.core.columns import Header, Int64
from anomaly_detector.core.decode.json import Reject
from anomaly_detector.core.state.records import Read, Record

REASON, MESSAGE, TOPIC, PARTITION, OFFSET, TIME = "reason", "message", "topic", "partition", "offset", "time"
STAGE: Final = "stage"
"""Header: how far the message came, `Parse`, `Entity`, `Time` or `Feature`."""
SIZE, KEY_SIZE, HEADERS = "original-size", "original-key-size", "original-headers"
PUT_BACK: Final = "PutBack"
"""In place of a reason: the message has been put back into its topic."""
REPLAY_OF: Final = "replay-of"
"""Header of a message that was put back: topic, partition and offset that it had at first."""
_CUTS: Final = (65_536, 4_096, 256)
"""Bytes that are kept of a message, the more often it is refused the fewer."""
_NOTES: Final = 100
"""Bytes that it takes to say what was cut."""
_OVERHEAD: Final = 70
"""Bytes that a record takes in a batch beside its content, at most."""
_LATEST_MS: Final = 253_402_300_799_999


def dead_letters(read: Read, rejects: Sequence[Reject], source: str, topic: str) -> list[Record]:
    """Records for the rejects of a batch, in their order."""
    messages = read.messages
    keys, values, headers = messages.keys, messages.values, messages.headers
    rows = np.array([reject.row for reject in rejects], np.int64)
    times = _written(np.asarray(messages.timestamps_ms[rows], np.int64))
    name = (TOPIC, source.encode())
    said: dict[tuple[str, str], tuple[Header, ...]] = {}
    """What is the same in many: a producer that errs errs all the time, and this is done for each message."""
    where: dict[int, Header] = {}
    letters = []
    places = zip(rejects, messages.partitions[rows].tolist(), read.offsets[rows].tolist(), times, strict=True)
    for (row, reason, message), partition, offset, time in places:
        what = said.get((reason, message))
        if what is None:
            stage = (STAGE, stage_of(reason).encode())
            what = ((REASON, reason.encode()), (MESSAGE, message.encode(errors="replace")), stage, name)
            said[reason, message] = what
        place = where.get(partition)
        if place is None:
            place = where[partition] = (PARTITION, b"%d" % partition)
        letters.append(
            Record(
                topic=topic,
                key=keys[row],
                value=values[row],
                headers=(*headers(row), *what, place, (OFFSET, b"%d" % offset), (TIME, time)),
                cuttable=True,
            )
        )
    return letters


def stage_of(reason: DeadLetterReason) -> str:
    """How far a message came that is refused for this reason.

    >>> stage_of(DeadLetterReason.TIME_INVALID), stage_of(DeadLetterReason.FUTURE_TIME), stage_of(DeadLetterReason.NOT_JSON)
    ('Time', 'Time', 'Parse')
    """
    return next((stage for stage in ("Entity", "Time", "Feature") if stage in reason.value), "Parse")


class Origin(NamedTuple):
    """Where a message was that could not be read."""

    topic: str
    partition: int
    offset: int
    time: str
    """RFC 3339; empty where it had none. A topic that is made anew begins with offset 0 again, at another time."""

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}/{self.offset}"


def split(headers: Sequence[Header]) -> tuple[Sequence[Header], dict[str, str]] | None:
    """The message's own headers, and ours by name. None: it is no dead letter."""
    begins = [place for place, (name, _) in enumerate(headers) if name == REASON]
    if not begins:
        return None
    ours = {name: (value or b"").decode(errors="replace") for name, value in headers[begins[-1] :]}
    return headers[: begins[-1]], ours


def origin(ours: Mapping[str, str]) -> Origin | None:
    """None: what it says makes no sense."""
    try:
        return Origin(ours[TOPIC], int(ours[PARTITION]), int(ours[OFFSET]), ours[TIME])
    except (KeyError, ValueError):
        return None


def put_back(found: Origin) -> tuple[Header, ...]:
    """Headers of the record that says, in the dead-letter topic, that a message was put back."""
    ours = ((TOPIC, found.topic), (PARTITION, str(found.partition)), (OFFSET, str(found.offset)), (TIME, found.time))
    return ((REASON, PUT_BACK.encode()), *((name, text.encode()) for name, text in ours))


def weight(record: Record) -> int:
    """Bytes of a record on the wire, or a little more."""
    return _OVERHEAD + len(record.key or b"") + len(record.value or b"") + _size(record.headers)


def shortened(record: Record) -> Record | None:
    """The beginning of a dead letter that is too large; None when there is nothing left to leave out."""
    begin = max(place for place, (name, _) in enumerate(record.headers) if name == REASON)
    theirs, ours = record.headers[:begin], record.headers[begin:]
    key, value = record.key or b"", record.value or b""
    content = len(key) + len(value) + _size(theirs)
    limit = next((limit for limit in _CUTS if limit + _NOTES < content), None)
    if limit is None:
        return None
    kept_key = key[: limit // 4]
    kept = value[: limit - len(kept_key)]
    said = {name for name, _ in ours}
    sizes = ((SIZE, len(value), len(kept)), (KEY_SIZE, len(key), len(kept_key)), (HEADERS, len(theirs), 0))
    notes = tuple((name, b"%d" % was) for name, was, now in sizes if was > now and name not in said)
    return record._replace(
        key=kept_key if record.key is not None else None,
        value=kept if record.value is not None else None,
        headers=(*ours, *notes),
    )


def _size(headers: Sequence[Header]) -> int:
    return sum(len(name.encode(errors="replace")) + len(value or b"") + 4 for name, value in headers)


def _written(stamps_ms: Int64) -> list[bytes]:
    """RFC 3339, to the millisecond; empty where a message has no time, or one that no calendar has."""
    sound = (stamps_ms >= 0) & (stamps_ms <= _LATEST_MS)
    if not sound.any():
        return list(repeat(b"", len(stamps_ms)))
    texts = np.datetime_as_string(np.where(sound, stamps_ms, 0).astype("datetime64[ms]"), timezone="UTC")
    written: list[bytes] = np.where(sound, texts.astype("S"), b"").tolist()
    return written
