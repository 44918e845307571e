"""Training data whose schemas are known before it is read: a registry that does not answer is waited for, and that is said."""

import time
from collections.abc import Iterator
from typing import Final

from anomaly_detector.adapters.schema_registry import Registry
from anomaly_detector.training.data.messages import Messages, MessageSource
from anomaly_detector.training.data.topic import Report

_PAUSE: Final = 1.0


class WithSchemas:
    """A source of training data, with a registry that is asked first."""

    def __init__(self, source: MessageSource, registry: Registry, report: Report) -> None:
        self._source, self._registry, self._report = source, registry, report

    @property
    def name(self) -> str:
        return self._source.name

    @property
    def share_read(self) -> float:
        return self._source.share_read

    def read(self) -> Iterator[Messages | None]:
        for messages in self._source.read():
            if messages is not None:
                self._wait(messages)
            yield messages

    def again(self) -> Iterator[Messages]:
        yield from self._source.again()  # all that was read was known then

    def _wait(self, messages: Messages) -> None:
        waited = False
        while not self._registry.ready(messages.values):
            trouble = self._registry.trouble
            if trouble is not None:
                self._report(trouble.state, trouble.message)
                waited = True
            time.sleep(_PAUSE)
        if waited:
            self._report("", "")
