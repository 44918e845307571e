"""`init` proposes a spec that works as it is, and `lint --sample` says what a spec makes of messages."""

from __future__ import annotations

import json
import lzma
from pathlib import Path
from typing import Any

import pytest
import yaml

pytest.importorskip("celpy")

from anomaly_api.detector import AnomalyDetector
from anomaly_detector.cli import sample
from anomaly_detector.cli.__main__ import main
from anomaly_detector.cli.facts import Facts
from anomaly_detector.cli.propose import Proposal
from dev.demo.scenario import pump_scenario
from tests.cases.running import FOLDER, lines

ASD = Path("examples/data/asd/omi-1_test.csv.xz")


def case(name: str, folder: Path) -> Path:
    path = folder / f"{name}.jsonl"
    path.write_bytes(lzma.decompress((FOLDER / f"{name}.jsonl.xz").read_bytes()))
    return path


def proposed(path: Path) -> tuple[dict[str, Any], Facts]:
    """The proposal for a file, and what becomes of its messages under it."""
    found = sample.read(str(path), None)
    document = Proposal(found).spec()
    spec = AnomalyDetector.model_validate(document).spec
    facts = Facts(spec.pipeline, found.timed(spec.time.field, 60))
    list(facts.lines())
    return document["spec"], facts


@pytest.mark.parametrize(
    "name",
    [
        *("c01-messages", "c03-prometheus", "c03-units", "c05-messages", "c09-messages", "c13-messages", "c13-nanoseconds-only"),
        *("c14-messages", "c15-all", "c15-one-of-two"),
    ],
)
def test_the_spec_that_is_proposed_for_a_case_reads_all_its_readings(name: str, tmp_path: Path) -> None:
    spec, facts = proposed(case(name, tmp_path))
    assert facts.wrong == [], spec


def test_what_is_proposed_says_how_things_are_written(tmp_path: Path) -> None:
    spec, _ = proposed(case("c05-messages", tmp_path))
    assert (spec["source"]["merge"], spec["time"]) == ({"within": "1s"}, {"field": "timestamp", "format": "UnixSeconds"})
    spec, _ = proposed(case("c13-messages", tmp_path))
    assert spec["source"]["pairs"] == {"list": "readings", "name": "resourceName", "value": "value"}
    spec, _ = proposed(case("c14-messages", tmp_path))
    assert spec["entity"] == {"template": "{tags.host}/{tags.interface}"}
    spec, _ = proposed(case("c03-units", tmp_path))
    assert [feature["text"] for feature in spec["features"]] == [{"unit": "°C"}, {"decimal": "Comma"}]


def test_the_demos_stream_gets_the_spec_that_the_demo_has(tmp_path: Path) -> None:
    recording = pump_scenario(1_800_000_000.0, 7).recording
    path = tmp_path / "pump-readings.jsonl"
    messages = [message for tick in range(40) for message in recording.messages(tick)]
    path.write_text(
        "\n".join(json.dumps({"key": key.decode(), "value": value.decode(), "ts": 1_900_000_000_000}) for key, value in messages)
    )
    spec, facts = proposed(path)
    mine = yaml.safe_load(Path("examples/pumps.yaml").read_text())["spec"]
    assert (spec["features"], spec["time"], facts.wrong) == (mine["features"], mine["time"], [])


def test_the_spec_for_asd_passes_lint_and_backtest_without_an_edit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = tmp_path / "asd.yaml"
    assert main(["init", str(ASD), "--output", str(spec)]) == 0
    assert main(["lint", str(spec), "--sample", str(ASD)]) == 0
    assert "windows to score" in capsys.readouterr().out
    assert main(["backtest", str(spec), str(ASD)]) == 0


def test_lint_says_what_is_wrong_with_a_spec_for_a_stream(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sent = [line | {"timestamp_ms": line["timestamp_ms"] + 3_600_000 * at} for at, line in enumerate(lines("c01-messages")[:60])]
    path = tmp_path / "hourly.jsonl"
    path.write_text("\n".join(map(json.dumps, sent)))
    spec = tmp_path / "spec.yaml"
    document = {
        "apiVersion": "anomaly-operator.dev/v1alpha1",
        "kind": "AnomalyDetector",
        "metadata": {"name": "hourly"},
        "spec": {
            "source": {"kafka": {"bootstrapServers": "kafka:9092", "topic": "hourly"}},
            "features": [{"name": "temperature"}, {"name": "flow"}],
        },
    }
    spec.write_text(yaml.safe_dump(document))
    assert main(["lint", str(spec), "--sample", str(path)]) == 1
    said = capsys.readouterr().out
    assert "feature flow: flow is in no message" in said
    assert "readings are 3605 s apart, and maxGap is 5m; raise it" in said
