"""Builds again what a pod remembers of a partition: from a checkpoint, or from nothing, by reading what came after it.

    offsets   . . [checkpoint] r r r r [change of intake] r r r [committed] d d d
                               r: taken in, decided long ago                d: decided afresh

Nothing is scored: what was decided stays decided, and no old revision's model is needed.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from anomaly_detector.core.configuration import Configuration
from anomaly_detector.core.preprocess.intakes import Intakes
from anomaly_detector.core.preprocess.preprocessor import Preprocessor
from anomaly_detector.core.state.changelog import Change
from anomaly_detector.core.state.records import Read


class Restore:
    """One partition on its way to where its group has committed."""

    def __init__(
        self,
        partition: int,
        until: int,
        configuration: Configuration,
        changes: Sequence[Change],
        state: Mapping[str, Any],
        refused: frozenset[int] = frozenset(),
    ) -> None:
        """`state`: as `Intakes.snapshot` gave it under `configuration`. Changes by rising offset; `refused`: offsets."""
        self.partition = partition
        self.until = until
        """The first offset that has not been decided."""
        self._intakes = Intakes(configuration.intake, configuration.beside)
        self._changes = list(changes)
        self._refused = refused
        if state:
            self._intakes.restore(partition, state)

    @property
    def most_messages(self) -> int:
        """Messages that a batch should have at most."""
        return self._intakes.most_messages

    def process(self, read: Read) -> None:
        """Takes in messages of the partition, all below `until`."""
        done = 0
        offsets = np.asarray(read.offsets[:], np.int64)
        for change in [change for change in self._changes if len(read) and change.offset <= offsets[-1]]:
            place = int(np.searchsorted(offsets, change.offset))
            self._process(read, done, place)
            self._intakes.change(change.configuration.intake, change.configuration.beside)
            self._changes.remove(change)
            done = place
        self._process(read, done, len(read))

    def replayed(self) -> Preprocessor:
        """What is remembered, under the last intake that was written down."""
        for change in self._changes:
            self._intakes.change(change.configuration.intake, change.configuration.beside)
        self._changes = []
        return self._intakes.main

    def finish(self, configuration: Configuration) -> dict[str, Any]:
        """What is remembered, as the configuration that goes on wants it."""
        self.replayed()
        self._intakes.change(configuration.intake, configuration.beside)
        return self._intakes.snapshot(self.partition)

    def _process(self, read: Read, start: int, end: int) -> None:
        if end > start:
            places = np.arange(len(read))
            part = read.select((places >= start) & (places < end))
            messages, offsets = part.messages, np.asarray(part.offsets[:], np.int64)
            refused = [row for row, offset in enumerate(offsets.tolist()) if offset in self._refused] if self._refused else []
            self._intakes.process(messages, refused)
