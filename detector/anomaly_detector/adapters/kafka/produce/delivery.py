"""How what was decided reaches Kafka: what a way to write promises. The ways are `exactly_once` and `at_least_once`."""

from collections.abc import Mapping
from enum import Enum, auto
from typing import Protocol

from anomaly_api.alert import UndeliverableReason
from anomaly_detector.core.state.records import Commit


class Progress(Enum):
    """How a commit stands."""

    DONE = auto()
    WAITING = auto()
    """Not yet: ask again."""
    LOST = auto()
    """Somebody else has taken over, or nobody can say what was written: what is known must be read again."""


class Delivery(Protocol):
    """A way to write."""

    interval: float
    """Seconds between two commits."""

    @property
    def replaced(self) -> bool:
        """Whether another pod has come into the group under our name."""

    @property
    def undeliverable(self) -> Mapping[UndeliverableReason, int]:
        """Dead letters that their topic took in no form, of what has been written."""

    def offer(self, micro_batches: Commit) -> None:
        """The next commit; the last one is done."""

    def advance(self, seconds: float) -> Progress:
        """Works on it for about so long."""

    def finish(self, seconds: float) -> Progress:
        """Until all is written and committed, or the time is over."""

    def close(self) -> None:
        """Gives up what is not done."""
