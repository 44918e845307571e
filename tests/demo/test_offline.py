"""The demo without a cluster: the same readings as a table, and the judge is told what people would be told."""

from __future__ import annotations

import numpy as np

from anomaly_api.alert import EpisodeReason
from anomaly_detector.core.episodes.episode import Transition
from anomaly_detector.core.episodes.transitions import EpisodeTransition
from dev.demo import offline
from dev.demo.judge import Opened
from dev.demo.recording import Recording

VALUES = np.arange(24, dtype=float).reshape(4, 3, 2)
RECORDING = Recording(("a", "b", "c"), ("x", "y"), 1000.0, 10.0, VALUES, (1, 1))


def _record(tick: int, turn: Transition, hushed: str | None) -> EpisodeTransition:
    time = round(1e6 * RECORDING.time(tick))
    measured = time, 1, 2.0, 2.0, "warning"
    return EpisodeTransition(0, "short", None, "b", time, turn, EpisodeReason.OPENED, *measured, hushed)


def test_the_table_has_the_readings_of_all_entities_tick_by_tick() -> None:
    table = offline._table(RECORDING, 1, 3)
    assert table.names == ["a", "b", "c"]
    assert table.codes.tolist() == [0, 1, 2, 0, 1, 2]
    assert (table.times / 1e6).tolist() == [1010, 1010, 1010, 1020, 1020, 1020]
    assert table.values.tolist() == VALUES[1:3].reshape(6, 2).tolist()


def test_only_what_people_are_told_of_counts() -> None:
    turns = [(1, Transition.OPENED, None), (2, Transition.OPENED, "cooldown"), (3, Transition.CLOSED, None)]
    assert offline._opened(RECORDING, [_record(*turn) for turn in turns]) == [Opened("b", 1)]
