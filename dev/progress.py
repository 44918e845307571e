"""Tells a person what a long command is doing and how long it took; how it is shown is the caller's choice."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True)
class Step:
    """A piece of work that has begun (`seconds` is None) or ended."""

    what: str
    seconds: float | None = None
    failed: bool = False


Tell = Callable[[Step], None]


def plain(step: Step) -> None:
    """Prints a line when the step begins and another when it has ended."""
    if step.seconds is None:
        print(f"... {step.what}", flush=True)
    else:
        print(f"{'FAILED' if step.failed else 'ok'}  {step.what} ({step.seconds:.1f} s)", flush=True)


def silent(_: Step) -> None:
    """Says nothing."""


@contextmanager
def telling(tell: Tell, what: str) -> Iterator[None]:
    tell(Step(what))
    began = time.monotonic()
    try:
        yield
    except BaseException:
        tell(Step(what, time.monotonic() - began, failed=True))
        raise
    tell(Step(what, time.monotonic() - began))
