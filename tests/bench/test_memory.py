"""The measurement of memory, in small: what it promises is measured, and the budget holds where it can be told."""

from __future__ import annotations

import sys

import pytest

from dev.verify.bench import memory


def test_every_case_runs_and_is_shown(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["memory", "--entities", "1200"])
    assert memory.main() == 0
    shown = capsys.readouterr().out
    assert "1,200 entities" in shown
    assert "evicted then, of readings" in shown
    assert "taking over" in shown
