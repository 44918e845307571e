"""Memory that is free is the system's again, though what lives lies in between."""

from __future__ import annotations

from pathlib import Path

import pytest

from anomaly_detector.adapters import allocator

_COUNT, _SIZE, _EVERY = 50_000, 2_000, 100


def _own() -> int:
    """Bytes of this process."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) * 1024


@pytest.mark.skipif(allocator._trim is None, reason="the C library gives back by itself")
def test_holes_between_what_lives_are_given_back() -> None:
    made = [bytes(_SIZE) for _ in range(_COUNT)]
    kept = made[::-_EVERY]
    full = _own()
    del made
    allocator.give_back()
    assert full - _own() > _COUNT * _SIZE / 2
    assert len(kept) == _COUNT // _EVERY
