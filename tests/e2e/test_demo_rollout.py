"""Rollouts on the whole cluster: a threshold that would wake people up is taken away before anybody hears of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dev.demo.rollout.__main__ import play
from dev.demo.rollout.detector import Detector

if TYPE_CHECKING:
    from dev.environment.prerequisites import Surroundings

pytestmark = pytest.mark.e2e


@pytest.mark.timeout(480)
def test_a_bad_threshold_is_taken_away_with_no_alert_sent_and_the_first_model_goes_on_deciding(around: Surroundings) -> None:
    try:
        lines = play(around, ("a first model", "a bad threshold"))
    finally:
        Detector(around).delete()
    assert "none of its alerts was sent" in lines[-1]
