"""At least once: alerts and dead letters at once; what is remembered and the group's offsets follow in transactions.

    readings   . . [committed] r r r a r r a r [decided]
                               alerts of these are written, or on their way; after a crash they are decided again

They are decided again from what was remembered at the commit, so the same records come again, with the same ids. That takes
memory and offsets that fit together: they are written in one transaction, once all that was decided before has arrived.
"""

import time
from collections.abc import Mapping
from typing import Final

from anomaly_api.alert import UndeliverableReason
from anomaly_api.assignment import Runtime
from anomaly_detector.adapters.kafka.produce.connections import Connections
from anomaly_detector.adapters.kafka.produce.delivery import Progress
from anomaly_detector.adapters.kafka.produce.exactly_once import ExactlyOnce
from anomaly_detector.adapters.kafka.produce.writer import Writer
from anomaly_detector.core.state.records import Commit, PartitionCommit, Record

_EVERY_SECONDS: Final = 1.0
_GLANCE_SECONDS: Final = 0.001
_PATIENCE_SECONDS: Final = 2.0
"""So long a commit may take while readings go on being decided."""
_MOST_BYTES: Final = 2_097_152
"""Of what is to be remembered, before it is committed early, or waited for."""


class AtLeastOnce:
    """All calls belong to one thread."""

    interval = 0.0

    def __init__(self, runtime: Runtime, pod: str, connections: Connections) -> None:
        self._writer = Writer(runtime, pod, connections.on_error)
        self._memory = ExactlyOnce(runtime, connections)
        self._state_topic = runtime.state_topic
        self._at_once: list[Record] = []
        self._later: Commit = {}
        self._bytes = 0
        """Of `_later`."""
        self._committing = True
        """At first to end what one of our name has left open: until then nobody is told where the group stands."""
        self._since = time.monotonic()
        """When a commit began last."""

    @property
    def replaced(self) -> bool:
        """Whether another pod has come into the group under our name."""
        return self._memory.replaced

    @property
    def undeliverable(self) -> Mapping[UndeliverableReason, int]:
        """Dead letters that their topic took in no form."""
        return self._writer.undeliverable

    def offer(self, micro_batches: Commit) -> None:
        """The next ones."""
        for number, portion in micro_batches.items():
            state = tuple(record for record in portion.records if record.topic == self._state_topic)
            self._at_once += [record for record in portion.records if record.topic != self._state_topic]
            before = self._later[number].records if number in self._later else ()
            self._later[number] = PartitionCommit(portion.offset, before + state)
            self._bytes += sum(len(record.value or b"") for record in state)

    def advance(self, seconds: float) -> Progress:
        """Hands records over; now and then it begins a commit, and does not wait for it unless it takes long."""
        deadline = time.monotonic() + seconds
        if not self._sent(deadline):
            return Progress.WAITING
        if self._committing:
            late = time.monotonic() - self._since > _PATIENCE_SECONDS or self._bytes > _MOST_BYTES
            progress = self._committed(max(0.0, deadline - time.monotonic()) if late else _GLANCE_SECONDS)
            if progress is not Progress.DONE:
                return progress if late or progress is Progress.LOST else Progress.DONE
        due = time.monotonic() - self._since >= _EVERY_SECONDS or self._bytes > _MOST_BYTES
        if not due or not self._later:
            return Progress.DONE
        if not self._begin(deadline):
            return Progress.WAITING
        progress = self._committed(_GLANCE_SECONDS)
        return progress if progress is Progress.LOST else Progress.DONE

    def finish(self, seconds: float) -> Progress:
        """Until everything has arrived and is committed."""
        deadline = time.monotonic() + seconds
        while True:
            progress = self._committed(max(0.0, deadline - time.monotonic()))
            if progress is not Progress.DONE or not (self._later or self._at_once):
                return progress
            if not self._sent(deadline) or not self._begin(deadline):
                return Progress.WAITING

    def close(self) -> None:
        """Ends the producer; records that have not arrived are decided again by the next owner."""
        self._writer.discard()
        self._memory.close()

    def _sent(self, deadline: float) -> bool:
        """Whether all that is to be written at once has been handed over."""
        at_once, self._at_once = self._at_once, []
        self._writer.send(at_once, lambda: time.monotonic() < deadline)
        return not self._writer.behind or self._writer.settle(max(0.0, deadline - time.monotonic()))

    def _begin(self, deadline: float) -> bool:
        """Begins to commit, when all that was decided has arrived; whether it has."""
        if not self._writer.settle(max(0.0, deadline - time.monotonic())):
            return False
        self._memory.offer(self._later)
        self._later, self._bytes = {}, 0
        self._committing, self._since = True, time.monotonic()
        return True

    def _committed(self, seconds: float) -> Progress:
        """How the commit stands that was begun."""
        if not self._committing:
            return Progress.DONE
        progress = self._memory.advance(seconds)
        self._committing = progress is not Progress.DONE
        return progress
