"""A detector in one process without a cluster: lines in, alerts out; what is remembered survives its end."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from anomaly_detector.cli.__main__ import main
from tests.backtest.conftest import FAULT

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from tests.backtest.conftest import Pumps

CSV = "topic: pumps}, format: {csv: {columns: [at, pump, flow, pressure, label]}}}"


def _ran(pumps: Pumps, lines: list[bytes], *arguments: str) -> list[dict[str, Any]]:
    spec = pumps.spec(**{"topic: pumps}}": CSV})
    command = [sys.executable, "-m", "anomaly_detector.cli", "run", str(spec), *arguments]
    done = subprocess.run(command, input=b"\n".join(lines) + b"\n", capture_output=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return [json.loads(line) for line in done.stdout.splitlines()]


def _lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines()[1:]


def test_lines_of_standard_input_become_alerts_and_what_is_remembered_survives_the_process(pumps: Pumps) -> None:
    lines = _lines(pumps.data())
    whole = _ran(pumps, lines)
    kinds = [alert["type"].rpartition(".")[2] for alert in whole]
    assert (kinds[0], kinds[-1]) == ("opened", "closed")
    assert {alert["subject"] for alert in whole} == {"b"}
    middle, state = 2 * FAULT.start + 10, str(pumps.folder / "state")
    assert [*_ran(pumps, lines[:middle], "--state", state), *_ran(pumps, lines[middle:], "--state", state)] == whole


def test_a_line_that_cannot_be_read_is_told_and_the_next_one_is_read(pumps: Pumps, capfd: pytest.CaptureFixture[str]) -> None:
    file = pumps.folder / "lines"
    file.write_bytes(b"2026-01-01T00:00:00,a,1.0,2.0,0\na,b\n2026-01-01T00:00:10,a,1.0,2.0,0\n")
    assert main(["run", str(pumps.spec(**{"topic: pumps}}": CSV})), str(file)]) == 0
    said = capfd.readouterr().err
    assert "line 1 has 2 columns, spec.source.format.csv has 5" in said
    assert "2 readings, 0 alerts, 1 messages that could not be read" in said


def test_lines_without_keys_need_an_entity_elsewhere(pumps: Pumps, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", str(pumps.spec(**{"field: pump": "key: {}"})), "-"]) == 2
    assert "set entity.field or entity.constant, or use --key" in capsys.readouterr().err
