"""A progress bar on standard error, where that is a terminal."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

_WIDTH: Final = 32
_EVERY: Final = 0.1


@contextmanager
def bar(what: str) -> Iterator[Callable[[float], None]]:
    """Gives what is to be told the share done, 0 to 1."""
    shown, began = sys.stderr.isatty(), time.monotonic()
    last = 0.0

    def tell(share: float) -> None:
        nonlocal last
        now = time.monotonic()
        if shown and (now - last >= _EVERY or share >= 1):
            last = now
            done = round(_WIDTH * min(max(share, 0.0), 1.0))
            sys.stderr.write(f"\r{what:10} [{'#' * done}{'.' * (_WIDTH - done)}] {100 * share:3.0f} % {now - began:5.1f} s")
            sys.stderr.flush()

    try:
        yield tell
    finally:
        if shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
