"""Rollouts on a real API server: the operator as a process, pods that answer as they are told."""

from __future__ import annotations

import signal
from itertools import count
from typing import Any

import pytest

from anomaly_api.assignment import Assignment
from tests.operator.running import Plant, Process, eventually

pytestmark = pytest.mark.integration

STEPS = [{"shadow": {"for": "1s", "windows": 100}}, {"weight": 20}, {"pause": {}}, {"weight": 50}, {"pause": {"for": "1s"}}]
TURNS = count(1)
ALIKE = {"both": 10, "neither": 990, "stableEpisodes": 2, "candidateEpisodes": 2}
WORSE = {"both": 10, "neither": 900, "onlyCandidate": 90, "stableEpisodes": 2, "candidateEpisodes": 60}


def status(plant: Plant) -> dict[str, Any]:
    found = plant.get("anomalydetector", "pumps")
    assert found
    return dict(found.get("status", {}))


def told(plant: Plant) -> Assignment:
    settings = plant.get("configmap", "pumps-detector")
    assert settings
    return Assignment.model_validate_json(settings["data"]["assignment.json"])


def rolling(plant: Plant) -> None:
    """Settings are easy to roll out without a model: the fallback scorer, with alerts that open later."""
    plant.detector(model={"statistical": {}}, rollout={"settingsSteps": STEPS})
    plant.run_pods()
    plant.says("Ready", "Ready")
    plant.edit("anomalydetector", "pumps", {"spec": {"alerts": {"open": {"windows": 6}}}})
    eventually(lambda: told(plant).candidate)


def keep_obeying(plant: Plant, until: Any, seconds: float = 40.0, **counts: int) -> Any:
    """Until something holds, the pod does as it is told, and counts on."""

    def found() -> Any:
        turns = next(TURNS)
        plant.obey(paired={name: count * turns for name, count in counts.items()})
        return until()

    return eventually(found, seconds)


def test_a_candidate_goes_through_its_steps_and_becomes_stable(served: Plant) -> None:
    rolling(served)
    before = told(served).stable
    keep_obeying(served, lambda: status(served)["candidate"]["phase"] == "Paused", **ALIKE)
    assert told(served).stable == before
    keep_obeying(served, lambda: told(served).weight == 20, **ALIKE)
    command = {"id": "1", "name": "Promote", "revision": status(served)["candidate"]["revision"]}
    served.edit("anomalydetector", "pumps", {"status": {"command": command}}, "--subresource=status")
    keep_obeying(served, lambda: told(served).candidate is None, **ALIKE)
    assert told(served).stable.alerts.open.windows == 6
    now = status(served)
    assert now["commandHandled"]["accepted"]
    assert now["history"][0]["outcome"] == "Promoted"
    assert now["history"][0]["windows"] >= 1000
    said = eventually(lambda: [each["reason"] for each in served.list("events") if each["reason"] == "RolloutPromoted"])
    assert said == ["RolloutPromoted"]


def test_a_worse_candidate_is_taken_away(served: Plant) -> None:
    rolling(served)
    keep_obeying(served, lambda: status(served).get("aborted"), **WORSE)
    assert served.says("Progressing", "AnalysisFailed")["status"] == "False"
    eventually(lambda: told(served).candidate is None)
    assert told(served).stable.alerts.open.windows == 2


def test_an_operator_that_is_killed_at_each_step_comes_to_the_same_end(plant: Plant) -> None:
    process: Process = plant.operator()
    rolling(plant)
    for place in ("0/5", "1/5", "3/5"):
        keep_obeying(plant, lambda place=place: status(plant)["candidate"]["step"] >= place, **ALIKE)
        process.end(signal.SIGKILL)
        process = plant.operator()
    command = {"id": "1", "name": "Promote", "revision": status(plant)["candidate"]["revision"]}
    plant.edit("anomalydetector", "pumps", {"status": {"command": command}}, "--subresource=status")
    keep_obeying(plant, lambda: told(plant).candidate is None, **ALIKE)
    assert told(plant).stable.alerts.open.windows == 6
