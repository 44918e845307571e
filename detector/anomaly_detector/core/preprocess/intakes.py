"""What a pod remembers of readings under one configuration: by the intake that decides, and by a candidate's own beside it.

    intake   features a, b      o o o o o | x                what was kept for the old stable revision is dropped
    beside   features a, b, c   . . o o o | o o o o          from | on its candidate decides: its windows are full already

Both are functions of the stream and of the configurations, so both can be built again by reading it again.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from anomaly_detector.core.columns import Messages
from anomaly_detector.core.preprocess.intake import Intake
from anomaly_detector.core.preprocess.preprocessor import Preprocessor

BESIDE: Final = "beside"
"""Under which name the state of a candidate's own intake stands beside the other."""


class Intakes:
    """One or two preprocessors over the same messages."""

    def __init__(self, intake: Intake, beside: Intake | None = None) -> None:
        self.main = Preprocessor(intake)
        self.beside = Preprocessor(beside) if beside is not None else None

    @property
    def most_messages(self) -> int:
        """Messages that a batch should have at most."""
        return min(each.most_messages for each in (self.main, self.beside) if each is not None)

    def change(self, intake: Intake, beside: Intake | None) -> bool:
        """Goes over to others. False: the entities are others now, and nothing is known of those that were there.

        Where readings stay what they are, windows go on as they stand: none is decided twice, none is left out. Where they do
        not, and a candidate's own intake has been asked for just that, it goes on with its windows.
        """
        if self.beside is not None and intake.readings == self.beside.intake.readings != self.main.intake.readings:
            self.main, self.beside = self.beside, None
            self.main.change(intake)
            if self.main.silence is not None:
                self.main.silence.take_back()
            kept = False
        else:
            kept = self.main.change(intake)
        if beside is None:
            self.beside = None
        elif self.beside is None or not self.beside.change(beside):
            self.beside = Preprocessor(beside)
        return kept

    def process(self, messages: Messages, refused: Sequence[int]) -> None:
        """Takes in messages that were decided long ago; `refused`: rows of those whose time was not believed."""
        for each in (self.main, self.beside):
            if each is not None:
                for portion in each.micro_batches(each.decode(messages, refused).batch):
                    each.process(portion, messages.headers)

    def weight(self, partition: int) -> int:
        """Bytes of what is remembered of a partition."""
        return sum(each.entities.weight(partition) for each in (self.main, self.beside) if each is not None)

    def forget(self, partition: int) -> None:
        """Drops what is remembered of a partition."""
        for each in (self.main, self.beside):
            if each is not None:
                each.forget(partition)

    def snapshot(self, partition: int) -> dict[str, Any]:
        """What is remembered of a partition: names and plain arrays."""
        found = self.main.snapshot(partition)
        return found | {BESIDE: self.beside.snapshot(partition)} if self.beside is not None else found

    def restore(self, partition: int, state: Mapping[str, Any]) -> None:
        """Sets what is remembered of a partition to a snapshot that was made under the same intakes."""
        self.main.restore(partition, state)
        if self.beside is not None and BESIDE in state:
            self.beside.restore(partition, state[BESIDE])
