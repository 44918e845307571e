"""What people are told of alerts by a scoring pod, on a real broker: the commands that `kubectl anomaly` runs there."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from anomaly_api.assignment import Assignment
from tests.stream.pods import broken, calm, pod, revision, runtime

if TYPE_CHECKING:
    from pathlib import Path

    from tests.stream.pods import Topics

pytestmark = pytest.mark.integration


@pytest.fixture
def episode(topics: Topics, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The alert that opened an episode of pump-1; another entity was calm all the time."""
    topics.create()
    folder = tmp_path / "pod"
    with pod(folder, runtime(topics), Assignment(stable=revision())) as running:
        topics.readings(range(1000, 1060), calm, b"pump-2")
        topics.readings(range(1000, 1050), calm)
        topics.readings(range(1050, 1056), broken)
        topics.readings(range(1056, 1080), calm)
        [opened] = topics.received(topics.alerts, 1)
        running.until(lambda found: found.source.lag == 0)
    monkeypatch.setenv("ANOMALY_CONFIG_FOLDER", str(folder))
    found: dict[str, Any] = json.loads(opened.value() or b"")
    return found


def test_alerts_are_listed_by_entity_and_episode(episode: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    from anomaly_detector.cli import alerts

    def listed(*words: str) -> list[dict[str, Any]]:
        assert alerts.main(list(words)) == 0
        return [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    everything = listed()
    assert everything[0] == episode
    assert [each["type"].rpartition(".")[2] for each in everything][-1] == "closed"
    assert listed("--entity", "pump-2") == []
    assert listed("--episode", episode["data"]["episode"][:8]) == everything
    assert listed("--limit", "1") == everything[-1:]


def test_an_episode_is_explained_window_by_window(episode: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    from anomaly_detector.cli import explain
    from kubectl_anomaly.commands.explain import explained

    assert explain.main([episode["data"]["episode"][:10]]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["records"][0] == episode
    assert found["note"] == ""
    assert found["features"] == ["temperature", "pressure"]
    by_time = {each["time"][14:19]: each for each in found["series"]}
    worst = by_time["17:31"]  # 1051 seconds after the epoch
    assert worst["actual"][1] == 90.0
    assert worst["expected"][1] == pytest.approx(3.0, abs=1.0)
    assert worst["score"] > 1.0
    assert by_time["17:25"]["score"] < 1.0
    assert explain.main(["f" * 32]) == 1
    assert "no episode" in capsys.readouterr().err
    shown = explained(found, 90, 2)
    assert "pressure (100% of the error within the episode)" in shown
    print(shown)
