"""The interface of every source of training data: messages as Kafka has them, wherever they are kept. Holds data only."""

from collections.abc import Iterator
from typing import Protocol

from anomaly_detector.core import columns


class Messages(columns.Messages, frozen=True):
    """Some messages, in order."""

    def cut(self, most: int) -> Iterator["Messages"]:
        """The same in pieces of at most so many."""
        for start in range(0, len(self), most):
            part = slice(start, start + most)
            yield Messages(self.values[part], self.keys[part], self.timestamps_ms[part], self.partitions[part])


class MessageSource(Protocol):
    """Readings to learn from."""

    @property
    def name(self) -> str:
        """Names the source for people: `topic pump-readings`."""

    @property
    def share_read(self) -> float:
        """How much of what was there at the start has been read, 0 to 1."""

    def read(self) -> Iterator[Messages | None]:
        """Everything there is, in order; then None, each time there is nothing more for now, if more may come."""

    def again(self) -> Iterator[Messages]:
        """Reads the same messages once more, for data that is too large to be kept."""
