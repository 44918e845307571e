"""A smoke of `make bench-operator`: a few detectors on a real API server; its figures are there, and most are as asked."""

import json
from pathlib import Path

import pytest

from dev.verify.operator_load import __main__ as command
from dev.verify.operator_load.pods import address

pytestmark = pytest.mark.integration


def test_a_few_detectors_settle_rest_and_change_hands(tmp_path: Path) -> None:
    output = tmp_path / "figures.json"
    few = ["--detectors", "4", "--models", "2", "--edits", "4", "--idle", "3", "--patience", "120", "--output", str(output)]
    assert command.main(few) == 0
    figures = json.loads(output.read_text())
    asked = ("settleSeconds", "editP95Seconds", "unreachable160EditP95Seconds", "rssMiB", "idleCpuPercent")
    assert all(figures[name] > 0 for name in asked)
    assert figures["idleWritesPerMinute"] == 0
    assert figures["rssMiB"] < 300
    assert figures["leaderChangeSeconds"] < 60


def test_pods_have_addresses_of_their_own() -> None:
    assert len({address(number) for number in range(100_000)}) == 100_000
