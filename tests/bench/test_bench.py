"""`make bench`, in small: every contestant runs on a real broker and everything it promises to measure is measured."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dev.verify.bench.__main__ import main
from dev.verify.bench.contest import Scale

pytestmark = pytest.mark.integration

SMALL = Scale(rounds=1, ticks={100: 6_000, 1_000: 300, 2_000: 150}, seconds=2.0, latency_seconds=5.0)


def test_the_benchmark_measures_every_contestant_and_writes_it_down(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "bench.json"
    assert main(["--output", str(output)], SMALL) == 0, capsys.readouterr().err
    found = json.loads(output.read_text())
    for name in ("consume", "floor", "tutorial", "quixstreams"):
        assert found[name] > 0
    for delivery in ("atLeastOnce", "exactlyOnce"):
        assert set(found[delivery]) == {"100", "1000", "2000"}
        assert all(rate > found["tutorial"] for rate in found[delivery].values())
        assert found["latency"][delivery]["p50Milliseconds"] > 0
        assert found["latency"][f"relay.{delivery}"]["p50Milliseconds"] > 0
        assert found["firstScoreSeconds"][delivery] > 0
        assert found["memory"][delivery]["2000"] > 0
    assert found["versions"]["kafka"].startswith("4.")
    out = capsys.readouterr().out
    assert "ours, at least once, 100 entities" in out
    assert "start to first score, exactly once" in out
