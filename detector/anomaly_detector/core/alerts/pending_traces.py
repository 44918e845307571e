"""The trace contexts of readings that may wait: the message that lets a reading go later is another one, of another trace.

    messages     1 (trace a)    2 (trace b)    9 (trace c)     lateness 4 s
    given on                                   1 2             what they lead to belongs to a and b, not to c

A table of a fixed size for each partition, in which a reading's place is its hash: a later one takes it from an earlier one. So
what is kept depends on the readings of a partition and their order, not on how they were cut into batches, and is bounded however
many carry a trace; where it is too small, a record goes without one.

It buys that an alert of a detector with `time.lateness` or `missing: Interpolate` leads to the trace of its own reading; without
it such alerts could carry none. Other detectors have no table. It costs 0.1 us a message without headers, some 30 us a message
that carries a trace (Python, two hashes), and up to 0.4 MB a partition.
"""

from hashlib import blake2b
from typing import Any, Final

import msgspec
import numpy as np
from msgspec.structs import astuple
from numpy.typing import NDArray

from anomaly_detector.core.alerts.tracing import Trace, trace_of
from anomaly_detector.core.columns import Batch, Headers, no_headers

PLACES: Final = 1_024
"""Of a partition. With `_LONGEST`, a full table fits into a message of a checkpoint beside what else is in it."""
_LONGEST: Final = 256
"""Bytes of a `tracestate` that is kept; who hands a trace on may leave its state out."""
_Kept = tuple[int, Trace]
"""Hash of a reading, and its trace."""


class PendingTraces:
    """State: a table for each partition in which a reading carried a trace."""

    def __init__(self) -> None:
        self._tables: dict[int, dict[int, _Kept]] = {}
        self._before: dict[tuple[int, int], list[tuple[int, _Kept | None]]] = {}
        """By partition and place: what stood there before each row of the last portion that took it."""

    def note(self, batch: Batch, headers: Headers) -> None:
        """Takes in those of a batch's readings; of two of the same entity and time the first counts, as it does for windows."""
        self._before.clear()
        if headers is no_headers:
            return
        for at, row in enumerate(batch.rows.tolist()):
            carried = headers(row)
            trace = trace_of(carried) if carried else None
            if trace is not None:
                self._keep(row, int(batch.partitions[at]), _key(batch.entities[at], int(batch.times[at])), trace)

    def of(self, row: int, partition: int, entity: str, time: int) -> Trace | None:
        """That of a reading which was given on by the message in this row of the last portion."""
        key = _key(entity, time)
        kept = self._tables.get(partition, {}).get(key % PLACES)
        for taken, before in reversed(self._before.get((partition, key % PLACES), [])):
            if taken <= row:
                break
            kept = before
        return kept[1] if kept is not None and kept[0] == key else None

    def take(self, partition: int) -> NDArray[Any]:
        """[1] State of a partition, in one piece; [0] where there is none."""
        table = self._tables.get(partition)
        if not table:
            return np.empty(0, np.uint8)
        whole = msgspec.msgpack.encode([(place, key, *astuple(trace)) for place, (key, trace) in sorted(table.items())])
        return np.frombuffer(whole, f"V{len(whole)}")

    def put(self, partition: int, state: NDArray[Any]) -> None:
        """Sets the state of a partition to what `take` gave."""
        self.drop(partition)
        if len(state):
            rows = msgspec.msgpack.decode(state.tobytes())
            self._tables[partition] = {place: (key, Trace(parent, more)) for place, key, parent, more in rows}

    def drop(self, partition: int) -> None:
        """Forgets a partition."""
        self._tables.pop(partition, None)

    def _keep(self, row: int, partition: int, key: int, trace: Trace) -> None:
        table = self._tables.setdefault(partition, {})
        before = table.get(key % PLACES)
        if before is not None and before[0] == key:
            return
        if trace.state is not None and len(trace.state) > _LONGEST:
            trace = Trace(trace.parent)
        table[key % PLACES] = key, trace
        self._before.setdefault((partition, key % PLACES), []).append((row, before))


def _key(entity: str, time: int) -> int:
    return int.from_bytes(blake2b(f"{time} {entity}".encode(), digest_size=8).digest())
