"""What the environment of a scoring pod says, and what holds where it says nothing."""

import pytest

from anomaly_detector.settings import Settings


def test_what_the_environment_does_not_say_has_its_default(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ANOMALY_HTTP_PORT", "ANOMALY_CHECKPOINT_READINGS", "ANOMALY_BATCH_MESSAGES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("POD_NAME", "pumps-0")
    found = Settings.from_environment()
    assert found == Settings("pumps-0", found.config_folder, found.http_host, found.http_port)


def test_a_number_that_is_none_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANOMALY_BATCH_MESSAGES", "many")
    with pytest.raises(ValueError, match="ANOMALY_BATCH_MESSAGES is 'many': set it to a whole number"):
        Settings.from_environment()
