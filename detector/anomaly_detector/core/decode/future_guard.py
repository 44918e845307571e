"""Refuses readings from the future: one wrong clock would make everything after it late. It reads no clock itself.

The clock is the messages' own timestamps, which brokers and producers set. Asking for them costs as much as reading a message, so
each one that was asked for vouches for all times up to `maxAhead` after it, in its partition:

    message timestamp   10:00              10:20    10:58   11:01
    event time          10:00   9:58 ...   10:20 .. 10:58   11:01     17:03
    vouched for up to   11:00                               12:01     (asked: 11:05) refused

So about one message an hour is asked, and each one that seems to come from the future. A partition's horizon only rises; it is
part of what is remembered of the partition, because what is refused depends on it.

Producers may set timestamps from the same wrong clock. So no timestamp is taken for later than the reader's clock, and where the
message's own timestamp is the event time (no `time.field`) that clock alone is asked.
A replay has another clock than the process that decided. So what was refused is written down, in the transaction that makes a
dead letter of it, and a replay refuses just that, and believes all else.

Where the reader's clock is not known (a function of the messages alone is wanted), a message without a timestamp (files without
one, brokers before 0.10) vouches for nothing and refuses nothing, and others are believed.
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from anomaly_api.alert import DeadLetterReason
from anomaly_api.schema import seconds
from anomaly_api.source import Time
from anomaly_detector.core.columns import MICROSECONDS, NEVER, Batch, Int64, Numbers, select
from anomaly_detector.core.decode.json import Reject

_LONGEST: Final = 1 << 60
_FEW: Final = 16
"""Messages without a timestamp that are asked one by one: where there are more, there may be nothing else, for ever."""
_LATEST_MS: Final = 253_402_300_799_999
"""The end of the year 9999."""


class FutureGuard:
    """State: the event time up to which each partition's readings are believed, microseconds since 1970 UTC."""

    def __init__(self, time: Time) -> None:
        self._upto = np.full(1, NEVER)
        """By partition; the last one stands for all that are not known."""
        self.adapt(time)

    def adapt(self, time: Time) -> None:
        """Goes over to other settings; what has been vouched for stays so."""
        self._ahead = min(_LONGEST, round(seconds(time.max_ahead) * MICROSECONDS))
        self._field = time.field
        self._message = (
            f"{time.field}: the time is more than {time.max_ahead} (time.maxAhead) after the message's own timestamp: "
            "set the clock of what sends it right, or time.format"
            if time.field is not None
            else f"the message's timestamp is more than {time.max_ahead} (time.maxAhead) after the pod's clock: set the "
            "clock of what sends it right, let brokers set timestamps (message.timestamp.type=LogAppendTime), or set time.field"
        )

    def within(
        self, batch: Batch, timestamps_ms: Numbers, read_ms: int = -1, known: Sequence[int] | None = None
    ) -> tuple[Batch, list[Reject]]:
        """The readings that are believed, and the others.

        `timestamps_ms` are those of the messages, `read_ms` is the reader's clock; -1 where there is none. `known`: rows that
        were refused when it was decided; None: it is decided now.
        """
        if not len(batch):
            return batch, []
        if known is not None:
            return self._again(batch, timestamps_ms, read_ms, known)
        if self._field is None:
            refused = [] if read_ms < 0 else np.flatnonzero(batch.times > read_ms * 1000 + self._ahead).tolist()
            return self._without(batch, refused)
        beyond = batch.times > self._upto.take(batch.partitions, mode="clip")
        if not beyond.any():
            return batch, []
        self._know(int(batch.partitions.max()))
        stamps = timestamps_ms if read_ms < 0 else _NoLater(timestamps_ms, read_ms)
        return self._without(batch, self._refused(np.flatnonzero(beyond), batch, stamps, _FEW))

    def _again(self, batch: Batch, timestamps_ms: Numbers, read_ms: int, known: Sequence[int]) -> tuple[Batch, list[Reject]]:
        """The same as was decided; horizons rise by it as they did."""
        refused = np.flatnonzero(np.isin(batch.rows, np.array(known, np.int64))) if len(known) else np.empty(0, np.int64)
        believed, rejects = self._without(batch, refused.tolist())
        if self._field is not None and len(believed):
            self.within(believed, timestamps_ms, read_ms)
        return believed, rejects

    def _without(self, batch: Batch, refused: list[int]) -> tuple[Batch, list[Reject]]:
        """The batch without the readings at these places, and why they are refused."""
        if not refused:
            return batch, []
        rejects = [Reject(row, DeadLetterReason.FUTURE_TIME, self._message) for row in batch.rows[refused].tolist()]
        return select(batch, np.delete(np.arange(len(batch)), refused)), rejects

    def _refused(self, places: Int64, batch: Batch, timestamps_ms: Numbers, patience: int) -> list[int]:
        """Which of these places are refused; after `patience` messages without a timestamp all the others are asked at once."""
        refused: list[int] = []
        for count, place in enumerate(places.tolist()):
            partition, time = batch.partitions[place], int(batch.times[place])
            if time <= self._upto[partition]:
                continue
            stamp = int(timestamps_ms[int(batch.rows[place])])
            if not 0 <= stamp <= _LATEST_MS:  # none, or one that no calendar has
                patience -= 1
                if patience:
                    continue
                rest = places[count + 1 :]
                stamps = np.asarray(timestamps_ms[batch.rows[rest]])
                stamped = rest[(stamps >= 0) & (stamps <= _LATEST_MS)]
                return refused + self._refused(stamped, batch, timestamps_ms, len(stamped) + 1)
            self._upto[partition] = max(int(self._upto[partition]), stamp * 1000 + self._ahead)
            if time > self._upto[partition]:
                refused.append(place)
        return refused

    def take(self, partition: int) -> Int64:
        """State of a partition: one number."""
        return self._upto.take([partition], mode="clip")

    def put(self, partition: int, state: Int64) -> None:
        """Sets the state of a partition to what `take` gave."""
        self._know(partition)
        self._upto[partition] = state[0]

    def drop(self, partition: int) -> None:
        """Forgets a partition."""
        self._know(partition)
        self._upto[partition] = NEVER

    def _know(self, partition: int) -> None:
        """Room for this partition, and one more."""
        more = partition + 2 - len(self._upto)
        if more > 0:
            self._upto = np.append(self._upto, np.full(more, NEVER))


class _NoLater:
    """Timestamps, none of them later than a clock; that clock, where a message has none."""

    def __init__(self, timestamps_ms: Numbers, read_ms: int) -> None:
        self._timestamps_ms, self._read_ms = timestamps_ms, read_ms

    def __getitem__(self, rows: Any, /) -> Any:
        found = np.asarray(self._timestamps_ms[rows])
        return np.where((found < 0) | (found > self._read_ms), self._read_ms, found)
