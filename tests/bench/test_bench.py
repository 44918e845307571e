"""A smoke of `make bench`: it writes its topics and measures a loop and a scoring pod on them. `make bench` is the whole."""

from __future__ import annotations

import re

import pytest

from dev.verify.bench.__main__ import main
from dev.verify.bench.contest import Scale

pytestmark = pytest.mark.integration

SMALL = Scale(rounds=1, ticks={100: 3_000}, seconds=1.0, latency_seconds=5.0)


def test_the_benchmark_measures_who_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--only", "floor", "atLeastOnce.100"], SMALL) == 0, capsys.readouterr().err
    rates = re.findall(r"^ +([\d,]+) readings/s, ([\d.]+) µs of CPU each$", capsys.readouterr().out, re.MULTILINE)
    assert len(rates) == 2
    assert all(int(rate.replace(",", "")) > 100 and float(cpu) > 0 for rate, cpu in rates)
