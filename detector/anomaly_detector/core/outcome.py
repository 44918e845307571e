"""The outcome of a batch of messages, as data."""

import numpy as np
from msgspec import Struct, field

from anomaly_api.alert import LimitKind, NotReading
from anomaly_detector.core.alerts.alert import Alert
from anomaly_detector.core.columns import Float32
from anomaly_detector.core.decode.json import Reject
from anomaly_detector.core.entities.micro_batch import Evicted
from anomaly_detector.core.preprocess.counts import ReadingCounts


class Outcome(Struct):
    """What a batch led to."""

    rejects: list[Reject]
    alerts: list[Alert] = []
    """In the order of the messages that led to them."""
    skips: list[tuple[int, NotReading]] = []
    """Messages that are no readings, and why."""
    readings: int = 0
    """Readings taken into windows."""
    tally: ReadingCounts = field(default_factory=ReadingCounts)
    """What became of the other readings."""
    windows: int = 0
    """Windows decided."""
    top: float | None = None
    """Highest score; 1.0 is the threshold."""
    dropped: list[LimitKind] = []
    """Episodes that a limit held back, each once in a period."""
    suppressed: int = 0
    """Alerts that are for the record only."""
    ended: list[tuple[int, Alert]] = []
    """What a change of deciders in this batch ended, with partitions; it comes before the alerts."""
    left: list[Evicted] = []
    """Entities that were forgotten; some of them may have come back since."""
    cut_off: int = 0
    """Of those that had to make room, how many were so active that their next reading would have belonged to the same window."""

    def scored(self, values: Float32) -> None:
        """Windows were decided, unless their score is not a number."""
        decided = values[~np.isnan(values)]
        if len(decided):
            self.windows += len(decided)
            self.top = max(float(decided.max()), -np.inf if self.top is None else self.top)
