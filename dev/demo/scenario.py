"""The two demos as data: what is written before, what is played while a model is made, what is judged, and how fast."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dev.demo import faults, pumps, servers
from dev.demo.judge import Stretch
from dev.demo.recording import Anomaly, Recording

ROOT: Final = Path(__file__).resolve().parents[2]
FAULTS_EACH: Final = 10
_PUMPS: Final = 20
_PUMP_WINDOW: Final = 12
_SERVER_WINDOW: Final = 36
"""Readings in a window of the example; for so long after an anomaly's end windows still hold some of it."""
_PUMP_HISTORY: Final = 8640
_PUMP_WAITING: Final = 4000
_SERVER_WAITING: Final = 720


@dataclass(frozen=True)
class Judged:
    """The part of the stream that is judged, known once it is known where it begins."""

    recording: Recording
    anomalies: tuple[Anomaly, ...]
    stretch: Stretch


@dataclass(frozen=True)
class Scenario:
    """A stream in three parts: history (at once), waiting (at a pace, as long as there is no model), judged."""

    name: str
    """Of the AnomalyDetector, its example, and `DATA=`."""
    about: str
    topic: str
    recording: Recording
    """What would come if nothing went wrong."""
    history: int
    """The first so many ticks."""
    waiting_end: int
    """The tick at which it stops until there is a model."""
    waiting_rate: float
    """Ticks a second."""
    judged_rate: float
    judge_from: Callable[[int], Judged]
    """From the tick that is the next one when the model begins to serve."""

    @property
    def example(self) -> Path:
        """The spec that is applied."""
        return ROOT / "examples" / f"{self.name}.yaml"


def pump_scenario(now: float, seed: int = 7, each: int = FAULTS_EACH) -> Scenario:
    """Twenty simulated pumps, with `each` faults of every kind once a model serves."""
    judged = faults.slots(_PUMPS, each) * faults.SLOT
    ticks = _PUMP_HISTORY + _PUMP_WAITING + judged
    recording = pumps.record(_PUMPS, ticks, now - ticks * pumps.STEP, seed)

    def judge_from(tick: int) -> Judged:
        broken, ledger = faults.inject(recording, tick, each, seed)
        return Judged(broken, tuple(ledger), Stretch(tick, tick + judged, _PUMP_WINDOW))

    return Scenario(
        name="pumps",
        about="twenty pumps, six sensors each, a reading every ten seconds of event time",
        topic="pump-readings",
        recording=recording,
        history=_PUMP_HISTORY,
        waiting_end=_PUMP_HISTORY + _PUMP_WAITING,
        waiting_rate=15.0,
        judged_rate=15.0,
        judge_from=judge_from,
    )


def server_scenario(now: float) -> Scenario:
    """Four real servers: the last days of the training part are played while the model is made."""
    recording, anomalies = servers.record(ROOT / "examples/data/asd", now, _SERVER_WINDOW)

    def judge_from(_: int) -> Judged:
        return Judged(recording, tuple(anomalies), Stretch(servers.TRAINING, recording.ticks, _SERVER_WINDOW))

    return Scenario(
        name="servers",
        about="four application servers (ASD), nineteen metrics each, a reading every five minutes of event time",
        topic="server-metrics",
        recording=recording,
        history=servers.TRAINING - _SERVER_WAITING,
        waiting_end=servers.TRAINING,
        waiting_rate=8.0,
        judged_rate=40.0,
        judge_from=judge_from,
    )


SCENARIOS: Final[dict[str, Callable[[float], Scenario]]] = {"pumps": pump_scenario, "servers": server_scenario}
