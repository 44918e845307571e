"""Work that may be done beside something else: while a model scores one batch, the next one is read and decoded.

Whoever begins it gets a way to ask for what it came to. What that is does not depend on when it is done, or where.
"""

from collections.abc import Callable
from typing import TypeVar

from anomaly_detector.core.columns import Float32

_Item = TypeVar("_Item")
Work = Callable[[], _Item]
Executor = Callable[[Work[Float32]], Work[Float32]]
"""Begins some work; what it returns waits for the end of it, and raises what it raised."""


class Once:
    """Work that several ask for and that is done once; whatever it raised is raised again."""

    def __init__(self, work: Work[Float32]) -> None:
        self._work = work
        self._found: Float32 | None = None
        self._failed: Exception | None = None

    def __call__(self) -> Float32:
        """What it came to."""
        if self._failed is not None:
            raise self._failed
        if self._found is None:
            try:
                self._found = self._work()
            except Exception as error:
                self._failed = error
                raise
        return self._found


def inline(work: Work[Float32]) -> Work[Float32]:
    """Beside nothing: it is done when somebody asks for it."""
    return work
