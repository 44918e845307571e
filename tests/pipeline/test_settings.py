"""What the environment of a scoring pod says, and what holds where it says nothing."""

import os
from pathlib import Path

import pytest

from anomaly_api.meta import CONFIG_FOLDER, HTTP_PORT
from anomaly_detector.settings import Settings


def test_what_the_environment_does_not_say_has_its_default(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("ANOMALY_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("POD_NAME", "pumps-0")
    assert Settings.from_environment() == Settings("pumps-0", Path(CONFIG_FOLDER), "", HTTP_PORT, 200_000, 6_000)


def test_what_the_environment_says_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "POD_NAME": "pumps-1",
        "ANOMALY_CONFIG_FOLDER": "/elsewhere",
        "ANOMALY_HTTP_HOST": "127.0.0.1",
        "ANOMALY_HTTP_PORT": "9090",
        "ANOMALY_CHECKPOINT_READINGS": "7",
        "ANOMALY_BATCH_MESSAGES": "0",
    }.items():
        monkeypatch.setenv(name, value)
    assert Settings.from_environment() == Settings("pumps-1", Path("/elsewhere"), "127.0.0.1", 9090, 7, 1)


def test_a_number_that_is_none_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANOMALY_BATCH_MESSAGES", "many")
    with pytest.raises(ValueError, match="ANOMALY_BATCH_MESSAGES is 'many': set it to a whole number"):
        Settings.from_environment()
